/*-------------------------------------------------------------------------
 *
 * ratelimit_snapshot.h
 *	  The file that rate limits are saved in: a header, the live entries as they
 *	  are in the table, and a CRC-32C of both.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RATELIMIT_SNAPSHOT_H
#define TASKAPI_RATELIMIT_SNAPSHOT_H

#include "ratelimit/ratelimit_snapshot_format.h"

/* Replace the file atomically.  Errors leave the old one. */
extern void taskapi_snapshot_write(TaskapiSipHashKey seed, int64 now, const TaskapiRateLimitEntry *entries, uint64 nentries);

/* The whole file, palloc'd and checked, or NULL: there is none, or it was ignored with a message in the log. */
extern char *taskapi_snapshot_read(TaskapiRateLimitSnapshotHeader *header);

#endif							/* TASKAPI_RATELIMIT_SNAPSHOT_H */
