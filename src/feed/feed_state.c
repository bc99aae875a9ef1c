/*-------------------------------------------------------------------------
 *
 * feed_state.c
 *	  Table taskapi.change_source (feed_state.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

#include "base/compat.h"
#include "base/own_objects.h"
#include "base/role.h"
#include "base/table_cache.h"
#include "feed/feed_state.h"

#define AS_OWNER (SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION)

/* Columns of taskapi.change_source */
enum
{
	SOURCE_COLUMN = 1,
	INCARNATION_COLUMN,
	SYSTEM_COLUMN,
	PRUNED_COLUMN
};

static const Oid column_types[] = {REGCLASSOID, INT4OID, INT8OID, XID8OID};

static TaskapiTableCache cache = {.relname = "change_source"};
static TaskapiFeedState *states = NULL;
static int	nstates = 0;

static void check_columns(Relation rel);
static void read_state(HeapTuple tuple, TupleDesc desc, TaskapiFeedState *state);
static void load_states(void);
static const TaskapiFeedState *find_state(Oid source);
static void begin_incarnation(Oid source);

static void
check_columns(Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);

	for (int i = 0; i < lengthof(column_types); i++)
	{
		if (rel->rd_rel->relkind != RELKIND_RELATION || i >= desc->natts ||
			TupleDescAttr(desc, i)->attisdropped || TupleDescAttr(desc, i)->atttypid != column_types[i] ||
			!taskapi_att_is_not_null(desc, i + 1))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("table \"%s.%s\" has changed", TASKAPI_SCHEMA, cache.relname),
					 errhint("Create extension taskapi in this database.")));
	}
}

static void
read_state(HeapTuple tuple, TupleDesc desc, TaskapiFeedState *state)
{
	bool		isnull;

	state->source = DatumGetObjectId(heap_getattr(tuple, SOURCE_COLUMN, desc, &isnull));
	state->incarnation = DatumGetInt32(heap_getattr(tuple, INCARNATION_COLUMN, desc, &isnull));
	state->current = (uint64) DatumGetInt64(heap_getattr(tuple, SYSTEM_COLUMN, desc, &isnull)) == GetSystemIdentifier();
	state->pruned = U64FromFullTransactionId(DatumGetFullTransactionId(heap_getattr(tuple, PRUNED_COLUMN, desc, &isnull)));
	if (!state->current)
		state->incarnation++;
}

bool
taskapi_feed_state(Oid source, Snapshot snapshot, TaskapiFeedState *state)
{
	Relation	rel = table_open(taskapi_relation_oid(cache.relname), AccessShareLock);
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	check_columns(rel);
	scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		read_state(tuple, RelationGetDescr(rel), state);
		found = (state->source == source);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

static void
load_states(void)
{
	uint64		generation = taskapi_relation_generation();
	Relation	rel = table_open(taskapi_relation_oid(cache.relname), AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	SysScanDesc scan;
	HeapTuple	tuple;
	int			max = 16;

	check_columns(rel);
	if (states != NULL)
		pfree(states);
	states = NULL;
	nstates = 0;
	states = MemoryContextAlloc(CacheMemoryContext, sizeof(TaskapiFeedState) * max);
	scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		if (nstates == max)
			states = repalloc(states, sizeof(TaskapiFeedState) * (max *= 2));
		read_state(tuple, RelationGetDescr(rel), &states[nstates++]);
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
	taskapi_table_cache_filled(&cache, generation);
}

static const TaskapiFeedState *
find_state(Oid source)
{
	if (!taskapi_table_cache_valid(&cache))
		load_states();
	for (int i = 0; i < nstates; i++)
	{
		if (states[i].source == source)
			return &states[i];
	}
	return NULL;
}

int
taskapi_feed_incarnation(Oid source)
{
	const TaskapiFeedState *state = find_state(source);

	if (state != NULL && !state->current)
	{
		begin_incarnation(source);
		state = find_state(source);
	}
	return state != NULL ? state->incarnation : 0;
}

/*
 * Another first write waits here until this one's transaction is over.
 */
static void
begin_incarnation(Oid source)
{
	Oid			types[] = {OIDOID, INT8OID};
	Datum		values[] = {ObjectIdGetDatum(source), Int64GetDatum((int64) GetSystemIdentifier())};
	TaskapiRole saved;
	int			rc;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	saved = taskapi_become(taskapi_relation_owner(cache.relname), AS_OWNER);
	rc = SPI_execute_with_args("UPDATE taskapi.change_source AS s SET system_identifier = $2,"
							   " incarnation = s.incarnation OPERATOR(pg_catalog.+) 1"
							   " WHERE s.source OPERATOR(pg_catalog.=) $1"
							   " AND s.system_identifier OPERATOR(pg_catalog.<>) $2",
							   lengthof(types), types, values, NULL, false, 0);
	if (rc != SPI_OK_UPDATE)
		elog(ERROR, "the incarnation was not begun: %s", SPI_result_code_string(rc));
	taskapi_role_restore(saved);
	SPI_finish();
}
