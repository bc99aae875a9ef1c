/*-------------------------------------------------------------------------
 *
 * catalog.c
 *	  The extension's own objects, and the invalidation of table caches.
 *
 * One relcache callback serves every cache: it marks the caches whose table is
 * hit and advances a generation, so that a cache that is being filled while the
 * message arrives does not take itself for valid.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/catalog.h"
#include "base/compat.h"

#define MAX_TABLE_CACHES 16

static TaskapiTableCache *caches[MAX_TABLE_CACHES];
static int	ncaches = 0;
static uint64 generation = 1;
static Oid	schema_oid = InvalidOid;

static void relcache_callback(Datum arg, Oid relid);
static void namespace_callback(Datum arg, int cacheid, uint32 hashvalue);

void
taskapi_catalog_init(void)
{
	CacheRegisterRelcacheCallback(relcache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, namespace_callback, (Datum) 0);
}

Oid
taskapi_schema_oid(void)
{
	if (!OidIsValid(schema_oid))
		schema_oid = get_namespace_oid(TASKAPI_SCHEMA, false);
	return schema_oid;
}

Oid
taskapi_relation_oid(const char *relname)
{
	Oid			relid = get_relname_relid(relname, taskapi_schema_oid());

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation \"%s.%s\" does not exist", TASKAPI_SCHEMA, relname),
				 errhint("The library is loaded, but the extension is not created in this database.")));
	return relid;
}

Oid
taskapi_relation_owner(const char *relname)
{
	Oid			relid = taskapi_relation_oid(relname);
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

Oid
taskapi_type_oid(const char *typname)
{
	Oid			typid = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum(typname),
										ObjectIdGetDatum(taskapi_schema_oid()));

	if (!OidIsValid(typid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("type \"%s.%s\" does not exist", TASKAPI_SCHEMA, typname),
				 errhint("The library is loaded, but the extension is not created in this database.")));
	return typid;
}

bool
taskapi_table_cache_valid(TaskapiTableCache *cache)
{
	return cache->valid;
}

uint64
taskapi_table_cache_generation(void)
{
	return generation;
}

void
taskapi_table_cache_filled(TaskapiTableCache *cache, uint64 filled)
{
	bool		known = false;

	for (int i = 0; i < ncaches; i++)
		known |= (caches[i] == cache);
	if (!known)
	{
		Assert(ncaches < MAX_TABLE_CACHES);
		caches[ncaches++] = cache;
	}

	cache->relid = taskapi_relation_oid(cache->relname);
	cache->valid = (filled == generation);
}

/*
 * Any message may be about a table that a cache is being filled from, so every
 * one advances the generation; only those about a cache's own table (or about
 * all, relid 0) drop a filled cache.
 */
static void
relcache_callback(Datum arg, Oid relid)
{
	generation++;
	for (int i = 0; i < ncaches; i++)
	{
		if (relid == InvalidOid || caches[i]->relid == relid)
			caches[i]->valid = false;
	}
}

/* The schema may have been dropped and created again. */
static void
namespace_callback(Datum arg, int cacheid, uint32 hashvalue)
{
	schema_oid = InvalidOid;
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
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager", "invalidate_cache")));

	CacheInvalidateRelcache(((TriggerData *) fcinfo->context)->tg_relation);
	return PointerGetDatum(NULL);
}
