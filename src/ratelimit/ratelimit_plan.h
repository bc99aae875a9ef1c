/*-------------------------------------------------------------------------
 *
 * ratelimit_plan.h
 *	  The policies that tables apply to a request: by its caller's plan, its
 *	  method and its path.
 *
 * A row of taskapi.rate_limit_policy that says what it counts is applied to every
 * request that its plan, method and path fit, without being named anywhere.  A
 * request is charged what taskapi.rate_limit_route says that it costs.  A row of
 * taskapi.rate_limit_override gives one subject another rate.
 *
 * The caller's plan is that of taskapi.rate_limit_subject, else the claim "plan" of a bearer token, else
 * taskapi.default_plan; a caller without a subject has none.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RATELIMIT_PLAN_H
#define TASKAPI_RATELIMIT_PLAN_H

#include "ratelimit/ratelimit_policy.h"

/* Whom policies may count; each may be NULL. */
typedef struct TaskapiRateLimitCaller
{
	const char *subject;
	const char *api_key;
	const char *address;
} TaskapiRateLimitCaller;

/* Adds them to a check; reads no table if no policy says what it counts. */
extern void taskapi_rate_limit_add_plan(TaskapiRateLimitCheck *check, const TaskapiRateLimitCaller *caller);

extern void taskapi_rate_limit_plan_init(void);

#endif							/* TASKAPI_RATELIMIT_PLAN_H */
