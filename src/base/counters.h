/*-------------------------------------------------------------------------
 *
 * counters.h
 *	  What the server did with this extension, counted in shared memory.
 *
 * Counters are cumulative since the server started, over all its databases.
 * Each is spread over TASKAPI_COUNTER_STRIPES cache-line groups, of which a
 * backend uses one, so that counting never makes a hot cache line; a reader
 * sums the stripes and may miss what is being added at that moment.
 *
 * taskapi_count() is an atomic addition.  The first one in a backend attaches
 * the shared segment, which may throw where the server is out of shared
 * memory; so call it neither in a critical section nor with a spinlock held.
 * It is safe in read-only transactions, on a standby and in parallel workers,
 * and is not undone by a rollback.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_COUNTERS_H
#define TASKAPI_COUNTERS_H

#include "port/atomics.h"

typedef enum TaskapiCounter
{
	TASKAPI_COUNTER_CHANGES_EXPIRED,
	TASKAPI_COUNTER_CURSORS_MADE,
	TASKAPI_COUNTER_CURSORS_OPENED,
	TASKAPI_COUNTER_CURSORS_REFUSED,
	TASKAPI_COUNTER_IDEMPOTENCY_BEGINS,
	TASKAPI_COUNTER_IDEMPOTENCY_REPLAYS,
	TASKAPI_COUNTER_IDEMPOTENCY_REUSED,
	TASKAPI_COUNTER_IDEMPOTENCY_WAITS,
	TASKAPI_COUNTER_RATE_LIMIT_ALLOWED,
	TASKAPI_COUNTER_RATE_LIMIT_DENIED,
	TASKAPI_COUNTER_RATE_LIMIT_SHADOW_DENIED,
	TASKAPI_COUNTER_RATE_LIMIT_EVICTED,
	TASKAPI_COUNTER_RATE_LIMIT_RECLAIMED
} TaskapiCounter;

#define TASKAPI_NCOUNTERS		(TASKAPI_COUNTER_RATE_LIMIT_RECLAIMED + 1)

/* A power of two; a build may choose another */
#ifndef TASKAPI_COUNTER_STRIPES
#define TASKAPI_COUNTER_STRIPES 64
#endif

/* This backend's stripe; NULL until the first count. */
extern PGDLLIMPORT pg_atomic_uint64 *taskapi_counter_stripe;

/* Attach the segment where it is not yet; sets taskapi_counter_stripe. */
extern void taskapi_counters_attach(void);

static inline void
taskapi_count(TaskapiCounter counter, uint64 n)
{
	if (unlikely(taskapi_counter_stripe == NULL))
		taskapi_counters_attach();
	pg_atomic_fetch_add_u64(&taskapi_counter_stripe[counter], (int64) n);
}

/* The sum over all stripes. */
extern uint64 taskapi_counter_value(TaskapiCounter counter);

#endif							/* TASKAPI_COUNTERS_H */
