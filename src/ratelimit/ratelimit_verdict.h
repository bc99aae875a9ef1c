/*-------------------------------------------------------------------------
 *
 * ratelimit_verdict.h
 *	  Limits from SQL values, and verdicts as SQL values; private to ratelimit*.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RATELIMIT_VERDICT_H
#define TASKAPI_RATELIMIT_VERDICT_H

#include "access/tupdesc.h"
#include "utils/timestamp.h"

#include "ratelimit/gcra.h"

/* taskapi.rate_limit_verdict */
#define RATELIMIT_VERDICT_NATTS 6

/*
 * A limit from what SQL gives.  Throws invalid_parameter_value where the rate,
 * the interval or the burst is out of range.
 */
extern void taskapi_ratelimit_limit(TaskapiGcraLimit *limit, int32 rate, const Interval *per, int32 burst);

/* Throw where a cost is negative, or a key or subject empty or too long. */
extern void taskapi_ratelimit_check_cost(int32 cost);
extern void taskapi_ratelimit_check_key(const char *what, int len);

/* A verdict's columns; "policy" may be NULL. */
extern void taskapi_ratelimit_verdict_values(const char *policy, uint32 limit, const TaskapiGcraVerdict *verdict,
											 Datum *values, bool *nulls);

#endif							/* TASKAPI_RATELIMIT_VERDICT_H */
