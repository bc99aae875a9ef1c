/*-------------------------------------------------------------------------
 *
 * shared_memory.h
 *	  Named segments of shared memory, without preloading: what
 *	  GetNamedDSMSegment() of PostgreSQL 17 is.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_SHARED_MEMORY_H
#define TASKAPI_SHARED_MEMORY_H

#include "storage/dsm.h"

/*
 * The segment of that name, attached now where it was not yet; whoever comes first creates it, and runs "init" on it while
 * all others wait.  It lives until the server stops, or restarts after a crash.  Throws where that fails.
 */
extern void *taskapi_segment(const char *name, Size size, void (*init) (void *ptr));

/* Map a segment that another backend made and pinned. */
extern void *taskapi_map_segment(dsm_handle handle);

#endif							/* TASKAPI_SHARED_MEMORY_H */
