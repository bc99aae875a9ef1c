/*-------------------------------------------------------------------------
 *
 * ratelimit_denials.h
 *	  Who is denied most, in bounded memory: a space-saving sketch.
 *
 * The algorithm is that of A. Metwally, D. Agrawal, A. El Abbadi, "Efficient
 * Computation of Frequent and Top-k Elements in Data Streams" (2005): a
 * subject without an entry takes over the one with the lowest count, and
 * inherits that count as its possible error.  So a count is never too low, is
 * at most "error" too high, and whoever has more than 1/k of all denials of a
 * shard, k being its entries, is certainly in it.
 *
 * The entries are spread over shards by the hash of (database, policy,
 * subject). Each shard has a spinlock of its own, held for a scan of one cache
 * line of hashes and, on a take-over, the copying of two short strings.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RATELIMIT_DENIALS_H
#define TASKAPI_RATELIMIT_DENIALS_H

#include "datatype/timestamp.h"
#include "storage/spin.h"

#define TASKAPI_DENIAL_SHARDS		64
#ifndef TASKAPI_DENIAL_ENTRIES
#define TASKAPI_DENIAL_ENTRIES		8
#endif
#define TASKAPI_DENIAL_POLICY_LEN	64
#define TASKAPI_DENIAL_SUBJECT_LEN	128

typedef struct TaskapiDenial
{
	uint64		count;
	uint64		error;			/* of the count, that many may be another's */
	int64		last_denied_ns; /* since 1970 */
	Oid			database;
	bool		has_policy;
	uint8		policy_len;
	uint8		subject_len;
	char		policy[TASKAPI_DENIAL_POLICY_LEN];
	char		subject[TASKAPI_DENIAL_SUBJECT_LEN];
} TaskapiDenial;

typedef struct TaskapiDenialShard
{
	pg_attribute_aligned(128) slock_t lock;
	uint64		hash[TASKAPI_DENIAL_ENTRIES];	/* 0 is a free entry */
	TaskapiDenial entry[TASKAPI_DENIAL_ENTRIES];
} TaskapiDenialShard;

/*
 * Count a denial.  "hash" identifies database, policy and subject; "policy" is
 * NULL for a limit that has none.  Both strings are cut to what fits, at a
 * character's boundary.
 */
extern void taskapi_denial_record(uint64 hash, const char *policy, int policy_len,
								  const char *subject, int subject_len, int64 now_ns);

#endif							/* TASKAPI_RATELIMIT_DENIALS_H */
