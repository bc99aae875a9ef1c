/*-------------------------------------------------------------------------
 *
 * key_usage.c
 *	  When each API key was last used (key_usage.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "base/compat.h"
#include "auth/key_usage.h"
#include "base/shared_memory.h"

static void
init_usage(void *ptr)
{
	TaskapiKeyUsageBucket *buckets = ptr;

	for (int i = 0; i < TASKAPI_KEY_USAGE_BUCKETS; i++)
		SpinLockInit(&buckets[i].lock);
}

static TaskapiKeyUsageBucket *
usage(void)
{
	static TaskapiKeyUsageBucket *attached = NULL;

	if (attached == NULL)
	{
		TaskapiArea area = {"key usage", .size = TASKAPI_KEY_USAGE_BUCKETS * sizeof(TaskapiKeyUsageBucket), .init = init_usage};

		area.layout = TASKAPI_LAYOUT(1, TASKAPI_KEY_USAGE_BUCKETS, TASKAPI_KEY_USAGE_ENTRIES,
									 sizeof(TaskapiKeyUsageBucket), offsetof(TaskapiKeyUsageBucket, entry),
									 sizeof(TaskapiKeyUsage), offsetof(TaskapiKeyUsage, used_at),
									 offsetof(TaskapiKeyUsage, database), offsetof(TaskapiKeyUsage, id));
		attached = taskapi_area(&area);
	}
	return attached;
}

static TaskapiKeyUsageBucket *
bucket_of(const pg_uuid_t *id)
{
	uint32		hash = hash_bytes(id->data, UUID_LEN);

	return &usage()[hash % TASKAPI_KEY_USAGE_BUCKETS];
}

void
taskapi_key_used(const pg_uuid_t *id, TimestampTz at)
{
	TaskapiKeyUsageBucket *bucket = bucket_of(id);
	TaskapiKeyUsage *oldest;

	SpinLockAcquire(&bucket->lock);
	oldest = &bucket->entry[0];
	for (int i = 0; i < TASKAPI_KEY_USAGE_ENTRIES; i++)
	{
		TaskapiKeyUsage *entry = &bucket->entry[i];

		if (entry->database == MyDatabaseId && memcmp(entry->id.data, id->data, UUID_LEN) == 0)
		{
			oldest = entry;
			break;
		}
		if (entry->used_at < oldest->used_at)
			oldest = entry;
	}
	/* two backends may report in another order than they read the clock */
	if (oldest->database != MyDatabaseId || memcmp(oldest->id.data, id->data, UUID_LEN) != 0 ||
		oldest->used_at < at)
		oldest->used_at = at;
	oldest->database = MyDatabaseId;
	oldest->id = *id;
	SpinLockRelease(&bucket->lock);
}

/*
 * api_key_usage() -> TABLE (id uuid, used_at timestamptz)
 *
 * The keys of this database that the table has an entry of.
 */
PG_FUNCTION_INFO_V1(taskapi_api_key_usage);
Datum
taskapi_api_key_usage(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	TaskapiKeyUsageBucket *buckets = usage();

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < TASKAPI_KEY_USAGE_BUCKETS; i++)
	{
		TaskapiKeyUsage copy[TASKAPI_KEY_USAGE_ENTRIES];

		SpinLockAcquire(&buckets[i].lock);
		memcpy(copy, buckets[i].entry, sizeof(copy));
		SpinLockRelease(&buckets[i].lock);

		for (int j = 0; j < TASKAPI_KEY_USAGE_ENTRIES; j++)
		{
			Datum		values[2];
			bool		nulls[2] = {false, false};

			if (copy[j].used_at == 0 || copy[j].database != MyDatabaseId)
				continue;
			values[0] = UUIDPGetDatum(&copy[j].id);
			values[1] = TimestampTzGetDatum(copy[j].used_at);
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		}
	}
	return (Datum) 0;
}

/*
 * api_key_last_used(id uuid) -> timestamptz
 *
 * NULL where the table has no entry of it.
 */
PG_FUNCTION_INFO_V1(taskapi_api_key_last_used);
Datum
taskapi_api_key_last_used(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *id = PG_GETARG_UUID_P(0);
	TaskapiKeyUsageBucket *bucket = bucket_of(id);
	TimestampTz used_at = 0;

	SpinLockAcquire(&bucket->lock);
	for (int i = 0; i < TASKAPI_KEY_USAGE_ENTRIES; i++)
	{
		TaskapiKeyUsage *entry = &bucket->entry[i];

		if (entry->database == MyDatabaseId && memcmp(entry->id.data, id->data, UUID_LEN) == 0)
			used_at = entry->used_at;
	}
	SpinLockRelease(&bucket->lock);

	if (used_at == 0)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(used_at);
}
