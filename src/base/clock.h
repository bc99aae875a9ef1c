/*-------------------------------------------------------------------------
 *
 * clock.h
 *	  Clocks, and times from one epoch to another.
 *
 * The server counts microseconds from 2000-01-01 00:00 UTC, Unix seconds from
 * 1970, the rate limits nanoseconds from 1970, and tokens seconds from 2020.
 * Every conversion between them stands here.  A header without a .c: all of it
 * is inlined.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_CLOCK_H
#define TASKAPI_CLOCK_H

#include <time.h>

#include "utils/timestamp.h"

#define TASKAPI_NS_PER_SEC	INT64CONST(1000000000)

/* From the Unix epoch to PostgreSQL's, in microseconds */
#define TASKAPI_POSTGRES_EPOCH_US ((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

/* From PostgreSQL's epoch to that of tokens, 2020-01-01 00:00 UTC, in seconds */
#define TASKAPI_TOKEN_EPOCH_S INT64CONST(631152000)

/* CLOCK_REALTIME, the only clock that means the same after a restart; nanoseconds since 1970 */
static inline int64
taskapi_unix_ns_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64) ts.tv_sec * TASKAPI_NS_PER_SEC + ts.tv_nsec;
}

static inline TimestampTz
taskapi_unix_ns_to_timestamptz(int64 ns)
{
	return ns / 1000 - TASKAPI_POSTGRES_EPOCH_US;
}

static inline TimestampTz
taskapi_unix_ms_to_timestamptz(int64 ms)
{
	return ms * 1000 - TASKAPI_POSTGRES_EPOCH_US;
}

/* Seconds since 1970, with a fraction (RFC 7519's NumericDate) */
static inline double
taskapi_timestamptz_to_unix(TimestampTz timestamp)
{
	return (timestamp + TASKAPI_POSTGRES_EPOCH_US) / (double) USECS_PER_SEC;
}

/* Whole seconds since 2020 */
static inline int64
taskapi_timestamptz_to_token_time(TimestampTz timestamp)
{
	return timestamp / USECS_PER_SEC - TASKAPI_TOKEN_EPOCH_S;
}

#endif							/* TASKAPI_CLOCK_H */
