/*-------------------------------------------------------------------------
 *
 * client_query.c
 *	  Which query is the client's own (client_query.h).
 *
 * A portal of the client runs its query with the portal's own source text, and no
 * other query runs around it.  SPI, SQL functions and procedures have texts of
 * their own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/executor.h"
#include "tcop/pquery.h"
#include "utils/portal.h"

#include "base/client_query.h"
#include "base/compat.h"

/* A query that runs, and the one around it. */
typedef struct RunningQuery
{
	QueryDesc  *query;
	struct RunningQuery *outer;
	uint64		number;
} RunningQuery;

static RunningQuery *running = NULL;
static ExecutorRun_hook_type next_ExecutorRun_hook = NULL;

/* When the statement began that loaded the library, maybe before there was a hook; 0 in later ones */
static TimestampTz loaded_in = 0;

static void
run_query(TASKAPI_EXECUTOR_RUN_PARAMETERS)
{
	static uint64 queries = 0;
	RunningQuery this_query = {queryDesc, running, ++queries};

	running = &this_query;
	PG_TRY();
	{
		if (next_ExecutorRun_hook)
			next_ExecutorRun_hook(TASKAPI_EXECUTOR_RUN_ARGUMENTS);
		else
			standard_ExecutorRun(TASKAPI_EXECUTOR_RUN_ARGUMENTS);
	}
	PG_FINALLY();
	{
		running = this_query.outer;
	}
	PG_END_TRY();
}

QueryDesc *
taskapi_running_query(TaskapiQueryOwner *owner)
{
	if (running != NULL)
	{
		bool		outermost = (running->outer == NULL && ActivePortal != NULL &&
								 running->query->sourceText == ActivePortal->sourceText);

		*owner = outermost ? TASKAPI_QUERY_CLIENT : TASKAPI_QUERY_NESTED;
		return running->query;
	}
	if (loaded_in != GetCurrentStatementStartTimestamp())
		loaded_in = 0;
	*owner = loaded_in != 0 ? TASKAPI_QUERY_UNKNOWN : TASKAPI_QUERY_NESTED;
	return NULL;
}

uint64
taskapi_running_query_number(void)
{
	return running == NULL ? 0 : running->number;
}

QueryDesc *
taskapi_query_around(int level)
{
	RunningQuery *query = running;

	while (level-- > 0 && query != NULL)
		query = query->outer;
	return query == NULL ? NULL : query->query;
}

void
taskapi_client_query_init(void)
{
	if (ActivePortal != NULL)
		loaded_in = GetCurrentStatementStartTimestamp();
	next_ExecutorRun_hook = ExecutorRun_hook;
	ExecutorRun_hook = run_query;
}
