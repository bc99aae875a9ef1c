/*-------------------------------------------------------------------------
 *
 * clock.h
 *	  Nanoseconds since 1970, and timestamps.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_CLOCK_H
#define TASKAPI_CLOCK_H

#include "utils/timestamp.h"

static inline TimestampTz
taskapi_ns_to_timestamptz(int64 ns)
{
	return ns / 1000 - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
}

#endif							/* TASKAPI_CLOCK_H */
