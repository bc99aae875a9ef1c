/*-------------------------------------------------------------------------
 *
 * resource_error.c
 *	  Errors of a resource write, as problems (resource_error.h).
 *
 * Constraint violations, missing permission and conflicts between transactions
 * are what a client can act on.  Everything else stays what it is, and so does
 * a problem that a trigger of a table has raised.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/compat.h"
#include "http/problem.h"
#include "resource/resource_error.h"

static const char *detail_of(const ErrorData *edata, bool readable);
static bool names_are_the_servers(const ErrorData *edata);
static bool is_referenced_side(const ErrorData *edata, CmdType operation);
pg_noreturn static void raise_violation(const ErrorData *edata, CmdType operation, bool readable);
pg_noreturn static void raise_unreadable(const ErrorData *edata);

/*
 * The detail of the error, " Key (a)=(1) already exists.", which PostgreSQL
 * leaves out if the caller may not see the values.
 */
static const char *
detail_of(const ErrorData *edata, bool readable)
{
	return edata->detail && readable ? psprintf(" %s", edata->detail) : "";
}

/*
 * RAISE can give any text for the name of a constraint or a column, the value of a row too.
 */
static bool
names_are_the_servers(const ErrorData *edata)
{
	static const char *const files[] = {
		"execMain.c", "execIndexing.c", "execExprInterp.c", "nbtinsert.c", "ri_triggers.c", "domains.c"
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
	if (edata->message_id != NULL)
		return strncmp(edata->message_id, "update or delete", strlen("update or delete")) == 0;
	return operation == CMD_DELETE;
}

void
taskapi_resource_rethrow(MemoryContext context, CmdType operation, Oid caller)
{
	ErrorData  *edata;
	bool		readable = (GetUserId() == caller);
	TaskapiProblem problem;

	MemoryContextSwitchTo(context);
	edata = CopyErrorData();

	/* one that was raised as a problem already has its details, which were written for a client */
	if (taskapi_problem_of_error(edata, &problem))
		PG_RE_THROW();
	if (!readable)
	{
		/* without its detail: rows are in there, with whatever the client's role may not read */
		FlushErrorState();
		ereport(LOG_SERVER_ONLY,
				(errcode(edata->sqlerrcode),
				 errmsg("a write with the rights of a table's owner failed: %s", edata->message)));
	}

	switch (edata->sqlerrcode)
	{
		case ERRCODE_UNIQUE_VIOLATION:
		case ERRCODE_EXCLUSION_VIOLATION:
		case ERRCODE_FOREIGN_KEY_VIOLATION:
		case ERRCODE_RESTRICT_VIOLATION:
		case ERRCODE_CHECK_VIOLATION:
		case ERRCODE_NOT_NULL_VIOLATION:
			if (readable)
				FlushErrorState();
			raise_violation(edata, operation, readable);

		case ERRCODE_T_R_SERIALIZATION_FAILURE:
		case ERRCODE_T_R_DEADLOCK_DETECTED:
			if (readable)
				FlushErrorState();
			taskapi_problem_sqlstate(PROBLEM_TRY_AGAIN, edata->sqlerrcode, NIL, "Send the request again.",
									 "Another request changed the same at the same time.");

		case ERRCODE_INSUFFICIENT_PRIVILEGE:
			if (readable)
				FlushErrorState();
			taskapi_problem(PROBLEM_FORBIDDEN, NIL, NULL, "The server says: %s.",
							readable ? edata->message : "permission denied");

		default:
			if (readable)
				PG_RE_THROW();
			raise_unreadable(edata);
	}
}

static void
raise_violation(const ErrorData *edata, CmdType operation, bool readable)
{
	bool		named = readable || names_are_the_servers(edata);
	const char *constraint = named && edata->constraint_name ? edata->constraint_name : "";

	switch (edata->sqlerrcode)
	{
		case ERRCODE_UNIQUE_VIOLATION:
		case ERRCODE_EXCLUSION_VIOLATION:
			taskapi_problem(PROBLEM_ALREADY_EXISTS, NIL, readable ? edata->hint : NULL,
							"It conflicts with constraint \"%s\".%s", constraint, detail_of(edata, readable));

		case ERRCODE_FOREIGN_KEY_VIOLATION:
		case ERRCODE_RESTRICT_VIOLATION:
			if (edata->sqlerrcode == ERRCODE_RESTRICT_VIOLATION || is_referenced_side(edata, operation))
				taskapi_problem(PROBLEM_HAS_DEPENDENTS, NIL, NULL,
								"Constraint \"%s\" keeps it.%s", constraint, detail_of(edata, readable));
			taskapi_problem(PROBLEM_INVALID_REFERENCE, NIL, NULL,
							"It violates constraint \"%s\".%s", constraint, detail_of(edata, readable));

		case ERRCODE_CHECK_VIOLATION:
			taskapi_problem_sqlstate(PROBLEM_INVALID_VALUE, ERRCODE_CHECK_VIOLATION, NIL, NULL,
									 "It violates constraint \"%s\".", constraint);

		default:
			if (named && edata->column_name)
				taskapi_problem_sqlstate(PROBLEM_INVALID_VALUE, ERRCODE_NOT_NULL_VIOLATION, NIL, NULL,
										 "Column \"%s\" must have a value.", edata->column_name);
			taskapi_problem_sqlstate(PROBLEM_INVALID_VALUE, ERRCODE_NOT_NULL_VIOLATION, NIL, NULL,
									 "A value must not be null.");
	}
}

/*
 * An error of another kind, whose text the caller may not read: the SQLSTATE tells a client what it can do.
 */
static void
raise_unreadable(const ErrorData *edata)
{
	if (edata->sqlerrcode == MAKE_SQLSTATE('P', 'G', 'R', 'S', 'T'))
		taskapi_problem(PROBLEM_FORBIDDEN, NIL, NULL, "A table behind the resource refuses it.");
	ereport(ERROR,
			(errcode(edata->sqlerrcode),
			 errmsg("a write with the rights of a table's owner failed"),
			 errhint("The server's log has the reason.")));
}
