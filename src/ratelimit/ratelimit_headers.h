/*-------------------------------------------------------------------------
 *
 * ratelimit_headers.h
 *	  RateLimit-Policy, RateLimit and Retry-After
 *	  (draft-ietf-httpapi-ratelimit-headers), while they are made.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RATELIMIT_HEADERS_H
#define TASKAPI_RATELIMIT_HEADERS_H

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

typedef struct TaskapiRateLimitHeaders
{
	StringInfoData policy;		/* empty while nothing was appended */
	StringInfoData state;
	int64		retry_after;	/* whole seconds, the longest; -1 is none */
} TaskapiRateLimitHeaders;

/* What they tell of one limit; times in seconds */
typedef struct TaskapiRateLimitState
{
	const char *name;
	int64		quota;
	double		window;			/* negative if it is not known */
	int64		remaining;
	bool		allowed;
	bool		can_fit;		/* else no time is long enough */
	double		retry_after;
	double		reset_after;
} TaskapiRateLimitState;

extern void taskapi_rate_limit_headers_init(TaskapiRateLimitHeaders *headers);
extern void taskapi_rate_limit_headers_append(TaskapiRateLimitHeaders *headers, const TaskapiRateLimitState *state);

/*
 * Take over what an earlier check told of other policies, by the values of its headers; NULLs if there was none.
 * The same answer tells of all of them.
 */
extern void taskapi_rate_limit_headers_merge(TaskapiRateLimitHeaders *headers, const char *policy, const char *state);

/* The headers as a JSON object of strings. */
extern Jsonb *taskapi_rate_limit_headers_jsonb(const TaskapiRateLimitHeaders *headers);

#endif							/* TASKAPI_RATELIMIT_HEADERS_H */
