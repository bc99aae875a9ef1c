/*-------------------------------------------------------------------------
 *
 * counters.c
 *	  Reading the counters.  Counting itself is in counters.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "base/compat.h"
#include "base/counters.h"
#include "base/shared_memory.h"

PG_FUNCTION_INFO_V1(taskapi_counters);

static const char *const counter_names[] = {
	[TASKAPI_COUNTER_CHANGES_EXPIRED] = "changes_expired",
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

typedef struct CounterStripe
{
	/* aligned, so that no two stripes share a cache line */
	pg_attribute_aligned(128) pg_atomic_uint64 value[TASKAPI_NCOUNTERS];
} CounterStripe;

pg_atomic_uint64 *taskapi_counter_stripe = NULL;

static CounterStripe *stripes = NULL;

StaticAssertDecl(lengthof(counter_names) == TASKAPI_NCOUNTERS, "every counter needs a name");

static void
init_counters(void *ptr)
{
	CounterStripe *fresh = ptr;

	for (int i = 0; i < TASKAPI_COUNTER_STRIPES; i++)
		for (int j = 0; j < TASKAPI_NCOUNTERS; j++)
			pg_atomic_init_u64(&fresh[i].value[j], 0);
}

void
taskapi_counters_attach(void)
{
	if (stripes == NULL)
	{
		TaskapiArea area = {"counters", .size = TASKAPI_COUNTER_STRIPES * sizeof(CounterStripe), .init = init_counters};

		area.layout = TASKAPI_LAYOUT(1, TASKAPI_NCOUNTERS, TASKAPI_COUNTER_STRIPES, sizeof(CounterStripe));
		stripes = taskapi_area(&area);
	}
	taskapi_counter_stripe = stripes[MyProcPid % TASKAPI_COUNTER_STRIPES].value;
}

uint64
taskapi_counter_value(TaskapiCounter counter)
{
	uint64		sum = 0;

	taskapi_counters_attach();
	for (int i = 0; i < TASKAPI_COUNTER_STRIPES; i++)
		sum += pg_atomic_read_u64(&stripes[i].value[counter]);
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
