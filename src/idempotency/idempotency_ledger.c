/*-------------------------------------------------------------------------
 *
 * idempotency_ledger.c
 *	  The lock on a key, and the rows of taskapi.idempotency_key.
 *
 * The lock is an advisory lock of a class of its own (the 16-bit field in which
 * core puts 1 or 2 for the functions pg_advisory_lock), so it cannot meet a lock
 * of the application.  Being a heavyweight lock it queues without polling, takes
 * part in deadlock detection, goes with the subtransaction that took it, and is
 * kept by a prepared transaction.
 *
 * Rows are looked up with SnapshotSelf, under the key's lock.  It sees what is
 * committed at this moment, unlike the snapshot of a REPEATABLE READ
 * transaction, and this transaction's own rows; nobody can change the row
 * meanwhile, so its lack of a single point in time does no harm.  It also keeps
 * the lookup out of SERIALIZABLE's predicate locking, where two new keys on one
 * index page would make two unrelated requests fail.
 *
 * SQL: sql/install/45_idempotency.sql
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_collation.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "base/own_objects.h"
#include "base/table_cache.h"
#include "idempotency/idempotency_ledger.h"
#include "http/problem.h"

#define LEDGER "idempotency_key"

/* Must match sql/install/45_idempotency.sql. */
enum
{
	Anum_created_at = 1,
	Anum_expires_at,
	Anum_fencing_token,
	Anum_status,
	Anum_completed_at,
	Anum_lease_expires_at,
	Anum_lease,
	Anum_ttl,
	Anum_scope,
	Anum_key,
	Anum_fingerprint,
	Anum_recovery_point,
	Anum_state,
	Anum_headers,
	Anum_body
};
#define Natts_ledger Anum_body

/* "ti"; core's advisory locks have 1 and 2 here */
#define LOCK_CLASS 0x7469

/* Of the table only its OID is cached, and that its columns were checked. */
static TaskapiTableCache ledger = {.relname = LEDGER};

static void set_locktag(LOCKTAG *tag, const TaskapiIdempotencyKey *key);
static void wait_for_lock(void *arg);
static void with_wait_limit(void (*wait) (void *arg), void *arg);
pg_noreturn static void rethrow_wait_error(MemoryContext context);
static Relation open_ledger(LOCKMODE lockmode);
static void check_columns(TupleDesc desc);
static Oid	primary_key_index(Relation rel);
static void row_to_slot(const TaskapiIdempotencyKey *key, const TaskapiLedgerRow *row, TupleTableSlot *slot);
static struct varlena *copy_varlena(const Datum *values, const bool *nulls, int attnum);
static Interval *copy_interval(const Datum *values, const bool *nulls, int attnum);

/* ---------- the lock ---------- */

int			taskapi_idempotency_wait = 2000;

void
taskapi_idempotency_in_progress(int64 remaining)
{
	int64		seconds = Max((remaining + USECS_PER_SEC - 1) / USECS_PER_SEC, 1);
	List	   *headers = taskapi_headers_add(NIL, "Retry-After", psprintf(INT64_FORMAT, seconds));

	taskapi_problem(PROBLEM_IDEMPOTENCY_KEY_IN_PROGRESS, headers, NULL,
					"Another request with this key has not finished yet.");
}

static void
set_locktag(LOCKTAG *tag, const TaskapiIdempotencyKey *key)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, (uint32) (key->hash >> 32), (uint32) key->hash, LOCK_CLASS);
}

bool
taskapi_idempotency_lock(const TaskapiIdempotencyKey *key, bool nowait)
{
	LOCKTAG		tag;

	set_locktag(&tag, key);
	if (nowait || taskapi_idempotency_wait == 0)
	{
		if (LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL)
			return true;
		if (nowait)
			return false;
		taskapi_idempotency_in_progress(0);
	}

	with_wait_limit(wait_for_lock, &tag);
	return true;
}

static void
wait_for_lock(void *arg)
{
	(void) LockAcquire((LOCKTAG *) arg, ExclusiveLock, false, false);
}

/*
 * Do what may wait for another transaction, and bound the wait by taskapi_idempotency_wait as lock_timeout bounds one.
 * The lock manager has cleaned up by the time it throws, and this throws again in any case, so no subtransaction is
 * needed to catch the error.
 */
static void
with_wait_limit(void (*wait) (void *arg), void *arg)
{
	int			saved_timeout = LockTimeout;
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		LockTimeout = taskapi_idempotency_wait;
		wait(arg);
		LockTimeout = saved_timeout;
	}
	PG_CATCH();
	{
		LockTimeout = saved_timeout;
		rethrow_wait_error(context);
	}
	PG_END_TRY();
}

static void
rethrow_wait_error(MemoryContext context)
{
	int			sqlstate = geterrcode();
	ErrorData  *edata;

	if (sqlstate == ERRCODE_LOCK_NOT_AVAILABLE)
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
		taskapi_idempotency_in_progress(0);
	}
	if (sqlstate == ERRCODE_T_R_DEADLOCK_DETECTED)
	{
		/* The problem cannot carry what the deadlock detector tells the administrator. */
		MemoryContextSwitchTo(context);
		edata = CopyErrorData();
		FlushErrorState();
		ereport(LOG,
				(errcode(ERRCODE_T_R_DEADLOCK_DETECTED),
				 errmsg_internal("%s", edata->message),
				 edata->detail_log ? errdetail_internal("%s", edata->detail_log) : 0));
		taskapi_problem_sqlstate(PROBLEM_TRY_AGAIN, ERRCODE_T_R_DEADLOCK_DETECTED, NIL, NULL,
								 "A deadlock was detected while waiting for the idempotency key.");
	}
	PG_RE_THROW();
}

void
taskapi_idempotency_unlock(const TaskapiIdempotencyKey *key)
{
	LOCKTAG		tag;

	set_locktag(&tag, key);
	LockRelease(&tag, ExclusiveLock, false);
}

/* ---------- the table ---------- */

static Relation
open_ledger(LOCKMODE lockmode)
{
	Relation	rel = NULL;

	if (taskapi_table_cache_valid(&ledger))
		rel = try_table_open(ledger.relid, lockmode);
	if (rel == NULL)
		rel = table_open(taskapi_relation_oid(LEDGER), lockmode);

	/* Locking may have told of a change. */
	if (!taskapi_table_cache_valid(&ledger))
	{
		uint64		generation = taskapi_relation_generation();

		check_columns(RelationGetDescr(rel));
		taskapi_table_cache_filled(&ledger, generation);
	}
	return rel;
}

/*
 * The offset of the columns is compiled in.  Another version of the extension, or an administrator, may have changed the
 * table.
 */
static void
check_columns(TupleDesc desc)
{
	if (desc->natts < Natts_ledger ||
		strcmp(NameStr(TupleDescAttr(desc, Anum_fencing_token - 1)->attname), "fencing_token") != 0 ||
		strcmp(NameStr(TupleDescAttr(desc, Anum_body - 1)->attname), "body") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s.%s\" does not have the columns that this version expects",
						TASKAPI_SCHEMA, LEDGER),
				 errhint("Update the extension with ALTER EXTENSION taskapi UPDATE.")));
}

static Oid
primary_key_index(Relation rel)
{
	if (!rel->rd_indexvalid)
		list_free(RelationGetIndexList(rel));
	if (!OidIsValid(rel->rd_pkindex))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s.%s\" has no primary key", TASKAPI_SCHEMA, LEDGER)));
	return rel->rd_pkindex;
}

TaskapiLedgerRow *
taskapi_ledger_find(const TaskapiIdempotencyKey *key)
{
	Relation	rel = open_ledger(AccessShareLock);
	TaskapiLedgerRow *row = NULL;
	ScanKeyData skey[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyEntryInitialize(&skey[0], 0, Anum_scope, BTEqualStrategyNumber, InvalidOid, C_COLLATION_OID,
						   F_TEXTEQ, CStringGetTextDatum(key->scope));
	ScanKeyEntryInitialize(&skey[1], 0, Anum_key, BTEqualStrategyNumber, InvalidOid, C_COLLATION_OID,
						   F_TEXTEQ, CStringGetTextDatum(key->key));

	scan = systable_beginscan(rel, primary_key_index(rel), true, SnapshotSelf, 2, skey);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Datum		values[Natts_ledger];
		bool		nulls[Natts_ledger];
		TupleDesc	desc = RelationGetDescr(rel);

		/* Columns that were added behind ours are none of our business. */
		if (desc->natts == Natts_ledger)
			heap_deform_tuple(tuple, desc, values, nulls);
		else
			for (int i = 0; i < Natts_ledger; i++)
				values[i] = heap_getattr(tuple, i + 1, desc, &nulls[i]);

		row = palloc0(sizeof(TaskapiLedgerRow));
		row->tid = tuple->t_self;
		row->xmin = HeapTupleHeaderGetRawXmin(tuple->t_data);
		row->created_at = DatumGetTimestampTz(values[Anum_created_at - 1]);
		row->expires_at = DatumGetTimestampTz(values[Anum_expires_at - 1]);
		row->fencing_token = DatumGetInt64(values[Anum_fencing_token - 1]);
		if (!nulls[Anum_status - 1])
			row->status = DatumGetInt32(values[Anum_status - 1]);
		if (!nulls[Anum_completed_at - 1])
			row->completed_at = DatumGetTimestampTz(values[Anum_completed_at - 1]);
		if (!nulls[Anum_lease_expires_at - 1])
			row->lease_expires_at = DatumGetTimestampTz(values[Anum_lease_expires_at - 1]);
		row->lease = copy_interval(values, nulls, Anum_lease);
		row->ttl = copy_interval(values, nulls, Anum_ttl);
		row->fingerprint = copy_varlena(values, nulls, Anum_fingerprint);
		row->recovery_point = copy_varlena(values, nulls, Anum_recovery_point);
		row->state = copy_varlena(values, nulls, Anum_state);
		row->headers = copy_varlena(values, nulls, Anum_headers);
		row->body = copy_varlena(values, nulls, Anum_body);
	}
	systable_endscan(scan);
	/* The lock stays until the end of the transaction: a VACUUM FULL would move the row away from row->tid. */
	table_close(rel, NoLock);
	return row;
}

static struct varlena *
copy_varlena(const Datum *values, const bool *nulls, int attnum)
{
	return nulls[attnum - 1] ? NULL : PG_DETOAST_DATUM_COPY(values[attnum - 1]);
}

static Interval *
copy_interval(const Datum *values, const bool *nulls, int attnum)
{
	Interval   *result;

	if (nulls[attnum - 1])
		return NULL;
	result = palloc(sizeof(Interval));
	*result = *DatumGetIntervalP(values[attnum - 1]);
	return result;
}

bool
taskapi_ledger_row_expired(const TaskapiLedgerRow *row, TimestampTz now)
{
	if (row->expires_at > now)
		return false;
	return row->status != 0 ||
		(row->lease_expires_at <= now && row->recovery_point == NULL && row->state == NULL);
}

static void
row_to_slot(const TaskapiIdempotencyKey *key, const TaskapiLedgerRow *row, TupleTableSlot *slot)
{
	Datum	   *values = slot->tts_values;
	bool	   *nulls = slot->tts_isnull;
	int			natts = slot->tts_tupleDescriptor->natts;

	ExecClearTuple(slot);
	memset(values, 0, natts * sizeof(Datum));
	memset(nulls, true, natts * sizeof(bool));

#define SET(attnum, datum) (values[(attnum) - 1] = (datum), nulls[(attnum) - 1] = false)
#define SET_IF(attnum, pointer) ((pointer) ? (void) SET(attnum, PointerGetDatum(pointer)) : (void) 0)
	SET(Anum_created_at, TimestampTzGetDatum(row->created_at));
	SET(Anum_expires_at, TimestampTzGetDatum(row->expires_at));
	SET(Anum_fencing_token, Int64GetDatum(row->fencing_token));
	if (row->status != 0)
	{
		SET(Anum_status, Int32GetDatum(row->status));
		SET(Anum_completed_at, TimestampTzGetDatum(row->completed_at));
	}
	else
		SET(Anum_lease_expires_at, TimestampTzGetDatum(row->lease_expires_at));
	SET_IF(Anum_lease, row->lease);
	SET_IF(Anum_ttl, row->ttl);
	SET(Anum_scope, CStringGetTextDatum(key->scope));
	SET(Anum_key, CStringGetTextDatum(key->key));
	SET_IF(Anum_fingerprint, row->fingerprint);
	SET_IF(Anum_recovery_point, row->recovery_point);
	SET_IF(Anum_state, row->state);
	SET_IF(Anum_headers, row->headers);
	SET_IF(Anum_body, row->body);
#undef SET_IF
#undef SET

	ExecStoreVirtualTuple(slot);
}

/*
 * What the executor needs to write a row: it sees to indexes that were added, constraints and publications.
 */
typedef struct LedgerWriter
{
	Relation	rel;
	EState	   *estate;
	ResultRelInfo *result_rel;
	TupleTableSlot *slot;
} LedgerWriter;

static void
writer_begin(LedgerWriter *writer)
{
	writer->rel = open_ledger(RowExclusiveLock);
	writer->estate = CreateExecutorState();
	writer->estate->es_output_cid = GetCurrentCommandId(true);
	writer->result_rel = makeNode(ResultRelInfo);
	InitResultRelInfo(writer->result_rel, writer->rel, 0, NULL, 0);
	ExecOpenIndices(writer->result_rel, false);
	writer->slot = MakeSingleTupleTableSlot(RelationGetDescr(writer->rel), table_slot_callbacks(writer->rel));
}

static void
writer_end(LedgerWriter *writer)
{
	ExecDropSingleTupleTableSlot(writer->slot);
	ExecCloseIndices(writer->result_rel);
	ExecResetTupleTable(writer->estate->es_tupleTable, false);
	FreeExecutorState(writer->estate);
	/* The lock on the table stays until the end of the transaction, as for any write. */
	table_close(writer->rel, NoLock);
	CommandCounterIncrement();
}

void
taskapi_ledger_insert(const TaskapiIdempotencyKey *key, const TaskapiLedgerRow *row)
{
	MemoryContext context = CurrentMemoryContext;
	LedgerWriter writer;

	writer_begin(&writer);
	row_to_slot(key, row, writer.slot);
	PG_TRY();
	{
		ExecSimpleRelationInsert(writer.result_rel, writer.estate, writer.slot);
	}
	PG_CATCH();
	{
		/*
		 * Nobody inserts a key whose lock we hold, but somebody may have by hand.
		 */
		if (geterrcode() != ERRCODE_UNIQUE_VIOLATION)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
		taskapi_problem(PROBLEM_TRY_AGAIN, NIL, NULL,
						"Another transaction has stored a response for the idempotency key.");
	}
	PG_END_TRY();
	writer_end(&writer);
}

/* A row that is being locked or deleted, and what came of it */
typedef struct RowWait
{
	Relation	rel;
	ItemPointerData tid;
	CommandId	cid;
	TupleTableSlot *slot;		/* of a row to be locked */
	TM_Result	result;
} RowWait;

static void
wait_and_lock_row(void *arg)
{
	RowWait    *row = arg;
	TM_FailureData failure;

	row->result = table_tuple_lock(row->rel, &row->tid, SnapshotSelf, row->slot, row->cid,
								   LockTupleNoKeyExclusive, LockWaitBlock, 0, &failure);
}

static void
wait_and_delete_row(void *arg)
{
	RowWait    *row = arg;
	TM_FailureData failure;

	row->result = taskapi_table_tuple_delete(row->rel, &row->tid, row->cid, SnapshotSelf, true, &failure);
}

bool
taskapi_ledger_update(const TaskapiIdempotencyKey *key, const TaskapiLedgerRow *row)
{
	LedgerWriter writer;
	RowWait		old;

	writer_begin(&writer);
	old.rel = writer.rel;
	old.tid = row->tid;
	old.cid = writer.estate->es_output_cid;
	old.slot = table_slot_create(writer.rel, NULL);

	/* A purge may be deleting the row at this moment. */
	with_wait_limit(wait_and_lock_row, &old);
	if (old.result == TM_Ok)
	{
		EPQState	epqstate;

		taskapi_eval_plan_qual_init(&epqstate, writer.estate);
		row_to_slot(key, row, writer.slot);
		ExecSimpleRelationUpdate(writer.result_rel, writer.estate, &epqstate, old.slot, writer.slot);
		EvalPlanQualEnd(&epqstate);
	}
	else if (old.result != TM_Deleted && old.result != TM_Updated)
		elog(ERROR, "unexpected table_tuple_lock status: %u", old.result);

	ExecDropSingleTupleTableSlot(old.slot);
	writer_end(&writer);
	return old.result == TM_Ok;
}

bool
taskapi_ledger_delete(const TaskapiIdempotencyKey *key, const TaskapiLedgerRow *row)
{
	RowWait		old = {.rel = open_ledger(RowExclusiveLock), .tid = row->tid, .cid = GetCurrentCommandId(true)};

	with_wait_limit(wait_and_delete_row, &old);
	if (old.result != TM_Ok && old.result != TM_Deleted && old.result != TM_Updated)
		elog(ERROR, "unexpected table_tuple_delete status: %u", old.result);
	table_close(old.rel, NoLock);
	CommandCounterIncrement();
	return old.result == TM_Ok;
}
