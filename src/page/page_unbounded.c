/*-------------------------------------------------------------------------
 *
 * page_unbounded.c
 *	  Pages that no index bounds (page_unbounded.h).
 *
 * SQL: sql/install/81_metrics.sql
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/spin.h"
#include "utils/builtins.h"
#include "utils/rls.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "base/compat.h"
#include "base/shared_memory.h"
#include "page/page_unbounded.h"

typedef struct UnboundedPages
{
	uint64		count;			/* 0 is a free entry */
	uint64		error;			/* that many may be another's */
	TimestampTz last_at;
	Oid			database;
	Oid			source;
	uint8		order_len;
	char		order_by[TASKAPI_UNBOUNDED_ORDER_LEN];
} UnboundedPages;

typedef struct UnboundedShard
{
	pg_attribute_aligned(128) slock_t lock;
	uint64		displaced;		/* the highest count that had to make room */
	uint64		hash[TASKAPI_UNBOUNDED_ENTRIES];	/* of database, source and order */
	UnboundedPages entry[TASKAPI_UNBOUNDED_ENTRIES];
} UnboundedShard;

static UnboundedShard *shards(void);
static void count_page(UnboundedShard *shard, uint64 hash, const UnboundedPages *page);
static bool source_exists(const UnboundedPages *page);
static void forget(UnboundedShard *shard, int place, const UnboundedPages *page);

static void
init_shards(void *ptr)
{
	for (int i = 0; i < TASKAPI_UNBOUNDED_SHARDS; i++)
		SpinLockInit(&((UnboundedShard *) ptr)[i].lock);
}

static UnboundedShard *
shards(void)
{
	static UnboundedShard *attached = NULL;

	if (attached == NULL)
	{
		TaskapiArea area = {"unbounded pages", .size = TASKAPI_UNBOUNDED_SHARDS * sizeof(UnboundedShard), .init = init_shards};

		area.layout = TASKAPI_LAYOUT(1, TASKAPI_UNBOUNDED_SHARDS, TASKAPI_UNBOUNDED_ENTRIES, sizeof(UnboundedShard),
									 offsetof(UnboundedShard, displaced),
									 offsetof(UnboundedShard, hash), offsetof(UnboundedShard, entry), sizeof(UnboundedPages),
									 offsetof(UnboundedPages, last_at), offsetof(UnboundedPages, source),
									 offsetof(UnboundedPages, order_len), offsetof(UnboundedPages, order_by));
		attached = taskapi_area(&area);
	}
	return attached;
}

void
taskapi_page_count_unbounded(const TaskapiPageQuery *query)
{
	UnboundedPages page = {.count = 1};
	char	   *order_by;
	uint64		hash;

	/* row-level security keeps a leaky index from bounding anything, but only for those whom it holds for */
	if (OidIsValid(query->index.indexoid) &&
		(!query->index.leaky || check_enable_rls(query->source->base_relid, InvalidOid, true) != RLS_ENABLED))
		return;

	order_by = taskapi_order_by_canonical(query->order->order_by);
	page.last_at = GetCurrentStatementStartTimestamp();
	page.database = MyDatabaseId;
	page.source = query->source->relid;
	page.order_len = pg_mbcliplen(order_by, strlen(order_by), TASKAPI_UNBOUNDED_ORDER_LEN);
	memcpy(page.order_by, order_by, page.order_len);
	hash = hash_combine64(hash_bytes_extended((unsigned char *) order_by, strlen(order_by), page.database),
						  hash_bytes_uint32_extended(page.source, 0));
	count_page(&shards()[hash % TASKAPI_UNBOUNDED_SHARDS], hash, &page);
	pfree(order_by);
}

/*
 * A new one takes the place of that which was counted least, or a free one.  It may have had to make room before: then
 * it had at most as many as the highest that did, which is what may be wrong with its count.
 */
static void
count_page(UnboundedShard *shard, uint64 hash, const UnboundedPages *page)
{
	int			place = 0;

	SpinLockAcquire(&shard->lock);
	for (int i = 0; i < TASKAPI_UNBOUNDED_ENTRIES; i++)
	{
		if (shard->entry[i].count > 0 && shard->hash[i] == hash)
		{
			shard->entry[i].count++;
			shard->entry[i].last_at = page->last_at;
			SpinLockRelease(&shard->lock);
			return;
		}
		if (shard->entry[i].count < shard->entry[place].count)
			place = i;
	}
	shard->displaced = Max(shard->displaced, shard->entry[place].count);
	shard->hash[place] = hash;
	shard->entry[place] = *page;
	shard->entry[place].error = shard->displaced;
	shard->entry[place].count += shard->displaced;
	SpinLockRelease(&shard->lock);
}

/*
 * Whether what was paged is still there.  Of another database's tables nothing is known here.
 */
static bool
source_exists(const UnboundedPages *page)
{
	if (page->database == MyDatabaseId)
		return SearchSysCacheExists1(RELOID, ObjectIdGetDatum(page->source));
	return SearchSysCacheExists1(DATABASEOID, ObjectIdGetDatum(page->database));
}

/*
 * Free an entry of what was dropped, unless another has taken its place.
 */
static void
forget(UnboundedShard *shard, int place, const UnboundedPages *page)
{
	UnboundedPages *entry = &shard->entry[place];

	SpinLockAcquire(&shard->lock);
	if (entry->database == page->database && entry->source == page->source)
		entry->count = 0;
	SpinLockRelease(&shard->lock);
}

/*
 * unbounded_page_counts() -> SETOF (source regclass, order_by text, pages bigint, error bigint, last_at timestamptz)
 *
 * Those of this database, in no order.  What was dropped makes room: a table that nobody reads any more would keep
 * the orders of living ones out.
 */
PG_FUNCTION_INFO_V1(taskapi_unbounded_page_counts);
Datum
taskapi_unbounded_page_counts(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < TASKAPI_UNBOUNDED_SHARDS * TASKAPI_UNBOUNDED_ENTRIES; i++)
	{
		UnboundedShard *shard = &shards()[i / TASKAPI_UNBOUNDED_ENTRIES];
		UnboundedPages entry;
		Datum		values[5];
		bool		nulls[5] = {false};

		SpinLockAcquire(&shard->lock);
		entry = shard->entry[i % TASKAPI_UNBOUNDED_ENTRIES];
		SpinLockRelease(&shard->lock);

		if (entry.count == 0)
			continue;
		if (!source_exists(&entry))
		{
			forget(shard, i % TASKAPI_UNBOUNDED_ENTRIES, &entry);
			continue;
		}
		if (entry.database != MyDatabaseId)
			continue;
		values[0] = ObjectIdGetDatum(entry.source);
		values[1] = PointerGetDatum(cstring_to_text_with_len(entry.order_by, entry.order_len));
		values[2] = Int64GetDatum((int64) entry.count);
		values[3] = Int64GetDatum((int64) entry.error);
		values[4] = TimestampTzGetDatum(entry.last_at);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
