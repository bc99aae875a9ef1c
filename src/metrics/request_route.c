/*-------------------------------------------------------------------------
 *
 * request_route.c
 *	  The route of a request, out of a bounded set (request_route.h).
 *
 * What is asked for a name that is not there is asked of the index itself: the
 * server's caches would keep an entry for each such name, as long as the backend lives.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/catalog.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/own_objects.h"
#include "metrics/request_route.h"
#include "resource/resource_registry.h"

static const char *const methods[TASKAPI_NMETHODS] = {
	[TASKAPI_METHOD_OTHER] = "other",
	[TASKAPI_METHOD_GET] = "GET",
	[TASKAPI_METHOD_HEAD] = "HEAD",
	[TASKAPI_METHOD_POST] = "POST",
	[TASKAPI_METHOD_PATCH] = "PATCH",
	[TASKAPI_METHOD_PUT] = "PUT",
	[TASKAPI_METHOD_DELETE] = "DELETE",
	[TASKAPI_METHOD_OPTIONS] = "OPTIONS",
};

static Oid	resource_owner(const char *name, List **schemas);
static Oid	shown_schema(void);
static Oid	relation_owner(const char *name, Oid schema);
static Oid	function_owner(const char *name, const List *schemas);

void
taskapi_route_parse(TaskapiRoute *route, const char *method, const char *path)
{
	const char *name = path + (path[0] == '/');
	bool		function = strncmp(name, "rpc/", 4) == 0;
	const char *end;

	memset(route, 0, sizeof(TaskapiRoute));
	for (int i = 1; i < TASKAPI_NMETHODS; i++)
	{
		if (strcmp(method, methods[i]) == 0)
			route->method = i;
	}

	if (function)
		name += 4;
	end = strchr(name, '/');
	if (end == NULL)
		end = name + strlen(name);
	/* a longer name is cut when an object gets it, but not in a path */
	if (end == name || end - name >= NAMEDATALEN || (function && *end != '\0'))
		return;
	memcpy(route->name, name, end - name);
	route->kind = function ? TASKAPI_ROUTE_FUNCTION : *end != '\0' ? TASKAPI_ROUTE_ROW : TASKAPI_ROUTE_RELATION;
}

Oid
taskapi_route_owner(const TaskapiRoute *route)
{
	List	   *schemas = NIL;
	Oid			owner;
	Oid			shown;

	if (route->kind == TASKAPI_ROUTE_OTHER)
		return InvalidOid;
	owner = resource_owner(route->name, &schemas);
	if (route->kind != TASKAPI_ROUTE_FUNCTION && OidIsValid(owner))
		return owner;
	shown = shown_schema();
	if (route->kind != TASKAPI_ROUTE_FUNCTION)
		return OidIsValid(shown) ? relation_owner(route->name, shown) : InvalidOid;
	if (OidIsValid(shown))
		schemas = list_append_unique_oid(schemas, shown);
	return function_owner(route->name, schemas);
}

/*
 * Whose is the resource or the trash of that name?  Also the schemas that resources are in.
 */
static Oid
resource_owner(const char *name, List **schemas)
{
	Oid			owner = InvalidOid;
	ListCell   *lc;

	foreach(lc, taskapi_registrations())
	{
		const TaskapiRegistration *r = lfirst(lc);
		Oid			views[] = {r->resource, r->deleted};

		*schemas = list_append_unique_oid(*schemas, get_rel_namespace(r->resource));
		for (int i = 0; i < lengthof(views) && !OidIsValid(owner); i++)
		{
			HeapTuple	tuple = OidIsValid(views[i]) ? SearchSysCache1(RELOID, ObjectIdGetDatum(views[i])) : NULL;
			Form_pg_class view;

			if (!HeapTupleIsValid(tuple))
				continue;
			view = (Form_pg_class) GETSTRUCT(tuple);
			if (strcmp(NameStr(view->relname), name) == 0)
				owner = view->relowner;
			ReleaseSysCache(tuple);
		}
	}
	return owner;
}

/*
 * The first schema of the search_path, which a layer sets to the one that it shows; InvalidOid if it is one of the
 * server's or ours.
 */
static Oid
shown_schema(void)
{
	List	   *path = fetch_search_path(false);
	Oid			schema = path == NIL ? InvalidOid : linitial_oid(path);
	char	   *name = OidIsValid(schema) ? get_namespace_name(schema) : NULL;

	if (name == NULL || IsCatalogNamespace(schema) || isAnyTempNamespace(schema) || strcmp(name, TASKAPI_SCHEMA) == 0)
		return InvalidOid;
	return schema;
}

static Oid
relation_owner(const char *name, Oid schema)
{
	NameData	relname;
	Relation	rel = table_open(RelationRelationId, AccessShareLock);
	ScanKeyData key[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			owner = InvalidOid;

	namestrcpy(&relname, name);
	ScanKeyInit(&key[0], Anum_pg_class_relname, BTEqualStrategyNumber, F_NAMEEQ, NameGetDatum(&relname));
	ScanKeyInit(&key[1], Anum_pg_class_relnamespace, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(schema));
	scan = systable_beginscan(rel, ClassNameNspIndexId, true, NULL, 2, key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_class class = (Form_pg_class) GETSTRUCT(tuple);

		if (class->relkind == RELKIND_RELATION || class->relkind == RELKIND_VIEW || class->relkind == RELKIND_MATVIEW ||
			class->relkind == RELKIND_FOREIGN_TABLE || class->relkind == RELKIND_PARTITIONED_TABLE)
			owner = class->relowner;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return owner;
}

static Oid
function_owner(const char *name, const List *schemas)
{
	NameData	proname;
	Relation	rel = table_open(ProcedureRelationId, AccessShareLock);
	ScanKeyData key[1];
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			owner = InvalidOid;

	namestrcpy(&proname, name);
	ScanKeyInit(&key[0], Anum_pg_proc_proname, BTEqualStrategyNumber, F_NAMEEQ, NameGetDatum(&proname));
	scan = systable_beginscan(rel, ProcedureNameArgsNspIndexId, true, NULL, 1, key);
	while (!OidIsValid(owner) && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_proc proc = (Form_pg_proc) GETSTRUCT(tuple);

		if (proc->prokind == PROKIND_FUNCTION && proc->prorettype != TRIGGEROID && list_member_oid(schemas, proc->pronamespace))
			owner = proc->proowner;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return owner;
}

const char *
taskapi_route_method(const TaskapiRoute *route)
{
	return methods[route->method];
}

char *
taskapi_route_path(const TaskapiRoute *route)
{
	switch ((TaskapiRouteKind) route->kind)
	{
		case TASKAPI_ROUTE_RELATION:
			return psprintf("/%s", route->name);
		case TASKAPI_ROUTE_ROW:
			return psprintf("/%s/{key}", route->name);
		case TASKAPI_ROUTE_FUNCTION:
			return psprintf("/rpc/%s", route->name);
		case TASKAPI_ROUTE_OTHER:
			break;
	}
	return pstrdup("other");
}
