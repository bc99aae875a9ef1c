/*-------------------------------------------------------------------------
 *
 * guard_resource.c
 *	  What the guard says of names that clients use (guard_resource.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "guard/guard.h"
#include "guard/guard_resource.h"
#include "resource/resource_registry.h"

static const TaskapiRegistration *resource_showing(Oid relid, const char *column);
static void drop_with(const TaskapiRegistration *r);
static Oid	owner_of(int cache, Oid object);

void
taskapi_guard_rename(RenameStmt *statement)
{
	bool		column = statement->renameType == OBJECT_COLUMN;
	const TaskapiRegistration *r;
	Oid			relid;

	if (statement->renameType != OBJECT_TABLE && statement->renameType != OBJECT_VIEW && !column)
		return;
	relid = taskapi_guard_relation(statement->relation);
	if (!OidIsValid(relid))
		return;
	if (column)
	{
		r = resource_showing(relid, statement->subname);
		if (r != NULL)
			taskapi_guard_found("Add a column of the new name, keep both alike by a trigger, and drop the old one later.",
								"column \"%s\" has a name that clients of resource \"%s\" use",
								statement->subname, get_rel_name(r->resource));
	}
	else
	{
		r = taskapi_resource_find(relid);
		if (r != NULL)
			taskapi_guard_found("Expose the table under the new name as well, and "
								"take the old resource away when no client asks for it.",
								"resource \"%s\" has a name that clients use", get_rel_name(relid));
	}
}

void
taskapi_guard_move(AlterObjectSchemaStmt *statement)
{
	Oid			relid;

	if (statement->objectType != OBJECT_TABLE && statement->objectType != OBJECT_VIEW)
		return;
	relid = taskapi_guard_relation(statement->relation);
	if (OidIsValid(relid) && taskapi_resource_find(relid) != NULL)
		taskapi_guard_found("Expose the table in the other schema as well, and "
							"take the old resource away when no client asks for it.",
							"resource \"%s\" is in a schema where clients look for it", get_rel_name(relid));
}

void
taskapi_guard_drop_column(Oid relid, const char *column)
{
	const TaskapiRegistration *r = resource_showing(relid, column);

	if (r != NULL)
		taskapi_guard_found("When no client asks for it: COMMENT ON COLUMN ... IS '@private', expose the table again, and drop it.",
							"column \"%s\" is shown by resource \"%s\"", column, get_rel_name(r->resource));
}

void
taskapi_guard_drop_view(Oid relid)
{
	drop_with(OidIsValid(relid) ? taskapi_resource_find(relid) : NULL);
}

void
taskapi_guard_drop_table(Oid relid)
{
	drop_with(OidIsValid(relid) ? taskapi_resource_of_table(relid, false) : NULL);
}

static void
drop_with(const TaskapiRegistration *r)
{
	if (r != NULL)
		taskapi_guard_found("Keep what taskapi.resource_ddl() returns, and take the resource away by taskapi.unexpose().",
							"resource \"%s\" would be dropped with all privileges on it", get_rel_name(r->resource));
}

/*
 * Only what belongs to the owner of the schema: another role's resource in it shall be in nobody's way.
 */
void
taskapi_guard_drop_schema(const char *name)
{
	Oid			schema = LookupNamespaceNoError(name);
	Oid			owner = OidIsValid(schema) ? owner_of(NAMESPACEOID, schema) : InvalidOid;
	ListCell   *lc;

	if (!OidIsValid(owner))
		return;
	foreach(lc, taskapi_registrations())
	{
		const TaskapiRegistration *r = lfirst(lc);

		if ((get_rel_namespace(r->resource) == schema && owner_of(RELOID, r->resource) == owner) ||
			(get_rel_namespace(r->source) == schema && owner_of(RELOID, r->source) == owner))
		{
			taskapi_guard_found("Keep what taskapi.resource_ddl() returns, and take the resources away by taskapi.unexpose().",
								"resource \"%s\" would be dropped with schema \"%s\"", get_rel_name(r->resource), name);
			return;
		}
	}
}

/*
 * The first resource that shows a column, of its own or of its table.
 */
static const TaskapiRegistration *
resource_showing(Oid relid, const char *column)
{
	ListCell   *lc;

	foreach(lc, taskapi_registrations())
	{
		const TaskapiRegistration *r = lfirst(lc);

		if ((r->source == relid || r->resource == relid) && get_attnum(r->resource, column) != InvalidAttrNumber)
			return r;
	}
	return NULL;
}

static Oid
owner_of(int cache, Oid object)
{
	HeapTuple	tuple = SearchSysCache1(cache, ObjectIdGetDatum(object));
	Oid			owner = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		owner = cache == RELOID ? ((Form_pg_class) GETSTRUCT(tuple))->relowner : ((Form_pg_namespace) GETSTRUCT(tuple))->nspowner;
		ReleaseSysCache(tuple);
	}
	return owner;
}
