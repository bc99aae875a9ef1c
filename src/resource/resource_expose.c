/*-------------------------------------------------------------------------
 *
 * resource_expose.c
 *	  What expose() and its kin, which are written in SQL, need from C.
 *
 * They run as their caller, who owns the table and the views but cannot write
 * taskapi.resource: register_resource() and unregister_resource() do that in
 * the name of its owner, for callers who own what the entry is about.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/args.h"
#include "base/compat.h"
#include "base/own_objects.h"
#include "base/role.h"
#include "cursor/order_by.h"
#include "resource/resource_table.h"
#include "resource/resource_view.h"

#define AS_OWNER (SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION)

static void require_owner(Oid relid);
static void check_resource(Oid resource, Oid source, Oid deleted);
static void delete_leftovers(void);

static void
require_owner(Oid relid)
{
	if (!taskapi_owns_relation(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(get_rel_relkind(relid)), get_rel_name(relid));
}

/*
 * register_resource(resource regclass, source regclass, deleted_resource regclass, page_function name,
 *		order_by text, soft_delete bool, versioned bool, idempotent bool) -> void
 *
 * Enters a resource into the registry, which its owner cannot write, or changes its entry.  The caller must own all
 * three relations.
 */
PG_FUNCTION_INFO_V1(taskapi_register_resource);
Datum
taskapi_register_resource(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {
		"resource", "source", NULL, NULL, "order_by", "soft_delete", "versioned", "idempotent"
	};
	Oid			argtypes[] = {REGCLASSOID, REGCLASSOID, REGCLASSOID, NAMEOID, TEXTOID, BOOLOID, BOOLOID, BOOLOID};
	Datum		values[lengthof(names)];
	char		nulls[lengthof(names)];
	TaskapiRole saved;

	for (int i = 0; i < lengthof(names); i++)
	{
		if (names[i] != NULL)
			taskapi_require_arg(fcinfo, i, names[i]);
		nulls[i] = PG_ARGISNULL(i) ? 'n' : ' ';
		values[i] = PG_ARGISNULL(i) ? (Datum) 0 : PG_GETARG_DATUM(i);
		if (i < 3 && !PG_ARGISNULL(i))
			require_owner(DatumGetObjectId(values[i]));
	}

	SPI_connect();
	saved = taskapi_become(taskapi_relation_owner("resource"), AS_OWNER);
	SPI_execute_with_args("INSERT INTO taskapi.resource AS r (resource, source, deleted_resource, page_function, order_by,"
						  " soft_delete, versioned, idempotent)"
						  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
						  " ON CONFLICT (resource) DO UPDATE SET source = excluded.source,"
						  " deleted_resource = excluded.deleted_resource, page_function = excluded.page_function,"
						  " order_by = excluded.order_by, soft_delete = excluded.soft_delete,"
						  " versioned = excluded.versioned, idempotent = excluded.idempotent",
						  lengthof(names), argtypes, values, nulls, false, 0);
	delete_leftovers();
	taskapi_become_again(saved);
	SPI_finish();
	CommandCounterIncrement();
	check_resource(PG_GETARG_OID(0), PG_GETARG_OID(1), PG_ARGISNULL(2) ? InvalidOid : PG_GETARG_OID(2));
	PG_RETURN_VOID();
}

/*
 * An entry is as good as what it says is true.  The relations are looked at as every write will look at them, and an
 * error takes the entry back.
 */
static void
check_resource(Oid resource, Oid source, Oid deleted)
{
	char		kind = get_rel_relkind(source);

	if ((kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE) || get_rel_relispartition(source))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is no table that can be exposed", get_rel_name(source))));
	(void) taskapi_resource_view(resource);
	if (OidIsValid(deleted))
	{
		if (!taskapi_resource_view(deleted)->deleted_rows)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("view \"%s\" is a resource of its own", get_rel_name(deleted))));
	}
	(void) taskapi_resource_table(source);
}

/*
 * Entries whose view or table is gone.
 */
static void
delete_leftovers(void)
{
	SPI_execute("DELETE FROM taskapi.resource r"
				" WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) r.resource"
				" AND c.relkind OPERATOR(pg_catalog.=) 'v')"
				" OR NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) r.source)",
				false, 0);
}

/*
 * forget_dropped_resources() -> void
 *
 * Deletes the entries of resources whose view or table was dropped by hand. They count for nothing anyway.
 */
PG_FUNCTION_INFO_V1(taskapi_forget_dropped_resources);
Datum
taskapi_forget_dropped_resources(PG_FUNCTION_ARGS)
{
	TaskapiRole saved;

	SPI_connect();
	saved = taskapi_become(taskapi_relation_owner("resource"), AS_OWNER);
	delete_leftovers();
	taskapi_become_again(saved);
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * unregister_resource(resource regclass) -> void
 *
 * Takes a resource, which the caller must own, out of the registry.
 */
PG_FUNCTION_INFO_V1(taskapi_unregister_resource);
Datum
taskapi_unregister_resource(PG_FUNCTION_ARGS)
{
	Oid			argtypes[] = {REGCLASSOID};
	Datum		values[1] = {PG_GETARG_DATUM(0)};
	TaskapiRole saved;

	require_owner(PG_GETARG_OID(0));

	SPI_connect();
	saved = taskapi_become(taskapi_relation_owner("resource"), AS_OWNER);
	SPI_execute_with_args("DELETE FROM taskapi.resource r WHERE r.resource OPERATOR(pg_catalog.=) $1",
						  1, argtypes, values, NULL, false, 0);
	delete_leftovers();
	taskapi_become_again(saved);
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * resource_columns(resource regclass) -> TABLE (name name, source_attnum int2)
 *
 * The columns of a resource's view, and which of the table's each is; NULL for a computed one.
 */
PG_FUNCTION_INFO_V1(taskapi_resource_columns);
Datum
taskapi_resource_columns(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	TaskapiView *view = taskapi_resource_view_as_is(PG_GETARG_OID(0));

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < view->ncolumns; i++)
	{
		Datum		values[2];
		bool		nulls[2] = {false};
		NameData	name;

		namestrcpy(&name, get_attname(view->entry.relid, i + 1, false));
		values[0] = NameGetDatum(&name);
		values[1] = Int16GetDatum(view->columns[i].source_attno);
		nulls[1] = (view->columns[i].source_attno == 0);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/*
 * order_by_columns(order_by text, OUT columns name[], OUT descending bool[])
 */
PG_FUNCTION_INFO_V1(taskapi_order_by_columns);
Datum
taskapi_order_by_columns(PG_FUNCTION_ARGS)
{
	text	   *arg = PG_GETARG_TEXT_PP(0);
	TaskapiOrderBy *order_by = taskapi_order_by_parse(VARDATA_ANY(arg), VARSIZE_ANY_EXHDR(arg));
	Datum	   *names = palloc(sizeof(Datum) * order_by->nterms);
	Datum	   *descending = palloc(sizeof(Datum) * order_by->nterms);
	Datum		values[2];
	bool		nulls[2] = {false};
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	for (int i = 0; i < order_by->nterms; i++)
	{
		names[i] = PointerGetDatum(order_by->terms[i].name);
		descending[i] = BoolGetDatum(order_by->terms[i].descending);
	}
	values[0] = PointerGetDatum(construct_array(names, order_by->nterms, NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR));
	values[1] = PointerGetDatum(construct_array(descending, order_by->nterms, BOOLOID, 1, true, TYPALIGN_CHAR));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/*
 * order_by_canonical(order_by text) -> text
 */
PG_FUNCTION_INFO_V1(taskapi_order_by_canonical_sql);
Datum
taskapi_order_by_canonical_sql(PG_FUNCTION_ARGS)
{
	text	   *arg = PG_GETARG_TEXT_PP(0);

	PG_RETURN_TEXT_P(cstring_to_text(taskapi_order_by_canonical(taskapi_order_by_parse(VARDATA_ANY(arg),
																					   VARSIZE_ANY_EXHDR(arg)))));
}
