/*-------------------------------------------------------------------------
 *
 * ratelimit_denials.c
 *	  The sketch of who is denied most, and the function that shows it.
 *
 * Between SpinLockAcquire and SpinLockRelease stand only loads, stores and
 * memcpy of at most 192 bytes: nothing that can throw, wait or be interrupted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "base/compat.h"
#include "ratelimit/ratelimit_denials.h"
#include "base/clock.h"
#include "base/shared_memory.h"

PG_FUNCTION_INFO_V1(taskapi_rate_limit_denied);

static void
init_denials(void *ptr)
{
	TaskapiDenialShard *shards = ptr;

	for (int i = 0; i < TASKAPI_DENIAL_SHARDS; i++)
		SpinLockInit(&shards[i].lock);
}

static TaskapiDenialShard *
denials(void)
{
	static TaskapiDenialShard *attached = NULL;

	if (attached == NULL)
	{
		TaskapiArea area = {"denials", .size = TASKAPI_DENIAL_SHARDS * sizeof(TaskapiDenialShard), .init = init_denials};

		area.layout = TASKAPI_LAYOUT(1, TASKAPI_DENIAL_SHARDS, TASKAPI_DENIAL_ENTRIES, sizeof(TaskapiDenialShard),
									 offsetof(TaskapiDenialShard, hash), offsetof(TaskapiDenialShard, entry),
									 sizeof(TaskapiDenial), offsetof(TaskapiDenial, error),
									 offsetof(TaskapiDenial, last_denied_ns), offsetof(TaskapiDenial, database),
									 offsetof(TaskapiDenial, has_policy), offsetof(TaskapiDenial, policy_len),
									 offsetof(TaskapiDenial, subject_len), offsetof(TaskapiDenial, policy),
									 offsetof(TaskapiDenial, subject));
		attached = taskapi_area(&area);
	}
	return attached;
}

void
taskapi_denial_record(uint64 hash, const char *policy, int policy_len,
					  const char *subject, int subject_len, int64 now_ns)
{
	TaskapiDenialShard *shard = &denials()[hash % TASKAPI_DENIAL_SHARDS];
	Oid			database = MyDatabaseId;
	TaskapiDenial *entry;
	int			victim = 0;
	int			i;

	if (policy)
		policy_len = pg_mbcliplen(policy, policy_len, TASKAPI_DENIAL_POLICY_LEN);
	subject_len = pg_mbcliplen(subject, subject_len, TASKAPI_DENIAL_SUBJECT_LEN);
	if (hash == 0)
		hash = 1;

	SpinLockAcquire(&shard->lock);
	for (i = 0; i < TASKAPI_DENIAL_ENTRIES; i++)
	{
		if (shard->hash[i] == hash)
			break;
	}
	if (i == TASKAPI_DENIAL_ENTRIES)
	{
		/* a free entry counts 0, and so is the lowest */
		for (i = 1; i < TASKAPI_DENIAL_ENTRIES; i++)
		{
			if (shard->entry[i].count < shard->entry[victim].count)
				victim = i;
		}
		entry = &shard->entry[victim];
		shard->hash[victim] = hash;
		entry->error = entry->count;
		entry->database = database;
		entry->has_policy = (policy != NULL);
		entry->policy_len = 0;
		if (policy)
		{
			entry->policy_len = policy_len;
			memcpy(entry->policy, policy, policy_len);
		}
		entry->subject_len = subject_len;
		memcpy(entry->subject, subject, subject_len);
	}
	else
		entry = &shard->entry[i];
	entry->count++;
	entry->last_denied_ns = now_ns;
	SpinLockRelease(&shard->lock);
}

/*
 * rate_limit_denied() -> SETOF (policy text, subject text, denied bigint, error bigint, last_denied_at timestamptz)
 *
 * Those of this database, in no order.
 */
Datum
taskapi_rate_limit_denied(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < TASKAPI_DENIAL_SHARDS * TASKAPI_DENIAL_ENTRIES; i++)
	{
		TaskapiDenialShard *shard = &denials()[i / TASKAPI_DENIAL_ENTRIES];
		TaskapiDenial entry;
		Datum		values[5];
		bool		nulls[5] = {false};

		SpinLockAcquire(&shard->lock);
		entry = shard->entry[i % TASKAPI_DENIAL_ENTRIES];
		SpinLockRelease(&shard->lock);

		if (entry.count == 0 || entry.database != MyDatabaseId)
			continue;
		if (entry.has_policy)
			values[0] = PointerGetDatum(cstring_to_text_with_len(entry.policy, entry.policy_len));
		else
			nulls[0] = true;
		values[1] = PointerGetDatum(cstring_to_text_with_len(entry.subject, entry.subject_len));
		values[2] = Int64GetDatum((int64) entry.count);
		values[3] = Int64GetDatum((int64) entry.error);
		values[4] = TimestampTzGetDatum(taskapi_unix_ns_to_timestamptz(entry.last_denied_ns));
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
