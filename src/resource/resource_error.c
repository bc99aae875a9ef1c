/*-------------------------------------------------------------------------
 *
 * resource_error.c
 *	  Errors of a resource write, as problems.
 *
 * Constraint violations, missing permission and conflicts between transactions
 * are what a client can act on.  Everything else stays what it is, and so does
 * a problem that a trigger of the table has raised.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "http/problem.h"
#include "resource/resource_error.h"

static const char *detail_of(const ErrorData *edata);
static bool is_referenced_side(const ErrorData *edata, CmdType operation);

/*
 * The detail of the error, " Key (a)=(1) already exists.", which PostgreSQL
 * leaves out where the caller may not see the values.
 */
static const char *
detail_of(const ErrorData *edata)
{
	return edata->detail ? psprintf(" %s", edata->detail) : "";
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
taskapi_resource_rethrow(MemoryContext context, CmdType operation)
{
	ErrorData  *edata;
	const char *constraint;

	MemoryContextSwitchTo(context);
	edata = CopyErrorData();
	constraint = edata->constraint_name ? edata->constraint_name : "";

	/* one that was raised as a problem already has its details */
	if (edata->detail != NULL && strncmp(edata->detail, "{\"code\":", 8) == 0)
		PG_RE_THROW();

	switch (edata->sqlerrcode)
	{
		case ERRCODE_UNIQUE_VIOLATION:
		case ERRCODE_EXCLUSION_VIOLATION:
			FlushErrorState();
			taskapi_problem(PROBLEM_ALREADY_EXISTS, NIL, NULL,
							"It conflicts with constraint \"%s\".%s", constraint, detail_of(edata));

		case ERRCODE_FOREIGN_KEY_VIOLATION:
		case ERRCODE_RESTRICT_VIOLATION:
			FlushErrorState();
			if (edata->sqlerrcode == ERRCODE_RESTRICT_VIOLATION || is_referenced_side(edata, operation))
				taskapi_problem(PROBLEM_HAS_DEPENDENTS, NIL, NULL,
								"Constraint \"%s\" keeps it.%s", constraint, detail_of(edata));
			taskapi_problem(PROBLEM_INVALID_REFERENCE, NIL, NULL,
							"It violates constraint \"%s\".%s", constraint, detail_of(edata));

		case ERRCODE_CHECK_VIOLATION:
			FlushErrorState();
			taskapi_problem_sqlstate(PROBLEM_INVALID_VALUE, ERRCODE_CHECK_VIOLATION, NIL, NULL,
									 "It violates constraint \"%s\".", constraint);

		case ERRCODE_NOT_NULL_VIOLATION:
			FlushErrorState();
			if (edata->column_name)
				taskapi_problem_sqlstate(PROBLEM_INVALID_VALUE, ERRCODE_NOT_NULL_VIOLATION, NIL, NULL,
										 "Column \"%s\" must have a value.", edata->column_name);
			taskapi_problem_sqlstate(PROBLEM_INVALID_VALUE, ERRCODE_NOT_NULL_VIOLATION, NIL, NULL,
									 "A value must not be null.");

		case ERRCODE_T_R_SERIALIZATION_FAILURE:
		case ERRCODE_T_R_DEADLOCK_DETECTED:
			FlushErrorState();
			taskapi_problem_sqlstate(PROBLEM_TRY_AGAIN, edata->sqlerrcode, NIL, "Send the request again.",
									 "Another request changed the same at the same time.");

		case ERRCODE_INSUFFICIENT_PRIVILEGE:
			FlushErrorState();
			taskapi_problem(PROBLEM_FORBIDDEN, NIL, NULL, "The server says: %s.", edata->message);

		default:
			PG_RE_THROW();
	}
}
