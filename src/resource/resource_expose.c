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

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "base/own_objects.h"
#include "cursor/order_by.h"
#include "resource/resource_cascade.h"
#include "resource/resource_view.h"

static void require_owner(Oid relid);

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
	Oid			argtypes[] = {REGCLASSOID, REGCLASSOID, REGCLASSOID, NAMEOID, TEXTOID,
	BOOLOID, BOOLOID, BOOLOID};
	Datum		values[8];
	char		nulls[8];
	Oid			save_userid;
	int			save_sec_context;

	for (int i = 0; i < 8; i++)
	{
		nulls[i] = PG_ARGISNULL(i) ? 'n' : ' ';
		values[i] = PG_ARGISNULL(i) ? (Datum) 0 : PG_GETARG_DATUM(i);
		if (PG_ARGISNULL(i) && i != 2 && i != 3)
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument %d must not be null", i + 1)));
		if (i < 3 && !PG_ARGISNULL(i))
			require_owner(DatumGetObjectId(values[i]));
	}

	SPI_connect();
	GetUserIdAndSecContext(&save_userid, &save_sec_context);
	SetUserIdAndSecContext(taskapi_relation_owner("resource"),
						   save_sec_context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	SPI_execute_with_args("INSERT INTO taskapi.resource AS r (resource, source, deleted_resource, page_function, order_by,"
						  " soft_delete, versioned, idempotent)"
						  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
						  " ON CONFLICT (resource) DO UPDATE SET source = excluded.source,"
						  " deleted_resource = excluded.deleted_resource, page_function = excluded.page_function,"
						  " order_by = excluded.order_by, soft_delete = excluded.soft_delete,"
						  " versioned = excluded.versioned, idempotent = excluded.idempotent",
						  8, argtypes, values, nulls, false, 0);
	SetUserIdAndSecContext(save_userid, save_sec_context);
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * unregister_resource(resource regclass) -> void
 *
 * Takes a resource out of the registry, and entries whose relations are gone. The caller must own it.
 */
PG_FUNCTION_INFO_V1(taskapi_unregister_resource);
Datum
taskapi_unregister_resource(PG_FUNCTION_ARGS)
{
	Oid			argtypes[] = {REGCLASSOID};
	Datum		values[1] = {PG_GETARG_DATUM(0)};
	Oid			save_userid;
	int			save_sec_context;

	require_owner(PG_GETARG_OID(0));

	SPI_connect();
	GetUserIdAndSecContext(&save_userid, &save_sec_context);
	SetUserIdAndSecContext(taskapi_relation_owner("resource"),
						   save_sec_context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	SPI_execute_with_args("DELETE FROM taskapi.resource r WHERE r.resource OPERATOR(pg_catalog.=) $1"
						  " OR NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) r.resource)"
						  " OR NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) r.source)",
						  1, argtypes, values, NULL, false, 0);
	SetUserIdAndSecContext(save_userid, save_sec_context);
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
	TaskapiView *view = taskapi_view(PG_GETARG_OID(0));

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

/*
 * purge_source(source regclass, deleted_before timestamptz, batch int) -> bigint
 *
 * Removes up to "batch" rows that were deleted before then, with the table owner's rights and children along, oldest
 * first; rows that live ones refer to stay.
 */
PG_FUNCTION_INFO_V1(taskapi_purge_source);
Datum
taskapi_purge_source(PG_FUNCTION_ARGS)
{
	TaskapiTable *table = taskapi_table(PG_GETARG_OID(0));
	Datum		before = PG_GETARG_DATUM(1);
	int32		batch = PG_GETARG_INT32(2);
	int64		purged = 0;
	Portal		portal;
	Oid			save_userid;
	int			save_sec_context;
	MemoryContext context;

	if (!table->soft || table->nkeys == 0)
		PG_RETURN_INT64(0);

	SPI_connect();
	context = AllocSetContextCreate(CurrentMemoryContext, "taskapi purge", ALLOCSET_DEFAULT_SIZES);
	GetUserIdAndSecContext(&save_userid, &save_sec_context);
	/* whoever purges all tables must not run, at its commit, what an owner's triggers left for it */
	SetUserIdAndSecContext(table->owner, save_sec_context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION | SECURITY_NOFORCE_RLS);
	portal = SPI_cursor_open(NULL, taskapi_table_plan(table, TABLE_PLAN_OLD), &before, NULL, false);
	while (purged < batch)
	{
		MemoryContext oldcontext;
		Datum		key[INDEX_MAX_KEYS];
		TaskapiRow *row;

		CHECK_FOR_INTERRUPTS();
		SPI_cursor_fetch(portal, true, 1);
		if (SPI_processed == 0)
			break;
		oldcontext = MemoryContextSwitchTo(context);
		row = taskapi_copy_row(table, SPI_tuptable->vals[0], SPI_tuptable->tupdesc);
		for (int i = 0; i < table->nkeys; i++)
			key[i] = row->values[table->keys[i]];
		/* as it is now: it may have gone with another one, or have been restored and deleted anew */
		row = taskapi_lock_row(table, key, true);
		if (row != NULL && !row->live && taskapi_cascade_purge_obstacle(row) == NULL && taskapi_purge_row(row))
			purged++;
		MemoryContextSwitchTo(oldcontext);
		MemoryContextReset(context);
	}
	SPI_cursor_close(portal);
	SetUserIdAndSecContext(save_userid, save_sec_context);
	SPI_finish();
	PG_RETURN_INT64(purged);
}
