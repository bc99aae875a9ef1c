/*-------------------------------------------------------------------------
 *
 * ratelimit_policy.h
 *	  Rate limits by policy, for the other modules.
 *
 * A policy is a row of taskapi.rate_limit_policy; a subject is whom it counts
 * (a user, an API key, an address).  All of these may be called in a read-only
 * transaction and on a standby, but not in a parallel worker.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RATELIMIT_POLICY_H
#define TASKAPI_RATELIMIT_POLICY_H

#include "ratelimit/ratelimit_store.h"

/* The most policies that one call may name. */
#define TASKAPI_MAX_RATE_LIMIT_SUBJECTS RATELIMIT_MAX_ITEMS

typedef struct TaskapiRateLimitSubject
{
	const char *policy;
	const char *subject;
} TaskapiRateLimitSubject;

/* Is there a policy of that name? */
extern bool taskapi_rate_limit_policy_exists(const char *policy);

/*
 * Charge "cost" to every subject under its policy, or to none where any of them
 * denies.  Sets the RateLimit and RateLimit-Policy headers of the answer, or
 * raises rate_limited with them and Retry-After.  An unknown policy, an empty
 * subject, a negative cost or more than TASKAPI_MAX_RATE_LIMIT_SUBJECTS is an
 * error that charges nothing.
 */
extern void taskapi_enforce_rate_limits(const TaskapiRateLimitSubject *subjects, int n, int cost);

#endif							/* TASKAPI_RATELIMIT_POLICY_H */
