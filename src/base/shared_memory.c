/*-------------------------------------------------------------------------
 *
 * shared_memory.c
 *	  Creating and attaching the segment.
 *
 * From 17 on the server has a registry of named segments.  Before it we keep
 * the handle ourselves, in a few bytes of the main segment that
 * ShmemInitStruct() takes from its reserve; AddinShmemInitLock makes sure that
 * one backend creates the segment and all others find it.  Both are rebuilt
 * from nothing when the server restarts after a crash, and the pinned segments
 * are destroyed then, so no state of a process that was killed is ever met
 * again.
 *
 * The layout's version is part of the name: a newer library never attaches a
 * segment that an older one made.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/shmem.h"

#include "base/compat.h"
#include "base/shared_memory.h"

#ifdef TASKAPI_HAVE_NAMED_SEGMENTS
#include "storage/dsm_registry.h"
#endif

#define SEGMENT_NAME "taskapi 1"

static void init_segment(void *ptr);
static void *attach_segment(void);

pg_atomic_uint64 *taskapi_counter_stripe = NULL;

static TaskapiShared *shared = NULL;

TaskapiShared *
taskapi_shared(void)
{
	if (unlikely(shared == NULL))
	{
		TaskapiShared *segment = attach_segment();

		LWLockRegisterTranche(segment->tranche_id, "taskapi");
		shared = segment;
		taskapi_counter_stripe = shared->counters[MyProcPid % TASKAPI_COUNTER_STRIPES].value;
	}
	return shared;
}

static void
init_segment(void *ptr)
{
	TaskapiShared *segment = ptr;

	memset(segment, 0, sizeof(TaskapiShared));
	segment->tranche_id = LWLockNewTrancheId();
	LWLockInitialize(&segment->lock, segment->tranche_id);
	segment->rate_limit_table = DSM_HANDLE_INVALID;
	for (int i = 0; i < TASKAPI_COUNTER_STRIPES; i++)
		for (int j = 0; j < TASKAPI_NCOUNTERS; j++)
			pg_atomic_init_u64(&segment->counters[i].value[j], 0);
	taskapi_denials_init(segment->denials);
	taskapi_key_usage_init(segment->key_usage);
}

#ifdef TASKAPI_HAVE_NAMED_SEGMENTS

static void *
attach_segment(void)
{
	bool		found;

	return GetNamedDSMSegment(SEGMENT_NAME, sizeof(TaskapiShared), init_segment, &found);
}

#else

static void *
attach_segment(void)
{
	dsm_handle *handle;
	dsm_segment *segment;
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	handle = ShmemInitStruct(SEGMENT_NAME, sizeof(dsm_handle), &found);
	if (!found)
		*handle = DSM_HANDLE_INVALID;

	if (*handle == DSM_HANDLE_INVALID)
	{
		segment = dsm_create(sizeof(TaskapiShared), 0);
		init_segment(dsm_segment_address(segment));
		dsm_pin_segment(segment);
		*handle = dsm_segment_handle(segment);
	}
	else
	{
		/* an earlier try may have mapped it and then failed */
		segment = dsm_find_mapping(*handle);
		if (segment == NULL)
			segment = dsm_attach(*handle);
		if (segment == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg("could not map dynamic shared memory segment")));
	}
	dsm_pin_mapping(segment);
	LWLockRelease(AddinShmemInitLock);

	return dsm_segment_address(segment);
}

#endif							/* TASKAPI_HAVE_NAMED_SEGMENTS */
