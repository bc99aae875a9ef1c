/*-------------------------------------------------------------------------
 *
 * key_usage.h
 *	  When each API key was last used, in shared memory.
 *
 * A GET runs in a read-only transaction, perhaps on a standby, and must not
 * become a write.  So the time goes into a table of fixed size here, which
 * flush_api_key_usage() writes down without emptying it: writing twice changes
 * nothing, and a flush that is rolled back loses nothing.  An entry is taken
 * from the key that rested longest among those of its bucket, so of more than
 * some thousand keys in use between two flushes some may show an older time than
 * they should.  A server that stops forgets what was not written down, and a
 * standby cannot write it.
 *
 * Each bucket has a spinlock, held for a scan of its entries.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_KEY_USAGE_H
#define TASKAPI_KEY_USAGE_H

#include "datatype/timestamp.h"
#include "storage/spin.h"
#include "utils/uuid.h"

#define TASKAPI_KEY_USAGE_BUCKETS 512
#ifndef TASKAPI_KEY_USAGE_ENTRIES
#define TASKAPI_KEY_USAGE_ENTRIES 8
#endif

typedef struct TaskapiKeyUsage
{
	TimestampTz used_at;		/* 0 is a free entry */
	Oid			database;
	pg_uuid_t	id;
} TaskapiKeyUsage;

typedef struct TaskapiKeyUsageBucket
{
	slock_t		lock;
	TaskapiKeyUsage entry[TASKAPI_KEY_USAGE_ENTRIES];
} TaskapiKeyUsageBucket;

/* key_usage.c: report that a key is used now; see key_usage.h. */
extern void taskapi_key_used(const pg_uuid_t *id, TimestampTz at);

#endif							/* TASKAPI_KEY_USAGE_H */
