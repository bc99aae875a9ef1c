/*-------------------------------------------------------------------------
 *
 * ratelimit_store.h
 *	  The shared table of rate limits: one GCRA state per key.
 *
 * Layout.  The table is an array of neighbourhoods of 1 kB, sixteen cache
 * lines, each with a spinlock and 42 entries of 24 bytes; a key belongs to
 * exactly one neighbourhood, and there to any entry, from the front: while the
 * table is far from full, a decision touches one or two lines.  There is a
 * neighbourhood for every 16 keys that taskapi.rate_limit_max_keys asks for,
 * so 64 bytes a key: that many live keys overfill one anywhere in the table
 * with a probability of 1e-4 for the default of 100,000, and of 1e-2 for the
 * greatest of 10 million (the tail of a Poisson distribution).  The size is
 * fixed when the first backend attaches, and holds until the server stops.
 *
 * Identity.  A key is known by 96 bits of a SipHash under a random seed, which
 * is made with the table (or comes with its snapshot), and under which each
 * database and each kind of key has a key of its own.  The hash picks the
 * neighbourhood too.  Two of n keys share a state with probability n^2 / 2^97:
 * 10^-19 for 100,000.
 *
 * Lifetime of an entry.  One whose TAT has passed equals none and is taken
 * over by the next new key of its neighbourhood.  Where all are live, the one
 * nearest to expiry is dropped: its key then starts afresh, which may admit
 * too many, and which is counted.
 *
 * Locking.  Every decision on a key is made with the spinlock of its
 * neighbourhood held; so for one key they are made one after the other, and
 * two backends can not both insert it.  A decision on several keys holds all
 * their locks, taken in the order of their addresses, which rules out a
 * deadlock.  Under a spinlock stand loads, stores, integer arithmetic and at
 * most one reading of the clock: nothing that throws, waits or checks for
 * interrupts, so that no error and no cancelled query leaves one held.  A
 * backend that is killed with one held takes the server through a crash
 * restart, after which the table is made anew.
 *
 * Time.  The clock is read before the lock is taken, but a time older than the
 * latest one used in that neighbourhood is read again under the lock.  So in
 * the order of the decisions time does not go backwards, unless the clock
 * itself does. Without that, an entry could be taken for expired by a faster
 * backend and found missing by a slower one for whose older time it had not
 * expired: one too many.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RATELIMIT_STORE_H
#define TASKAPI_RATELIMIT_STORE_H

#include "storage/spin.h"

#include "ratelimit/gcra.h"
#include "ratelimit/ratelimit_snapshot.h"
#include "base/siphash.h"

#ifndef RATELIMIT_BUCKET_ENTRIES
#define RATELIMIT_BUCKET_SIZE		1024
#define RATELIMIT_BUCKET_ENTRIES	42
#endif
#define RATELIMIT_BUCKET_KEYS		16	/* that it is meant for */
#define RATELIMIT_MAX_KEY_LEN		1024

/* The most items of one decision */
#define RATELIMIT_MAX_ITEMS			32

typedef struct TaskapiRateLimitKey
{
	uint64		hash1;			/* never 0 */
	uint32		hash2;
} TaskapiRateLimitKey;

typedef struct TaskapiRateLimitBucket
{
	slock_t		lock;
	/* aligned, as 32-bit x86 would have it at 4: times at which decisions were made here, the latest of them */
	pg_attribute_aligned(8) int64 latest;
	TaskapiRateLimitEntry entry[RATELIMIT_BUCKET_ENTRIES];
} TaskapiRateLimitBucket;

typedef struct TaskapiRateLimitTable
{
	uint32		nbuckets;
	TaskapiSipHashKey seed;
	pg_attribute_aligned(PG_CACHE_LINE_SIZE) TaskapiRateLimitBucket bucket[FLEXIBLE_ARRAY_MEMBER];
} TaskapiRateLimitTable;

typedef enum TaskapiRateLimitKind
{
	RATELIMIT_KEY,				/* the key of rate_limit() */
	RATELIMIT_POLICY			/* a policy's name, a zero byte, and a subject */
} TaskapiRateLimitKind;

/* A request within a decision on several */
typedef struct TaskapiRateLimitItem
{
	/* input */
	TaskapiRateLimitKey key;
	TaskapiGcraRequest request;
	bool		shadow;			/* its denial denies nothing */
	/* output */
	TaskapiGcraVerdict verdict;
	/* used in between */
	TaskapiRateLimitBucket *bucket;
	TaskapiRateLimitEntry *entry;
	TaskapiGcraState state;
	TaskapiGcraState new_state;
	bool		changed;
} TaskapiRateLimitItem;

/* taskapi.rate_limit_max_keys */
extern int	taskapi_rate_limit_max_keys;

/* taskapi.test_clock, in seconds since 1970; negative if the real clock counts */
extern double taskapi_rate_limit_test_clock;

/* The table, attached now where it was not yet, and then loaded from its snapshot where it is new. */
extern TaskapiRateLimitTable *taskapi_ratelimit_table(void);

/* Write the live entries to the file that the next start loads; returns how many. */
extern uint64 taskapi_ratelimit_save(void);

extern int64 taskapi_ratelimit_clock(void);
extern TaskapiRateLimitKey taskapi_ratelimit_key(TaskapiRateLimitKind kind, const char *data, int len);

/* Decide on one request, and charge it; with a cost of 0 nothing is changed. */
extern int64 taskapi_ratelimit_decide(TaskapiRateLimitKey key, const TaskapiGcraRequest *request, TaskapiGcraVerdict *verdict);

/*
 * Decide on several, and charge all or none: none where any without "shadow"
 * is denied.  Returns whether they were charged.  The keys are different ones,
 * and "n" is at most RATELIMIT_MAX_ITEMS.  *now is the time of the
 * decision.
 */
extern bool taskapi_ratelimit_decide_all(TaskapiRateLimitItem *items, int n, int64 *now);

extern void taskapi_ratelimit_refund(TaskapiRateLimitKey key, const TaskapiGcraRequest *request);
extern void taskapi_ratelimit_reset(TaskapiRateLimitKey key);

/* How many live entries there are; reads all of the table. */
extern int64 taskapi_ratelimit_live_keys(void);

#endif							/* TASKAPI_RATELIMIT_STORE_H */
