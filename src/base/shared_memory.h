/*-------------------------------------------------------------------------
 *
 * shared_memory.h
 *	  The segment of shared memory that the whole server has for taskapi.
 *
 * It needs no preloading: a backend attaches it on first use, and whoever comes
 * first creates it.  Its size is fixed at compile time; what depends on a
 * setting lives in segments of its own, whose handles are kept here.  It lives
 * until the server stops, or restarts after a crash, and starts over as zeros.
 * DROP EXTENSION does not touch it.
 *
 * "lock" guards the creation of those other segments, and nothing that a
 * request waits for.  As an LWLock it is released by error cleanup.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_SHARED_MEMORY_H
#define TASKAPI_SHARED_MEMORY_H

#include "port/atomics.h"
#include "storage/dsm.h"
#include "storage/lwlock.h"

#include "base/counters.h"
#include "auth/key_usage.h"
#include "ratelimit/ratelimit_denials.h"

typedef struct TaskapiCounterStripe
{
	/* aligned, so that no two stripes share a cache line */
	pg_attribute_aligned(128) pg_atomic_uint64 value[TASKAPI_NCOUNTERS];
} TaskapiCounterStripe;

typedef struct TaskapiShared
{
	LWLock		lock;
	int			tranche_id;
	dsm_handle	rate_limit_table;	/* DSM_HANDLE_INVALID until there is one */
	TaskapiCounterStripe counters[TASKAPI_COUNTER_STRIPES];
	TaskapiDenialShard denials[TASKAPI_DENIAL_SHARDS];
	TaskapiKeyUsageBucket key_usage[TASKAPI_KEY_USAGE_BUCKETS];
} TaskapiShared;

/* The segment, attached now where it was not yet.  Throws where that fails. */
extern TaskapiShared *taskapi_shared(void);

#endif							/* TASKAPI_SHARED_MEMORY_H */
