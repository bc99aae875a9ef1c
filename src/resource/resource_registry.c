/*-------------------------------------------------------------------------
 *
 * resource_registry.c
 *	  The registry of resources (resource_registry.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "base/own_objects.h"
#include "base/table_cache.h"
#include "resource/resource_cache.h"
#include "resource/resource_registry.h"

/* Columns of taskapi.resource */
enum
{
	RESOURCE_COLUMN = 1,
	SOURCE_COLUMN,
	DELETED_COLUMN,
	PAGE_COLUMN,
	ORDER_BY_COLUMN,
	SOFT_DELETE_COLUMN,
	VERSIONED_COLUMN,
	IDEMPOTENT_COLUMN,
};

static TaskapiTableCache registry = {.relname = "resource"};
static MemoryContext registry_context = NULL;
static List *registrations = NIL;

/*
 * The registry is small and read whole.
 */
void
taskapi_registry_load(void)
{
	uint64		generation;
	Relation	rel;
	SysScanDesc scan;
	Snapshot	snapshot;
	HeapTuple	tuple;
	MemoryContext context;
	List	   *found = NIL;

	if (taskapi_table_cache_valid(&registry))
		return;

	generation = taskapi_relation_generation();
	context = AllocSetContextCreate(CurrentMemoryContext, "taskapi registry", ALLOCSET_SMALL_SIZES);
	rel = table_open(taskapi_relation_oid("resource"), AccessShareLock);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(context);
		TaskapiRegistration *r = palloc0(sizeof(TaskapiRegistration));
		bool		isnull;
		Datum		deleted;

		r->resource = DatumGetObjectId(heap_getattr(tuple, RESOURCE_COLUMN, RelationGetDescr(rel), &isnull));
		r->source = DatumGetObjectId(heap_getattr(tuple, SOURCE_COLUMN, RelationGetDescr(rel), &isnull));
		deleted = heap_getattr(tuple, DELETED_COLUMN, RelationGetDescr(rel), &isnull);
		r->deleted = isnull ? InvalidOid : DatumGetObjectId(deleted);
		r->soft_delete = DatumGetBool(heap_getattr(tuple, SOFT_DELETE_COLUMN, RelationGetDescr(rel), &isnull));
		r->versioned = DatumGetBool(heap_getattr(tuple, VERSIONED_COLUMN, RelationGetDescr(rel), &isnull));
		r->idempotent = DatumGetBool(heap_getattr(tuple, IDEMPOTENT_COLUMN, RelationGetDescr(rel), &isnull));
		found = lappend(found, r);
		MemoryContextSwitchTo(oldcontext);
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);

	MemoryContextSetParent(context, CacheMemoryContext);
	if (registry_context)
		MemoryContextDelete(registry_context);
	registry_context = context;
	registrations = found;
	taskapi_resource_cache_reset();
	taskapi_table_cache_filled(&registry, generation);
}

const TaskapiRegistration *
taskapi_resource_find(Oid view)
{
	ListCell   *lc;

	taskapi_registry_load();
	foreach(lc, registrations)
	{
		TaskapiRegistration *r = lfirst(lc);

		if (r->resource == view || r->deleted == view)
			return r;
	}
	return NULL;
}

const TaskapiRegistration *
taskapi_resource_of_table(Oid table, bool soft)
{
	ListCell   *lc;

	taskapi_registry_load();
	foreach(lc, registrations)
	{
		TaskapiRegistration *r = lfirst(lc);

		if (r->source == table && (r->soft_delete || !soft))
			return r;
	}
	return NULL;
}
