/*-------------------------------------------------------------------------
 *
 * resource_expose.c
 *	  expose() and unexpose(), and what their parts in SQL need from C.
 *
 * Their parts run as the caller, who owns the table and the views but cannot
 * write taskapi.resource.  That is done here, as the owner of the registry: what
 * make_resource() says is entered, and what is gone is deleted.
 * A function of its own for that would be everybody's to call, with an entry of
 * his own making; a flag that expose() sets for such a function would be set
 * for the owner's code that runs meanwhile, too.
 *
 * SQL: sql/install/65_expose.sql
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/async.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "rewrite/rewriteHandler.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "base/compat.h"
#include "base/lock_tries.h"
#include "base/own_objects.h"
#include "base/role.h"
#include "base/simple_view.h"
#include "cursor/order_by.h"
#include "resource/resource_table.h"
#include "resource/resource_view.h"

#define AS_OWNER (SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION)

/* ms that expose() and unexpose() try to get their locks; taskapi.expose_online() goes on */
#define GIVE_UP_AFTER 5000

/* The types of expose()'s arguments. */
static Oid	argtypes[] = {REGCLASSOID, NAMEOID, NAMEOID, TEXTOID, BOOLOID, BOOLOID, BOOLOID, BOOLOID,
TEXTOID, TEXTOID, NAMEOID};

#define NARGS lengthof(argtypes)

/* The arguments of a call that is tried. */
typedef struct ExposeCall
{
	Datum	   *args;
	char	   *nulls;
	Oid			resource;		/* out */
} ExposeCall;

static void expose(void *arg);
static void unexpose(void *arg);
static void lock_views(const char *query, int nargs, Oid *types, Datum *values, const char *nulls);
static void select_row(const char *query, int nargs, Oid *types, Datum *values, const char *nulls);
static void require_owner(Oid relid);
static Oid	register_resource(Oid type, Datum entry);
static void check_resource(Oid resource, Oid source, Oid deleted);
static void share_departures(Oid source);
static void delete_leftovers(void);
static void forget_dropped(void);

/*
 * Run a statement that returns one row, as the caller.  What it returns is in SPI_tuptable and belongs to SPI.
 */
static void
select_row(const char *query, int nargs, Oid *types, Datum *values, const char *nulls)
{
	int			rc = SPI_execute_with_args(query, nargs, types, values, nulls, false, 0);

	if (rc != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "\"%s\" returned no row: %s", query, SPI_result_code_string(rc));
}

static void
require_owner(Oid relid)
{
	if (!taskapi_owns_relation(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(get_rel_relkind(relid)), get_rel_name(relid));
}

/*
 * Lock the views that a resource has: they come before the table, as in every statement on them, and are always locked
 * against readers, while what the table needs turns out later.  Only the caller's own: it is not known yet who calls.
 */
static void
lock_views(const char *query, int nargs, Oid *types, Datum *values, const char *nulls)
{
	Oid			relids[2];

	select_row(query, nargs, types, values, nulls);
	for (int i = 0; i < lengthof(relids); i++)
	{
		bool		isnull;
		Datum		relid = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, i + 1, &isnull);

		relids[i] = isnull ? InvalidOid : DatumGetObjectId(relid);
	}
	for (int i = 0; i < lengthof(relids); i++)
	{
		if (OidIsValid(relids[i]) && get_rel_relkind(relids[i]) == RELKIND_VIEW &&
			taskapi_owns_relation(relids[i], GetUserId()))
			taskapi_lock_in_try(relids[i], AccessExclusiveLock);
	}
}

/*
 * expose(source regclass, api_schema name, resource name, order_by text, soft_delete bool, versioned bool,
 *		idempotent bool, changes bool, scope text, publish text, deleted_at_column name) -> regclass
 */
PG_FUNCTION_INFO_V1(taskapi_expose);
Datum
taskapi_expose(PG_FUNCTION_ARGS)
{
	Datum		args[NARGS];
	char		nulls[NARGS];
	ExposeCall	call = {.args = args, .nulls = nulls};
	TaskapiLockTries tries = {.timeout = TASKAPI_TRY_TIMEOUT, .give_up_after = GIVE_UP_AFTER};

	for (int i = 0; i < NARGS; i++)
	{
		nulls[i] = PG_ARGISNULL(i) ? 'n' : ' ';
		args[i] = PG_ARGISNULL(i) ? (Datum) 0 : PG_GETARG_DATUM(i);
	}
	taskapi_try_locks(&tries, expose, &call);
	PG_RETURN_OID(call.resource);
}

static void
expose(void *arg)
{
	ExposeCall *call = arg;
	Datum		entry;
	bool		isnull;

	SPI_connect();
	lock_views("SELECT (n.former).resource, (n.former).deleted_resource FROM taskapi.resource_names($1, $2, $3) n",
			   3, argtypes, call->args, call->nulls);
	select_row("SELECT taskapi.make_resource($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
			   NARGS, argtypes, call->args, call->nulls);
	entry = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (isnull || SPI_gettypeid(SPI_tuptable->tupdesc, 1) != taskapi_type_oid("resource"))
		elog(ERROR, "make_resource() returned no entry");
	call->resource = register_resource(SPI_gettypeid(SPI_tuptable->tupdesc, 1), entry);
	SPI_finish();
	Async_Notify("pgrst", "reload schema");
}

/*
 * unexpose(resource regclass) -> void
 */
PG_FUNCTION_INFO_V1(taskapi_unexpose);
Datum
taskapi_unexpose(PG_FUNCTION_ARGS)
{
	Datum		value = PG_ARGISNULL(0) ? (Datum) 0 : PG_GETARG_DATUM(0);
	char		null = PG_ARGISNULL(0) ? 'n' : ' ';
	ExposeCall	call = {.args = &value, .nulls = &null};
	TaskapiLockTries tries = {.timeout = TASKAPI_TRY_TIMEOUT, .give_up_after = GIVE_UP_AFTER};

	taskapi_try_locks(&tries, unexpose, &call);
	PG_RETURN_VOID();
}

static void
unexpose(void *arg)
{
	ExposeCall *call = arg;
	Oid			type = REGCLASSOID;
	Datum		value;
	char		null;
	bool		isnull;

	SPI_connect();
	lock_views("SELECT r.resource, r.deleted_resource FROM taskapi.registered_resource($1) r",
			   1, &type, call->args, call->nulls);
	select_row("SELECT taskapi.drop_resource($1)", 1, &type, call->args, call->nulls);
	value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	null = isnull ? 'n' : ' ';
	forget_dropped();
	if (!isnull)
	{
		TaskapiRole saved = taskapi_become(taskapi_relation_owner("resource"), AS_OWNER);

		share_departures(DatumGetObjectId(value));
		taskapi_role_restore(saved);
	}
	select_row("SELECT taskapi.finish_unexpose($1)", 1, &type, &value, &null);
	SPI_finish();
}

/*
 * Enter a resource into the registry, or change its entry, a row of taskapi.resource.  Returns its view.
 */
static Oid
register_resource(Oid type, Datum entry)
{
	HeapTupleHeader row = DatumGetHeapTupleHeader(entry);
	Oid			relids[3];		/* view, table, view of the deleted rows */
	TaskapiRole saved;
	int			rc;

	for (int i = 0; i < lengthof(relids); i++)
	{
		bool		isnull;
		Datum		relid = GetAttributeByNum(row, i + 1, &isnull);

		relids[i] = isnull ? InvalidOid : DatumGetObjectId(relid);
		if (i < 2 || !isnull)
			require_owner(relids[i]);
	}
	saved = taskapi_become(taskapi_relation_owner("resource"), AS_OWNER);
	rc = SPI_execute_with_args("INSERT INTO taskapi.resource AS r SELECT ($1).*"
							   " ON CONFLICT (resource) DO UPDATE SET source = excluded.source,"
							   " deleted_resource = excluded.deleted_resource, page_function = excluded.page_function,"
							   " order_by = excluded.order_by, soft_delete = excluded.soft_delete,"
							   " versioned = excluded.versioned, idempotent = excluded.idempotent,"
							   " deleted_at_column = excluded.deleted_at_column, changes = excluded.changes,"
							   " scope = excluded.scope, publish = excluded.publish, departures = excluded.departures",
							   1, &type, &entry, NULL, false, 0);
	if (rc != SPI_OK_INSERT || SPI_processed != 1)
		elog(ERROR, "the resource was not entered: %s", SPI_result_code_string(rc));
	share_departures(relids[1]);
	delete_leftovers();
	taskapi_role_restore(saved);
	CommandCounterIncrement();
	check_resource(relids[0], relids[1], relids[2]);
	return relids[0];
}

/*
 * All resources made of a table have the same departures.
 */
static void
share_departures(Oid source)
{
	Oid			type = OIDOID;
	Datum		value = ObjectIdGetDatum(source);
	int			rc = SPI_execute_with_args("UPDATE taskapi.resource r SET departures = o.departures FROM taskapi.resource o"
										   " WHERE r.source OPERATOR(pg_catalog.=) $1 AND o.source OPERATOR(pg_catalog.=) $1"
										   " AND r.changes AND o.changes AND o.departures IN"
										   " (SELECT c.oid FROM pg_catalog.pg_class c)"
										   " AND r.departures OPERATOR(pg_catalog.<>) o.departures",
										   1, &type, &value, NULL, false, 0);

	if (rc != SPI_OK_UPDATE)
		elog(ERROR, "departures were not entered: %s", SPI_result_code_string(rc));
	rc = SPI_execute_with_args("SELECT taskapi.register_changes($1::pg_catalog.regclass)", 1, &type, &value, NULL, false, 0);
	if (rc != SPI_OK_SELECT)
		elog(ERROR, "changes were not registered: %s", SPI_result_code_string(rc));
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
				 errmsg("\"%s\" is not a table that can be exposed", get_rel_name(source))));
	(void) taskapi_resource_view(resource);
	if (OidIsValid(deleted))
	{
		if (!taskapi_resource_view(deleted)->deleted_rows)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("view \"%s\" is not a view of deleted rows", get_rel_name(deleted))));
	}
	(void) taskapi_resource_table(source);
}

/*
 * Entries whose view or table is gone; and views of deleted rows and tables of departures that are gone, whose OIDs may be
 * another relation's some day.  What another session has locked is left to it, or to the next time: it may forget the same
 * in a transaction that does not end, and neither the upkeep of the others nor their expose() has to wait for that.
 */
static void
delete_leftovers(void)
{
	int			rc = SPI_execute("DELETE FROM taskapi.resource r WHERE r.resource OPERATOR(pg_catalog.=) ANY (ARRAY("
								 "SELECT l.resource FROM taskapi.resource l"
								 " WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c"
								 " WHERE c.oid OPERATOR(pg_catalog.=) l.resource AND c.relkind OPERATOR(pg_catalog.=) 'v')"
								 " OR NOT EXISTS (SELECT FROM pg_catalog.pg_class c"
								 " WHERE c.oid OPERATOR(pg_catalog.=) l.source)"
								 " FOR UPDATE OF l SKIP LOCKED))",
								 false, 0);

	if (rc != SPI_OK_DELETE)
		elog(ERROR, "dropped resources were not forgotten: %s", SPI_result_code_string(rc));
	rc = SPI_execute("UPDATE taskapi.resource r SET deleted_resource = NULL"
					 " WHERE r.resource OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT l.resource FROM taskapi.resource l"
					 " WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c"
					 " WHERE c.oid OPERATOR(pg_catalog.=) l.deleted_resource AND c.relkind OPERATOR(pg_catalog.=) 'v')"
					 " AND l.deleted_resource IS NOT NULL FOR UPDATE OF l SKIP LOCKED))",
					 false, 0);
	if (rc != SPI_OK_UPDATE)
		elog(ERROR, "dropped views were not forgotten: %s", SPI_result_code_string(rc));
	rc = SPI_execute("UPDATE taskapi.resource r SET departures = NULL"
					 " WHERE r.resource OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT l.resource FROM taskapi.resource l"
					 " WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c"
					 " WHERE c.oid OPERATOR(pg_catalog.=) l.departures AND c.relkind OPERATOR(pg_catalog.=) 'r')"
					 " AND l.departures IS NOT NULL FOR UPDATE OF l SKIP LOCKED))",
					 false, 0);
	if (rc != SPI_OK_UPDATE)
		elog(ERROR, "dropped tables of departures were not forgotten: %s", SPI_result_code_string(rc));
}

static void
forget_dropped(void)
{
	TaskapiRole saved = taskapi_become(taskapi_relation_owner("resource"), AS_OWNER);

	delete_leftovers();
	taskapi_role_restore(saved);
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
	SPI_connect();
	forget_dropped();
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * resource_columns(resource regclass) -> TABLE (name name, source_attnum int2)
 *
 * The columns of a resource's view, and which of the table's each is; NULL for a computed one.  By the view's definition:
 * the registry need not know the view yet.
 */
PG_FUNCTION_INFO_V1(taskapi_resource_columns);
Datum
taskapi_resource_columns(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Oid			relid = PG_GETARG_OID(0);
	Relation	rel = try_relation_open(relid, AccessShareLock);
	const TaskapiRegistration *registration = taskapi_resource_find(relid);
	TupleDesc	desc;
	Query	   *query;
	int			rtindex;
	RangeTblEntry *rte;
	AttrNumber *columns;

	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	desc = RelationGetDescr(rel);
	query = rel->rd_rel->relkind == RELKIND_VIEW ? get_view_query(rel) : NULL;
	rte = query ? taskapi_simple_view(query, &rtindex) : NULL;
	if (rte == NULL || (registration != NULL && registration->source != rte->relid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("view \"%s\" cannot be used as a resource", RelationGetRelationName(rel)),
				 errdetail("It does not read from exactly one table."),
				 errhint("Drop the view, and call taskapi.expose() again.")));
	columns = taskapi_simple_view_columns(query, rtindex, desc->natts);
	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < desc->natts; i++)
	{
		Datum		values[] = {NameGetDatum(&TupleDescAttr(desc, i)->attname), Int16GetDatum(columns[i])};
		bool		nulls[] = {false, columns[i] == 0};

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	relation_close(rel, AccessShareLock);
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
 * order_by_renamed(order_by text, names name[], new_names name[]) -> text
 */
PG_FUNCTION_INFO_V1(taskapi_order_by_renamed);
Datum
taskapi_order_by_renamed(PG_FUNCTION_ARGS)
{
	text	   *arg = PG_GETARG_TEXT_PP(0);
	TaskapiOrderBy *order_by = taskapi_order_by_parse(VARDATA_ANY(arg), VARSIZE_ANY_EXHDR(arg));
	Datum	   *names[2];
	bool	   *nulls[2];
	int			n[2];

	for (int i = 0; i < 2; i++)
		deconstruct_array(PG_GETARG_ARRAYTYPE_P(i + 1), NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR,
						  &names[i], &nulls[i], &n[i]);
	for (int i = 0; i < order_by->nterms; i++)
	{
		TaskapiOrderTerm *term = &order_by->terms[i];

		for (int j = 0; j < Min(n[0], n[1]); j++)
		{
			if (nulls[0][j] || nulls[1][j] || strcmp(NameStr(*DatumGetName(names[0][j])), term->name) != 0)
				continue;
			strlcpy(term->name, NameStr(*DatumGetName(names[1][j])), NAMEDATALEN);
			break;
		}
	}
	PG_RETURN_TEXT_P(cstring_to_text(taskapi_order_by_canonical(order_by)));
}
