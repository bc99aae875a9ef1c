/*-------------------------------------------------------------------------
 *
 * run_ddl.c
 *	  run_ddl(): a command that takes strong locks, tried until it gets them.
 *
 * The command runs as the caller, under the caller's settings.  That it is one,
 * and does not end the transaction, is the parser's to say, not the text's.
 *
 * SQL: sql/install/69_migrations.sql
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "nodes/parsenodes.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "base/lock_tries.h"

static void require_outermost(FunctionCallInfo fcinfo);
static void check_command(const char *command);
static int	interval_argument(FunctionCallInfo fcinfo, int number, const char *name, int least);
static void run_command(void *arg);
static void refuse_in_transaction(ErrorData *error);

/*
 * run_ddl(command text, lock_timeout interval, give_up_after interval)
 */
PG_FUNCTION_INFO_V1(taskapi_run_ddl);
Datum
taskapi_run_ddl(PG_FUNCTION_ARGS)
{
	TaskapiLockTries tries = {.transactions = true};
	char	   *command;
	int64		held;

	require_outermost(fcinfo);
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("command must not be null")));
	tries.timeout = interval_argument(fcinfo, 1, "lock_timeout", 1);
	tries.give_up_after = interval_argument(fcinfo, 2, "give_up_after", 0);

	/* this memory outlives the transactions */
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	command = text_to_cstring(PG_GETARG_TEXT_PP(0));
	check_command(command);
	taskapi_try_locks(&tries, run_command, command);
	held = TimestampDifferenceMilliseconds(tries.started, GetCurrentTimestamp());
	SPI_finish();

	ereport(NOTICE,
			(errmsg("done in try %d, in which locks were held for " INT64_FORMAT " ms at most", tries.tries, held)));
	PG_RETURN_VOID();
}

/*
 * Only what is called by itself, or by a procedure that is, may end transactions.
 */
static void
require_outermost(FunctionCallInfo fcinfo)
{
	if (fcinfo->context && IsA(fcinfo->context, CallContext) && !castNode(CallContext, fcinfo->context)->atomic)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
			 errmsg("%s cannot be called in a transaction block or in a function", "taskapi.run_ddl()"),
			 errdetail("Each try is a transaction of its own, which releases its locks."),
			 errhint("CALL it outside a transaction. In a migration tool, turn off the transaction around the migration.")));
}

/*
 * One command, which does not end the transaction.
 */
static void
check_command(const char *command)
{
	List	   *commands = pg_parse_query(command);

	if (list_length(commands) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("command must be one command, not %d", list_length(commands)),
				 errhint("Put commands that belong together into one DO block, or call taskapi.run_ddl() for each.")));
	if (IsA(linitial_node(RawStmt, commands)->stmt, TransactionStmt))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
				 errmsg("command must not be one of transaction control")));
	if (IsA(linitial_node(RawStmt, commands)->stmt, CopyStmt) &&
		((CopyStmt *) linitial_node(RawStmt, commands)->stmt)->filename == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("command must not be COPY from or to the client")));
}

/*
 * Milliseconds.
 */
static int
interval_argument(FunctionCallInfo fcinfo, int number, const char *name, int least)
{
	const Interval *value;
	double		ms;

	if (PG_ARGISNULL(number))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
	value = PG_GETARG_INTERVAL_P(number);
	ms = value->time / 1000.0 + ((double) value->month * DAYS_PER_MONTH + value->day) * SECS_PER_DAY * 1000.0;
	if (!(ms >= least && ms <= INT_MAX / 2))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be between %d ms and %d days", name, least, INT_MAX / 2 / (SECS_PER_DAY * 1000))));
	return (int) ms;
}

static void
run_command(void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	int			result = 0;

	PG_TRY();
	{
		result = SPI_execute((char *) arg, false, 0);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		if (geterrcode() != ERRCODE_ACTIVE_SQL_TRANSACTION)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		refuse_in_transaction(error);
	}
	PG_END_TRY();
	if (result < 0)
		elog(ERROR, "SPI_execute returned %s", SPI_result_code_string(result));
}

/*
 * CREATE INDEX CONCURRENTLY, VACUUM and their like, which begin and end transactions themselves.
 */
static void
refuse_in_transaction(ErrorData *error)
{
	ereport(ERROR,
			(errcode(error->sqlerrcode),
			 errmsg("command cannot be run by %s", "taskapi.run_ddl()"),
			 errdetail_internal("%s", error->message),
			 errhint("Run the command directly: with CONCURRENTLY it takes no lock that readers or writers wait for.")));
}
