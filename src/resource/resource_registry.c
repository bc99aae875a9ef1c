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
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
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
	DELETED_AT_COLUMN,
	CHANGES_COLUMN,
	SCOPE_COLUMN,
	PUBLISH_COLUMN,
	DEPARTURES_COLUMN,
};

static const Oid column_types[] = {
	REGCLASSOID, REGCLASSOID, REGCLASSOID, NAMEOID, TEXTOID, BOOLOID, BOOLOID, BOOLOID, NAMEOID, BOOLOID,
	TEXTOID, TEXTOID, REGCLASSOID
};

static TaskapiTableCache registry = {.relname = "resource"};
static MemoryContext registry_context = NULL;
static List *registrations = NIL;

static bool registry_exists(void);
static void check_columns(Relation rel);
static char *text_column(HeapTuple tuple, int column, Relation rel);
static void relation_changed(Oid relid);

void
taskapi_registry_init(void)
{
	taskapi_on_relation_change(relation_changed);
}

/*
 * The registry need not change when a relation that it names is dropped, but what counts of it does.
 */
static void
relation_changed(Oid relid)
{
	ListCell   *lc;

	if (!registry.valid || relid == registry.relid || relid == InvalidOid)
		return;
	foreach(lc, registrations)
	{
		TaskapiRegistration *r = lfirst(lc);

		if (r->resource == relid || r->source == relid || r->deleted == relid || r->departures == relid)
			registry.valid = false;
	}
}

/*
 * The library may be loaded in a database without the extension.  A table of that name is anybody's then, and not asked.
 */
static bool
registry_exists(void)
{
	Oid			schema = get_namespace_oid(TASKAPI_SCHEMA, true);
	Oid			relid = OidIsValid(schema) ? get_relname_relid(registry.relname, schema) : InvalidOid;
	Oid			extension = OidIsValid(relid) ? getExtensionOfObject(RelationRelationId, relid) : InvalidOid;

	return OidIsValid(extension) && extension == get_extension_oid("taskapi", true);
}

/*
 * The table's owner may have changed it.
 */
static void
check_columns(Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);

	for (int i = 0; i < lengthof(column_types); i++)
	{
		if (rel->rd_rel->relkind != RELKIND_RELATION || i >= desc->natts ||
			TupleDescAttr(desc, i)->attisdropped || TupleDescAttr(desc, i)->atttypid != column_types[i])
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("table \"%s.%s\" is not the registry of resources", TASKAPI_SCHEMA, registry.relname),
					 errhint("Create extension taskapi in this database.")));
	}
}

/* NULL as it is. */
static char *
text_column(HeapTuple tuple, int column, Relation rel)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, RelationGetDescr(rel), &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

/*
 * The registry is small and read whole.
 */
bool
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
		return true;
	if (!registry_exists())
		return false;

	generation = taskapi_relation_generation();
	context = AllocSetContextCreate(CurrentMemoryContext, "taskapi registry", ALLOCSET_SMALL_SIZES);
	rel = table_open(taskapi_relation_oid(registry.relname), AccessShareLock);
	check_columns(rel);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(context);
		TaskapiRegistration *r = palloc0(sizeof(TaskapiRegistration));
		bool		isnull;
		Datum		deleted;
		Datum		departures;

		r->resource = DatumGetObjectId(heap_getattr(tuple, RESOURCE_COLUMN, RelationGetDescr(rel), &isnull));
		r->source = DatumGetObjectId(heap_getattr(tuple, SOURCE_COLUMN, RelationGetDescr(rel), &isnull));
		deleted = heap_getattr(tuple, DELETED_COLUMN, RelationGetDescr(rel), &isnull);
		r->deleted = isnull ? InvalidOid : DatumGetObjectId(deleted);
		r->soft_delete = DatumGetBool(heap_getattr(tuple, SOFT_DELETE_COLUMN, RelationGetDescr(rel), &isnull));
		r->versioned = DatumGetBool(heap_getattr(tuple, VERSIONED_COLUMN, RelationGetDescr(rel), &isnull));
		r->idempotent = DatumGetBool(heap_getattr(tuple, IDEMPOTENT_COLUMN, RelationGetDescr(rel), &isnull));
		r->deleted_at_column =
			*DatumGetName(heap_getattr(tuple, DELETED_AT_COLUMN, RelationGetDescr(rel), &isnull));
		r->changes = DatumGetBool(heap_getattr(tuple, CHANGES_COLUMN, RelationGetDescr(rel), &isnull));
		r->scope = text_column(tuple, SCOPE_COLUMN, rel);
		r->publish = text_column(tuple, PUBLISH_COLUMN, rel);
		departures = heap_getattr(tuple, DEPARTURES_COLUMN, RelationGetDescr(rel), &isnull);
		r->departures = isnull ? InvalidOid : DatumGetObjectId(departures);
		if (get_rel_relkind(r->resource) == RELKIND_VIEW && get_rel_relkind(r->source) != '\0')
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
	return true;
}

const TaskapiRegistration *
taskapi_resource_find(Oid view)
{
	ListCell   *lc;

	if (!taskapi_registry_load())
		return NULL;
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

	if (!taskapi_registry_load())
		return NULL;
	foreach(lc, registrations)
	{
		TaskapiRegistration *r = lfirst(lc);

		if (r->source == table && (r->soft_delete || !soft))
			return r;
	}
	return NULL;
}

const List *
taskapi_registrations(void)
{
	return taskapi_registry_load() ? registrations : NIL;
}

const TaskapiRegistration *
taskapi_resource_with_changes(Oid table)
{
	ListCell   *lc;

	if (!taskapi_registry_load())
		return NULL;
	foreach(lc, registrations)
	{
		TaskapiRegistration *r = lfirst(lc);

		if (r->source == table && r->changes)
			return r;
	}
	return NULL;
}
