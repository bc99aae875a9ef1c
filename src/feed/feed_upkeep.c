/*-------------------------------------------------------------------------
 *
 * feed_upkeep.c
 *	  Where the stamps of a table begin, and where its departures end.
 *
 * Both look into tables of others, as their owners and in a security-restricted
 * operation, and write down what they found as the owner of the extension's.
 *
 * SQL: sql/install/76_changes.sql
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "base/compat.h"
#include "base/own_objects.h"
#include "base/role.h"
#include "base/subtransaction.h"
#include "feed/feed_stamp.h"
#include "feed/feed_state.h"
#include "resource/resource_registry.h"
#include "resource/resource_table.h"

#define AS_OWNER (SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION)

/* The pruning of one table's departures */
typedef struct PruneRun
{
	Oid			source;
	Datum		before;
	TransactionId horizon;
	int64		batch;
	int64		pruned;
} PruneRun;

static void require_stamps(void);
static uint64 stamp_of(const char *query, int nargs, Oid *types, Datum *values, bool *found);
static int64 try_prune(Oid source, Datum before, TransactionId horizon, int64 batch);
static void prune_source(void *arg);
static int64 prune(Oid source, Oid departures, Datum before, TransactionId horizon, int64 batch);

/*
 * The first column of what SPI returned is xid8: the table is another's, and so are its types.
 */
static void
require_stamps(void)
{
	if (SPI_gettypeid(SPI_tuptable->tupdesc, 1) != XID8OID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("stamps are not of type xid8")));
}

/*
 * The xid8 in the first column of the first row.
 */
static uint64
stamp_of(const char *query, int nargs, Oid *types, Datum *values, bool *found)
{
	int			rc = SPI_execute_with_args(query, nargs, types, values, NULL, false, 0);
	bool		isnull = true;
	Datum		value = (Datum) 0;

	if (rc != SPI_OK_SELECT)
		elog(ERROR, "\"%s\" failed: %s", query, SPI_result_code_string(rc));
	if (SPI_processed > 0)
	{
		require_stamps();
		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	}
	*found = !isnull;
	return isnull ? 0 : U64FromFullTransactionId(DatumGetFullTransactionId(value));
}

/*
 * next_incarnation(source regclass) -> int
 *
 * Locks the table against writers.  The stamps that are there already are those of before, or of another cluster.
 */
PG_FUNCTION_INFO_V1(taskapi_next_incarnation);
Datum
taskapi_next_incarnation(PG_FUNCTION_ARGS)
{
	Oid			source = PG_GETARG_OID(0);
	TaskapiTable *table;
	TaskapiRole saved;
	uint64		newest;
	bool		found;

	LockRelationOid(source, ShareRowExclusiveLock);
	if (get_rel_relkind(source) == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", source)));
	table = taskapi_resource_table(source);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	saved = taskapi_become(table->owner, AS_OWNER);
	newest = stamp_of(psprintf("SELECT t." TASKAPI_STAMP_COLUMN " FROM %s AS t WHERE t." TASKAPI_STAMP_COLUMN
							   " OPERATOR(pg_catalog.>) '0'::pg_catalog.xid8 ORDER BY 1 DESC LIMIT 1", table->name),
					  0, NULL, NULL, &found);
	taskapi_role_restore(saved);
	SPI_finish();
	if (found && newest >> TASKAPI_STAMP_BITS == PG_UINT16_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("stamps of table %s are used up", table->name),
				 errhint("Set column \"" TASKAPI_STAMP_COLUMN "\" of all its rows to 0.")));
	PG_RETURN_INT32(found ? (int) (newest >> TASKAPI_STAMP_BITS) + 1 : 1);
}

/*
 * prune_changes(older_than interval, batch int, written_before xid8) -> bigint
 */
PG_FUNCTION_INFO_V1(taskapi_prune_changes);
Datum
taskapi_prune_changes(PG_FUNCTION_ARGS)
{
	Datum		before;
	TransactionId horizon;
	int			batch;
	int64		pruned = 0;
	List	   *sources = NIL;
	int			first = 0;
	ListCell   *lc;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	before = DirectFunctionCall2(timestamptz_mi_interval,
								 TimestampTzGetDatum(GetCurrentTransactionStartTimestamp()), PG_GETARG_DATUM(0));
	batch = PG_GETARG_INT32(1);
	horizon = PG_ARGISNULL(2) ? ReadNextTransactionId() :
		XidFromFullTransactionId(DatumGetFullTransactionId(PG_GETARG_DATUM(2)));
	if (batch < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("batch must be positive")));
	foreach(lc, taskapi_registrations())
	{
		const TaskapiRegistration *r = lfirst(lc);

		if (r->changes && OidIsValid(r->departures))
			sources = list_append_unique_oid(sources, r->source);
	}
	/* another one first each time: what holds up the run until it is cancelled keeps no other from its turn for good */
	if (sources != NIL)
		first = (int) pg_prng_uint64_range(&pg_global_prng_state, 0, list_length(sources) - 1);
	for (int i = 0; i < list_length(sources) && pruned < batch; i++)
		pruned += try_prune(list_nth_oid(sources, (first + i) % list_length(sources)), before, horizon, batch - pruned);
	PG_RETURN_INT64(pruned);
}

/*
 * What its owner has made of one table must not keep the others from being pruned.
 */
static int64
try_prune(Oid source, Datum before, TransactionId horizon, int64 batch)
{
	PruneRun	run = {.source = source, .before = before, .horizon = horizon, .batch = batch};
	ErrorData  *edata = taskapi_in_subtransaction(prune_source, &run);

	if (edata == NULL)
		return run.pruned;
	/* the text may tell of rows that whoever runs this cannot read */
	ereport(WARNING,
			(errcode(edata->sqlerrcode),
			 errmsg("could not prune departures of table \"%s\"", get_rel_name(source)),
			 errdetail("The error has SQLSTATE %s.", unpack_sql_state(edata->sqlerrcode)),
			 edata->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ?
			 errhint("Another session has locked it. The next run tries again.") :
			 errhint("Call taskapi.expose() again.")));
	FreeErrorData(edata);
	return 0;
}

static void
prune_source(void *arg)
{
	PruneRun   *run = arg;
	const TaskapiRegistration *r = taskapi_resource_with_changes(run->source);

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (r != NULL && get_rel_relkind(r->departures) == RELKIND_RELATION)
		run->pruned = prune(run->source, r->departures, run->before, run->horizon, run->batch);
	SPI_finish();
}

/*
 * What is deleted and how far that reached become visible together.
 *
 * Rows that a transaction from the horizon on has written stay: a trigger may leave one for each that goes.  An age below 0 is
 * that of a row which was frozen long ago.
 */
static int64
prune(Oid source, Oid departures, Datum before, TransactionId horizon, int64 batch)
{
	Oid			types[] = {TIMESTAMPTZOID, INT8OID, XIDOID};
	Datum		values[] = {before, Int64GetDatum(batch), TransactionIdGetDatum(horizon)};
	Oid			pruned_types[] = {OIDOID, XID8OID};
	Datum		pruned[2] = {ObjectIdGetDatum(source)};
	Oid			owner = taskapi_resource_table(source)->owner;
	TaskapiRole saved;
	uint64		newest = 0;
	int64		n;

	saved = taskapi_become(owner, AS_OWNER);
	if (SPI_execute_with_args(psprintf("DELETE FROM %1$s AS d WHERE d.ctid OPERATOR(pg_catalog.=) ANY (ARRAY("
									   "SELECT o.ctid FROM %1$s AS o WHERE o.taskapi_departed_at OPERATOR(pg_catalog.<) $1"
									   " AND (pg_catalog.age(o.xmin) OPERATOR(pg_catalog.>) pg_catalog.age($3)"
									   " OR pg_catalog.age(o.xmin) OPERATOR(pg_catalog.<) 0)"
									   " ORDER BY o.taskapi_departed_at LIMIT $2)) RETURNING d.taskapi_stamp",
									   quote_qualified_identifier(get_namespace_name(get_rel_namespace(departures)),
																  get_rel_name(departures))),
							  lengthof(types), types, values, NULL, false, 0) != SPI_OK_DELETE_RETURNING)
		elog(ERROR, "departures were not pruned");
	taskapi_role_restore(saved);
	n = (int64) SPI_processed;
	require_stamps();
	for (int64 i = 0; i < n; i++)
	{
		bool		isnull;
		Datum		stamp = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull);

		if (!isnull)
			newest = Max(newest, U64FromFullTransactionId(DatumGetFullTransactionId(stamp)));
	}
	if (n == 0)
		return 0;
	SPI_freetuptable(SPI_tuptable);
	pruned[1] = FullTransactionIdGetDatum(FullTransactionIdFromU64(newest));
	saved = taskapi_become(taskapi_relation_owner("change_source"), AS_OWNER);
	if (SPI_execute_with_args("UPDATE taskapi.change_source AS s SET pruned = $2"
							  " WHERE s.source OPERATOR(pg_catalog.=) $1 AND s.pruned OPERATOR(pg_catalog.<) $2",
							  lengthof(pruned_types), pruned_types, pruned, NULL, false, 0) != SPI_OK_UPDATE)
		elog(ERROR, "what was pruned was not written down");
	taskapi_role_restore(saved);
	return n;
}
