/*-------------------------------------------------------------------------
 *
 * shared_memory.c
 *	  Named segments (shared_memory.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#include "base/compat.h"
#include "base/shared_memory.h"

#ifdef TASKAPI_HAVE_NAMED_SEGMENTS
#include "storage/dsm_registry.h"
#endif

void *
taskapi_map_segment(dsm_handle handle)
{
	/* an earlier try may have mapped it and then failed */
	dsm_segment *segment = dsm_find_mapping(handle);

	if (segment == NULL)
		segment = dsm_attach(handle);
	if (segment == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not map dynamic shared memory segment")));
	dsm_pin_mapping(segment);
	return dsm_segment_address(segment);
}

#ifdef TASKAPI_HAVE_NAMED_SEGMENTS

void *
taskapi_segment(const char *name, Size size, void (*init) (void *ptr))
{
	bool		found;

	return GetNamedDSMSegment(name, size, init, &found);
}

#else

void *
taskapi_segment(const char *name, Size size, void (*init) (void *ptr))
{
	dsm_handle *handle;
	void	   *result;
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	handle = ShmemInitStruct(name, sizeof(dsm_handle), &found);
	if (!found)
		*handle = DSM_HANDLE_INVALID;
	if (*handle == DSM_HANDLE_INVALID)
	{
		dsm_segment *segment = dsm_create(size, 0);

		result = dsm_segment_address(segment);
		memset(result, 0, size);
		init(result);
		dsm_pin_segment(segment);
		dsm_pin_mapping(segment);
		*handle = dsm_segment_handle(segment);
	}
	else
		result = taskapi_map_segment(*handle);
	LWLockRelease(AddinShmemInitLock);
	return result;
}

#endif							/* TASKAPI_HAVE_NAMED_SEGMENTS */
