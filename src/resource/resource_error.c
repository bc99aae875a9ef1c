/*-------------------------------------------------------------------------
 *
 * resource_error.c
 *	  Errors of a resource write, as problems (resource_error.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/compat.h"
#include "base/server_fault.h"
#include "base/table_cache.h"
#include "http/problem.h"
#include "resource/resource_error.h"
#include "resource/resource_plan.h"

/* What an SQLSTATE is to a client */
typedef enum ErrorKind
{
	ERROR_CONFLICT,				/* unique, exclusion */
	ERROR_REFERENCE,			/* foreign key */
	ERROR_VALUE,
	ERROR_RETRY,
	ERROR_PERMISSION,
	ERROR_OTHER
} ErrorKind;

static ErrorKind kind_of(int sqlerrcode);
static bool is_the_servers(const ErrorData *edata);
static bool is_referenced_side(const ErrorData *edata, CmdType operation);
static const char *text_of(const ErrorData *edata);
pg_noreturn static void raise_readable(const ErrorData *edata, ErrorKind kind, CmdType operation);
pg_noreturn static void raise_unreadable(const ErrorData *edata, ErrorKind kind, CmdType operation);
static ErrorData *named_only(const ErrorData *edata);

static ErrorKind
kind_of(int sqlerrcode)
{
	switch (sqlerrcode)
	{
		case ERRCODE_UNIQUE_VIOLATION:
		case ERRCODE_EXCLUSION_VIOLATION:
			return ERROR_CONFLICT;
		case ERRCODE_FOREIGN_KEY_VIOLATION:
		case ERRCODE_RESTRICT_VIOLATION:
			return ERROR_REFERENCE;
		case ERRCODE_T_R_SERIALIZATION_FAILURE:
		case ERRCODE_T_R_DEADLOCK_DETECTED:
		case ERRCODE_LOCK_NOT_AVAILABLE:
			return ERROR_RETRY;
		case ERRCODE_INSUFFICIENT_PRIVILEGE:
			return ERROR_PERMISSION;
		case ERRCODE_GENERATED_ALWAYS:
		case ERRCODE_WITH_CHECK_OPTION_VIOLATION:
		case ERRCODE_PROGRAM_LIMIT_EXCEEDED:	/* a value that no index entry holds */
			return ERROR_VALUE;
		default:
			return ERRCODE_TO_CATEGORY(sqlerrcode) == ERRCODE_DATA_EXCEPTION ||
				ERRCODE_TO_CATEGORY(sqlerrcode) == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION ? ERROR_VALUE : ERROR_OTHER;
	}
}

/*
 * Did the server find the violation?  RAISE can give any text for the message, and for the name of a constraint or a
 * column, the value of a row too.
 */
static bool
is_the_servers(const ErrorData *edata)
{
	static const char *const files[] = {
		"execMain.c", "execIndexing.c", "execExprInterp.c", "nbtinsert.c", "ri_triggers.c", "domains.c",
		"rewriteHandler.c"
	};

	for (int i = 0; edata->filename != NULL && i < lengthof(files); i++)
	{
		if (strcmp(edata->filename, files[i]) == 0)
			return true;
	}
	return false;
}

/*
 * Does a foreign key say that the row is still referred to, rather than that it
 * refers to nothing?  The untranslated message tells.
 */
static bool
is_referenced_side(const ErrorData *edata, CmdType operation)
{
	if (edata->sqlerrcode == ERRCODE_RESTRICT_VIOLATION)
		return true;
	if (edata->message_id != NULL && is_the_servers(edata))
		return strncmp(edata->message_id, "update or delete", strlen("update or delete")) == 0;
	return operation == CMD_DELETE;
}

/*
 * Message and detail.
 */
static const char *
text_of(const ErrorData *edata)
{
	const char *message = edata->message ? edata->message : "";
	int			len = strlen(message);

	/* messages of the server's have no full stop */
	return edata->detail == NULL ? message :
		psprintf("%s%s %s", message, len > 0 && strchr(".!?:", message[len - 1]) ? "" : ".", edata->detail);
}

void
taskapi_resource_rethrow(MemoryContext context, CmdType operation, Oid owner)
{
	ErrorData  *edata;
	TaskapiProblem problem;
	ErrorKind	kind;
	int			fault;

	MemoryContextSwitchTo(context);
	edata = CopyErrorData();
	fault = taskapi_server_fault(edata);
	if (fault != 0)
		edata->sqlerrcode = fault;
	kind = kind_of(edata->sqlerrcode);

	if (!taskapi_resource_raised_as_owner(edata))
	{
		if (fault != 0)
		{
			FlushErrorState();
			ReThrowError(edata);
		}
		/* one that was raised as a problem already has its details, which were written for a client */
		if (kind == ERROR_OTHER || taskapi_problem_of_error(edata, &problem))
			PG_RE_THROW();
		FlushErrorState();
		raise_readable(edata, kind, operation);
	}
	if (taskapi_problem_of_error(edata, &problem))
	{
		if (GetUserId() == owner)
			PG_RE_THROW();
		FlushErrorState();
		ereport(LOG_SERVER_ONLY,
				(errcode(edata->sqlerrcode),
				 errmsg("a table of another owner refused a write: %s", edata->message)));
		taskapi_problem(problem, NIL, NULL, "A table behind the resource refused the write.");
	}
	FlushErrorState();
	/* without its detail: rows are in there, with whatever the client's role may not read */
	ereport(LOG_SERVER_ONLY,
			(errcode(edata->sqlerrcode),
			 errmsg("a write with the rights of a table's owner failed: %s", edata->message)));
	raise_unreadable(edata, kind, operation);
}

void
taskapi_resource_rethrow_renamed(uint64 names)
{
	switch (geterrcode())
	{
		case ERRCODE_UNDEFINED_TABLE:
		case ERRCODE_UNDEFINED_SCHEMA:
		case ERRCODE_UNDEFINED_OBJECT:
		case ERRCODE_UNDEFINED_FUNCTION:
			break;
		default:
			return;
	}
	if (names == taskapi_names_generation())
		return;
	FlushErrorState();
	taskapi_problem(PROBLEM_TRY_AGAIN, NIL, "Send the request again.", "A schema was renamed while the request was at work.");
}

void
taskapi_resource_rethrow_of_query(MemoryContext context, CmdType operation, Oid owner)
{
	if (kind_of(geterrcode()) == ERROR_PERMISSION)
	{
		MemoryContextSwitchTo(context);
		if (taskapi_server_fault(CopyErrorData()) == 0)
			PG_RE_THROW();
	}
	taskapi_resource_rethrow(context, operation, owner);
}

static void
raise_readable(const ErrorData *edata, ErrorKind kind, CmdType operation)
{
	bool		server = is_the_servers(edata);
	const char *constraint = server ? edata->constraint_name : NULL;
	const char *detail = edata->detail ? psprintf(" %s", edata->detail) : "";

	switch (kind)
	{
		case ERROR_CONFLICT:
			if (constraint)
				taskapi_problem_from_error(PROBLEM_ALREADY_EXISTS, 0, edata, edata->hint,
										   "It conflicts with constraint \"%s\".%s", constraint, detail);
			taskapi_problem_from_error(PROBLEM_ALREADY_EXISTS, 0, edata, edata->hint, "%s", text_of(edata));

		case ERROR_REFERENCE:
			if (is_referenced_side(edata, operation))
			{
				if (constraint)
					taskapi_problem_from_error(PROBLEM_HAS_DEPENDENTS, 0, edata, NULL,
											   "Other rows refer to it by constraint \"%s\".%s", constraint, detail);
				taskapi_problem_from_error(PROBLEM_HAS_DEPENDENTS, 0, edata, edata->hint, "%s", text_of(edata));
			}
			if (constraint)
				taskapi_problem_from_error(PROBLEM_INVALID_REFERENCE, 0, edata, NULL,
										   "It violates constraint \"%s\".%s", constraint, detail);
			taskapi_problem_from_error(PROBLEM_INVALID_REFERENCE, 0, edata, edata->hint, "%s", text_of(edata));

		case ERROR_VALUE:
			if (constraint && edata->sqlerrcode == ERRCODE_CHECK_VIOLATION)
				taskapi_problem_from_error(PROBLEM_INVALID_VALUE, edata->sqlerrcode, edata, NULL,
										   "It violates constraint \"%s\".", constraint);
			if (server && edata->column_name && edata->sqlerrcode == ERRCODE_NOT_NULL_VIOLATION)
				taskapi_problem_from_error(PROBLEM_INVALID_VALUE, edata->sqlerrcode, edata, NULL,
										   "Column \"%s\" must have a value.", edata->column_name);
			/* of the server's hint for it, OVERRIDING, no client of a resource can make use */
			taskapi_problem_from_error(PROBLEM_INVALID_VALUE, edata->sqlerrcode, edata,
									   server && edata->sqlerrcode == ERRCODE_GENERATED_ALWAYS ?
									   "Leave the column out." : edata->hint,
									   "%s", text_of(edata));

		case ERROR_RETRY:
			if (edata->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
				taskapi_problem_from_error(PROBLEM_TRY_AGAIN, edata->sqlerrcode, edata, "Send the request again.",
										   "Another request holds a lock for too long.");
			taskapi_problem_from_error(PROBLEM_TRY_AGAIN, edata->sqlerrcode, edata, "Send the request again.",
									   "Another request changed the same rows at the same time.");

		case ERROR_PERMISSION:
			if (edata->hint)
				taskapi_problem_from_error(PROBLEM_FORBIDDEN, 0, edata, edata->hint, "%s", text_of(edata));
			taskapi_problem_from_error(PROBLEM_FORBIDDEN, 0, edata, NULL, "The server says: %s.", text_of(edata));

		default:
			elog(ERROR, "unexpected kind of error: %d", (int) kind);
	}
}

/*
 * The SQLSTATE tells a client what it can do, and so do names that the server gave.
 */
static void
raise_unreadable(const ErrorData *edata, ErrorKind kind, CmdType operation)
{
	ErrorData  *names = named_only(edata);
	const char *details = "A table behind the resource refused the write.";

	switch (kind)
	{
		case ERROR_CONFLICT:
			if (names->constraint_name)
				details = psprintf("It conflicts with constraint \"%s\".", names->constraint_name);
			taskapi_problem_from_error(PROBLEM_ALREADY_EXISTS, 0, names, NULL, "%s", details);

		case ERROR_REFERENCE:
			if (names->constraint_name)
				details = psprintf(is_referenced_side(edata, operation) ? "Other rows refer to it by constraint \"%s\"." :
								   "It violates constraint \"%s\".", names->constraint_name);
			taskapi_problem_from_error(is_referenced_side(edata, operation) ? PROBLEM_HAS_DEPENDENTS :
									   PROBLEM_INVALID_REFERENCE, 0, names, NULL, "%s", details);

		case ERROR_VALUE:
			if (names->constraint_name)
				details = psprintf("It violates constraint \"%s\".", names->constraint_name);
			else if (names->column_name)
				details = psprintf("Column \"%s\" must have a value.", names->column_name);
			else if (edata->sqlerrcode == ERRCODE_NOT_NULL_VIOLATION)
				details = "A value must not be null.";
			taskapi_problem_from_error(PROBLEM_INVALID_VALUE, edata->sqlerrcode, names, NULL, "%s", details);

		case ERROR_RETRY:
			taskapi_problem_from_error(PROBLEM_TRY_AGAIN, edata->sqlerrcode, names, "Send the request again.",
									   "Another request changed the same rows at the same time.");

		case ERROR_PERMISSION:
			taskapi_problem_from_error(PROBLEM_FORBIDDEN, 0, names, NULL, "The server says: permission denied.");

		default:
			if (edata->sqlerrcode == MAKE_SQLSTATE('P', 'G', 'R', 'S', 'T'))
				taskapi_problem(PROBLEM_FORBIDDEN, NIL, NULL, "%s", details);
			ereport(ERROR,
					(errcode(edata->sqlerrcode),
					 errmsg("a write with the rights of a table's owner failed"),
					 errhint("The server's log has the reason.")));
	}
}

/*
 * The names of the constraint and the column, if they are the server's.
 */
static ErrorData *
named_only(const ErrorData *edata)
{
	ErrorData  *names = palloc0(sizeof(ErrorData));

	if (is_the_servers(edata))
	{
		names->constraint_name = edata->constraint_name;
		names->column_name = edata->column_name;
	}
	return names;
}
