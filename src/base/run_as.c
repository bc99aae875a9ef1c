/*-------------------------------------------------------------------------
 *
 * run_as.c
 *	  run_as(): one command with the rights of another role, and no others.
 *
 * What an administrator does to a table of another role may run code that the
 * table's owner wrote: the predicate of an index, a default, a trigger.  It has
 * to run with the owner's rights then, and must leave nothing behind that runs
 * with the administrator's: as in a maintenance command of the server, the
 * operation is security-restricted and its settings end with it.
 *
 * SQL: sql/install/02_trust.sql
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/guc.h"

#include "base/args.h"
#include "base/compat.h"
#include "base/role.h"

static char *execute(const char *command, int nargs, Oid *types, Datum *values, bool *nulls);

/* The result is in the caller's memory context: the text of the first column of the first row, or NULL. */
static char *
execute(const char *command, int nargs, Oid *types, Datum *values, bool *nulls)
{
	MemoryContext caller = CurrentMemoryContext;
	char	   *spi_nulls = palloc(nargs + 1);
	char	   *result = NULL;
	int			rc;

	for (int i = 0; i < nargs; i++)
		spi_nulls[i] = nulls[i] ? 'n' : ' ';
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	rc = SPI_execute_with_args(command, nargs, types, values, spi_nulls, false, 0);
	if (rc < 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot run this command: %s", SPI_result_code_string(rc)),
				 errdetail("COPY from or to the client and commands of transactions cannot be run.")));
	if (SPI_tuptable != NULL && SPI_processed > 0)
	{
		char	   *value = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);

		if (value != NULL)
			result = MemoryContextStrdup(caller, value);
	}
	SPI_finish();
	return result;
}

/*
 * run_as(role regrole, command text [, VARIADIC parameters "any"]) -> text
 *
 * The caller must have the role's rights already and be allowed to become it, so it can do nothing here that it could
 * not do otherwise: a member WITH SET FALSE must not create what the role owns.  As the role itself the command runs
 * without a restriction.
 */
PG_FUNCTION_INFO_V1(taskapi_run_as);
Datum
taskapi_run_as(PG_FUNCTION_ARGS)
{
	Oid			role;
	char	   *rolename;
	char	   *command;
	int			nargs = 0;
	Datum	   *values = NULL;
	Oid		   *types = NULL;
	bool	   *nulls = NULL;
	char	   *result;

	taskapi_require_arg(fcinfo, 0, "role");
	taskapi_require_arg(fcinfo, 1, "command");
	role = PG_GETARG_OID(0);
	command = taskapi_arg_cstring(fcinfo, 1);
	if (PG_NARGS() > 2)
		nargs = extract_variadic_args(fcinfo, 2, true, &values, &types, &nulls);
	if (nargs < 0)
		nargs = 0;				/* VARIADIC NULL */

	rolename = GetUserNameFromId(role, false);
	if (!has_privs_of_role(GetUserId(), role) || !taskapi_may_set_role(GetUserId(), role))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be member of role \"%s\"", rolename)));
	if (role == GetUserId())
		result = execute(command, nargs, types, values, nulls);
	else
	{
		TaskapiRole saved = taskapi_become(role, SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
		int			nestlevel = NewGUCNestLevel();

		result = execute(command, nargs, types, values, nulls);
		AtEOXact_GUC(false, nestlevel);
		taskapi_role_restore(saved);
	}

	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(result));
}
