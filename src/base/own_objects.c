/*-------------------------------------------------------------------------
 *
 * own_objects.c
 *	  Finding the extension's own objects (own_objects.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/own_objects.h"
#include "base/table_cache.h"

Oid
taskapi_schema_oid(void)
{
	static Oid	schema_oid = InvalidOid;
	static uint64 generation = 0;

	/* It may have been dropped and created again */
	if (generation != taskapi_names_generation() || !OidIsValid(schema_oid))
	{
		generation = taskapi_names_generation();
		schema_oid = InvalidOid;	/* the look-up may throw */
		schema_oid = get_namespace_oid(TASKAPI_SCHEMA, false);
	}
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

Oid
taskapi_function_oid(const char *name, int nargs, const Oid *types)
{
	Oid			function = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(name),
										   PointerGetDatum(buildoidvector(types, nargs)), ObjectIdGetDatum(taskapi_schema_oid()));

	if (!OidIsValid(function))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function \"%s.%s\" does not exist", TASKAPI_SCHEMA, name),
				 errhint("The library is loaded, but the extension is not created in this database.")));
	return function;
}

bool
taskapi_is_own_call(const Node *node, const char *function)
{
	const FuncExpr *call = (const FuncExpr *) strip_implicit_coercions(unconstify(Node *, node));

	return call != NULL && IsA(call, FuncExpr) && get_func_namespace(call->funcid) == taskapi_schema_oid() &&
		strcmp(get_func_name(call->funcid), function) == 0;
}
