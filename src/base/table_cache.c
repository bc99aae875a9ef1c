/*-------------------------------------------------------------------------
 *
 * table_cache.c
 *	  The server's invalidation callbacks, once for all caches (table_cache.h).
 *
 * SQL: sql/install/00_header.sql
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/own_objects.h"
#include "base/table_cache.h"
#include "base/trigger_check.h"

#define MAX_SUBSCRIBERS 8

static TaskapiTableCache *caches = NULL;
static TaskapiRelationCallback subscribers[MAX_SUBSCRIBERS];
static int	nsubscribers = 0;
static uint64 relation_generation = 1;
static uint64 names_generation = 1;
static uint64 types_generation = 1;

static void relcache_callback(Datum arg, Oid relid);
static void syscache_callback(Datum arg, int cacheid, uint32 hashvalue);

void
taskapi_table_cache_init(void)
{
	static const int names[] = {NAMESPACEOID, PROCOID, OPEROID, CLAOID, COLLOID, CASTSOURCETARGET};

	CacheRegisterRelcacheCallback(relcache_callback, (Datum) 0);
	for (int i = 0; i < lengthof(names); i++)
		CacheRegisterSyscacheCallback(names[i], syscache_callback, PointerGetDatum(&names_generation));
	CacheRegisterSyscacheCallback(TYPEOID, syscache_callback, PointerGetDatum(&types_generation));
}

bool
taskapi_table_cache_valid(const TaskapiTableCache *cache)
{
	return cache->valid;
}

void
taskapi_table_cache_filled(TaskapiTableCache *cache, uint64 generation)
{
	if (!cache->listed)
	{
		cache->next = caches;
		caches = cache;
		cache->listed = true;
	}
	cache->relid = taskapi_relation_oid(cache->relname);
	cache->valid = (generation == relation_generation);
}

void
taskapi_on_relation_change(TaskapiRelationCallback callback)
{
	if (nsubscribers == MAX_SUBSCRIBERS)
		elog(ERROR, "too many subscribers to changes of relations");
	subscribers[nsubscribers++] = callback;
}

uint64
taskapi_relation_generation(void)
{
	return relation_generation;
}

uint64
taskapi_names_generation(void)
{
	return names_generation;
}

uint64
taskapi_types_generation(void)
{
	return types_generation;
}

/*
 * Any message may be about a table that a cache is being filled from, so every
 * one advances the generation; only those about a cache's own table (or about
 * all, relid 0) drop a filled cache.
 */
static void
relcache_callback(Datum arg, Oid relid)
{
	relation_generation++;
	for (TaskapiTableCache *cache = caches; cache != NULL; cache = cache->next)
	{
		if (relid == InvalidOid || cache->relid == relid)
			cache->valid = false;
	}
	for (int i = 0; i < nsubscribers; i++)
		subscribers[i] (relid);
}

static void
syscache_callback(Datum arg, int cacheid, uint32 hashvalue)
{
	(*(uint64 *) DatumGetPointer(arg))++;
}

/*
 * invalidate_cache() -> trigger
 *
 * Statement trigger on a configuration table: makes every backend drop what it
 * has cached of it when this transaction commits, and this one at once.
 */
PG_FUNCTION_INFO_V1(taskapi_invalidate_cache);
Datum
taskapi_invalidate_cache(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = taskapi_require_trigger(fcinfo, 0, "invalidate_cache");

	CacheInvalidateRelcache(trigdata->tg_relation);
	return PointerGetDatum(NULL);
}
