/*-------------------------------------------------------------------------
 *
 * ratelimit_policy.h
 *	  Rate limits by policy, for the other modules.
 *
 * A policy is a row of taskapi.rate_limit_policy; a subject is whom it counts
 * (a user, an API key, an address).  A subject that is a uuid counts as one,
 * however it is spelled (base/subject.h).  All of these may be called in a
 * read-only transaction and on a standby, but not in a parallel worker.
 *
 *		check = taskapi_rate_limit_check(cost);
 *		taskapi_rate_limit_add_if_exists(check, "per_user", subject);
 *		...
 *		taskapi_rate_limit_enforce(check);
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RATELIMIT_POLICY_H
#define TASKAPI_RATELIMIT_POLICY_H

#include "ratelimit/ratelimit_store.h"

/* The most policies that one check may name. */
#define TASKAPI_MAX_RATE_LIMIT_SUBJECTS RATELIMIT_MAX_ITEMS

typedef struct TaskapiRateLimitCheck TaskapiRateLimitCheck;

/* A check of no policy yet, palloc'd; an error for a negative cost. */
extern TaskapiRateLimitCheck *taskapi_rate_limit_check(int cost);

/*
 * Add a subject under a policy, unless the subject is NULL or there is no policy
 * of that name.  An empty subject, one that is too long, or more than
 * TASKAPI_MAX_RATE_LIMIT_SUBJECTS is an error.  The strings must last as long as
 * the check.
 */
extern void taskapi_rate_limit_add_if_exists(TaskapiRateLimitCheck *check, const char *policy, const char *subject);

/*
 * The same with a cost of its own, and with another limit than the policy's unless "limit" is NULL.
 */
extern void taskapi_rate_limit_add(TaskapiRateLimitCheck *check, const char *policy, const char *subject, int cost,
								   const TaskapiGcraLimit *limit);

/*
 * Charge the cost to every subject under its policy, or to none if any of them
 * denies.  Sets the RateLimit and RateLimit-Policy headers of the answer, or
 * raises rate_limited with them and Retry-After.
 */
extern void taskapi_rate_limit_enforce(TaskapiRateLimitCheck *check);

#endif							/* TASKAPI_RATELIMIT_POLICY_H */
