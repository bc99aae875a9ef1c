/*-------------------------------------------------------------------------
 *
 * counters.c
 *	  Reading the counters.  Counting itself is in counters.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/builtins.h"

#include "base/compat.h"
#include "base/counters.h"
#include "base/shared_memory.h"

PG_FUNCTION_INFO_V1(taskapi_counters);

static const char *const counter_names[] = {
	[TASKAPI_COUNTER_CURSORS_MADE] = "cursors_made",
	[TASKAPI_COUNTER_CURSORS_OPENED] = "cursors_opened",
	[TASKAPI_COUNTER_CURSORS_REFUSED] = "cursors_refused",
	[TASKAPI_COUNTER_IDEMPOTENCY_BEGINS] = "idempotency_begins",
	[TASKAPI_COUNTER_IDEMPOTENCY_REPLAYS] = "idempotency_replays",
	[TASKAPI_COUNTER_IDEMPOTENCY_REUSED] = "idempotency_reused",
	[TASKAPI_COUNTER_IDEMPOTENCY_WAITS] = "idempotency_waits",
	[TASKAPI_COUNTER_RATE_LIMIT_ALLOWED] = "rate_limit_allowed",
	[TASKAPI_COUNTER_RATE_LIMIT_DENIED] = "rate_limit_denied",
	[TASKAPI_COUNTER_RATE_LIMIT_SHADOW_DENIED] = "rate_limit_shadow_denied",
	[TASKAPI_COUNTER_RATE_LIMIT_EVICTED] = "rate_limit_evicted",
	[TASKAPI_COUNTER_RATE_LIMIT_RECLAIMED] = "rate_limit_reclaimed",
};

StaticAssertDecl(lengthof(counter_names) == TASKAPI_NCOUNTERS, "every counter needs a name");

void
taskapi_counters_attach(void)
{
	(void) taskapi_shared();
}

uint64
taskapi_counter_value(TaskapiCounter counter)
{
	TaskapiShared *shared = taskapi_shared();
	uint64		sum = 0;

	for (int i = 0; i < TASKAPI_COUNTER_STRIPES; i++)
		sum += pg_atomic_read_u64(&shared->counters[i].value[counter]);
	return sum;
}

/* counters() -> SETOF (name text, value bigint) */
Datum
taskapi_counters(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < TASKAPI_NCOUNTERS; i++)
	{
		Datum		values[2];
		bool		nulls[2] = {false, false};

		values[0] = CStringGetTextDatum(counter_names[i]);
		values[1] = Int64GetDatum((int64) taskapi_counter_value(i));
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
