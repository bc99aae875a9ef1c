/*-------------------------------------------------------------------------
 *
 * outbox_consumer.c
 *	  The row that says how far a group is in a slot, and who has the slot.
 *
 * SQL: sql/install/75_outbox.sql
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "nodes/execnodes.h"
#include "storage/bufmgr.h"
#include "storage/bufpage.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "outbox/outbox_consumer.h"

enum
{
	COLUMN_GROUP,
	COLUMN_SLOT,
	COLUMN_GENERATION,
	COLUMN_POSITION,
	COLUMN_DELIVERED,
	COLUMN_MISSED,
	COLUMN_PARKS,
	COLUMN_OWNER,
	COLUMN_FENCING_TOKEN,
	COLUMN_LEASE_EXPIRES_AT,
	COLUMN_RECEIVED_AT
};

static const TaskapiOutboxLayout layout = {
	3, 11,
	{{"group", TEXTOID}, {"slot", INT2OID}, {"generation", INT8OID}, {"position", INT8OID}, {"delivered", INT8OID},
	{"missed", INT8OID}, {"parks", BOOLOID}, {"owner", TEXTOID}, {"fencing_token", INT8OID},
	{"lease_expires_at", TIMESTAMPTZOID}, {"received_at", TIMESTAMPTZOID}}
};

/* The generations that were seen last of a group's rows; those seen later are not smaller, unless the group was made again. */
static struct
{
	Oid			relid;
	int			group_len;
	char		group[NAMEDATALEN];
	int64		generations[OUTBOX_SLOTS];
} known;

static bool has_triggers(Relation rel);
static int64 *known_generation(const TaskapiOutboxTable *table, Datum group, int32 slot);
static bool find_row(TaskapiOutboxTable *table, Datum group, int32 slot);
static bool has_room(TupleTableSlot *row, const text *owner);
static void take_row(TaskapiOutboxTable *table, TaskapiConsumer *consumer);

bool
taskapi_consumer_open(TaskapiOutboxTable *table, const TaskapiOutbox *outbox)
{
	if (!taskapi_outbox_table_open_name(table, outbox, "consumer", &layout, RowExclusiveLock))
		return false;
	if (!has_triggers(table->rel) && table->rel->rd_rules == NULL)
		return true;
	taskapi_outbox_table_close(table);
	return false;
}

/*
 * Those of a foreign key are none that an UPDATE of other columns fires.
 */
static bool
has_triggers(Relation rel)
{
	for (int i = 0; rel->trigdesc && i < rel->trigdesc->numtriggers; i++)
		if (!rel->trigdesc->triggers[i].tgisinternal)
			return true;
	return false;
}

/*
 * NULL: there can be no such row.
 */
static int64 *
known_generation(const TaskapiOutboxTable *table, Datum group, int32 slot)
{
	const text *name = DatumGetTextPP(group);
	int			len = VARSIZE_ANY_EXHDR(name);

	if (slot < 0 || slot >= OUTBOX_SLOTS || len > sizeof(known.group))
		return NULL;
	if (known.relid != RelationGetRelid(table->rel) || known.group_len != len || memcmp(known.group, VARDATA_ANY(name), len) != 0)
	{
		memset(&known, 0, sizeof(known));
		known.relid = RelationGetRelid(table->rel);
		known.group_len = len;
		memcpy(known.group, VARDATA_ANY(name), len);
	}
	return &known.generations[slot];
}

/*
 * A scan reads all entries of a page of the index that its keys are true of, before it returns the first.  So it begins with the
 * generation that was seen last.
 */
static bool
find_row(TaskapiOutboxTable *table, Datum group, int32 slot)
{
	Datum		keys[2] = {group, Int16GetDatum((int16) slot)};
	int64	   *generation = known_generation(table, group, slot);
	int64		before;

	if (generation == NULL)
		return false;
	before = *generation - 1;
	if (!taskapi_outbox_find_last(table, keys, lengthof(keys), &before) &&
		!taskapi_outbox_find_last(table, keys, lengthof(keys), NULL))
		return false;
	*generation = taskapi_outbox_number(table, COLUMN_GENERATION);
	return true;
}

bool
taskapi_consumer_read(TaskapiOutboxTable *table, Datum group, int32 slot, TaskapiConsumer *consumer)
{
	if (!find_row(table, group, slot))
		return false;
	take_row(table, consumer);
	return true;
}

static void
take_row(TaskapiOutboxTable *table, TaskapiConsumer *consumer)
{
	bool		isnull;

	consumer->slot = DatumGetInt16(taskapi_outbox_column(table, COLUMN_SLOT, &isnull));
	consumer->position = taskapi_outbox_number(table, COLUMN_POSITION);
	consumer->delivered = taskapi_outbox_number(table, COLUMN_DELIVERED);
	consumer->missed = taskapi_outbox_number(table, COLUMN_MISSED);
	consumer->parks = DatumGetBool(taskapi_outbox_column(table, COLUMN_PARKS, &isnull)) || isnull;
	(void) taskapi_outbox_column(table, COLUMN_OWNER, &isnull);
	consumer->owned = !isnull;
	consumer->fencing_token = taskapi_outbox_number(table, COLUMN_FENCING_TOKEN);
	consumer->lease_expires_at = taskapi_outbox_number(table, COLUMN_LEASE_EXPIRES_AT);
	consumer->received_at = taskapi_outbox_number(table, COLUMN_RECEIVED_AT);
}

bool
taskapi_consumer_lock(TaskapiOutboxTable *table, Datum group, int32 slot, LockWaitPolicy policy, TaskapiConsumer *consumer)
{
	bool		locked = false;
	ItemPointerData tid;
	TM_FailureData failure;
	TM_Result	result;

	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (find_row(table, group, slot))
	{
		tid = table->slot->tts_tid;
		result = table_tuple_lock(table->rel, &tid, GetActiveSnapshot(), table->slot, GetCurrentCommandId(false),
								  LockTupleExclusive, policy, TUPLE_LOCK_FLAG_FIND_LAST_VERSION, &failure);
		locked = result == TM_Ok;
		if (!locked && result != TM_WouldBlock && result != TM_Deleted)
			elog(ERROR, "unexpected table_tuple_lock status: %u", result);
	}
	PopActiveSnapshot();
	if (locked)
		take_row(table, consumer);
	return locked && consumer->slot == slot;
}

/*
 * Is there room for another version on the row's page?  If somebody else takes it meanwhile, two pages have the same generation.
 */
static bool
has_room(TupleTableSlot *row, const text *owner)
{
	const BufferHeapTupleTableSlot *stored = (const BufferHeapTupleTableSlot *) row;
	Size		needed;
	Size		room;

	if (!TTS_IS_BUFFERTUPLE(row) || !BufferIsValid(stored->buffer))
		return false;
	/* of a lease that ends, the columns that become NULL are not written */
	needed = MAXALIGN(stored->base.tuple->t_len + (owner ? VARSIZE_ANY(owner) + 2 * sizeof(TimestampTz) : 0));
	LockBuffer(stored->buffer, BUFFER_LOCK_SHARE);
	room = PageGetHeapFreeSpace(BufferGetPage(stored->buffer));
	LockBuffer(stored->buffer, BUFFER_LOCK_UNLOCK);
	return room >= needed;
}

void
taskapi_consumer_write(TaskapiOutboxTable *table, const TaskapiConsumerChange *change)
{
	TupleDesc	desc = RelationGetDescr(table->rel);
	TupleTableSlot *written = table_slot_create(table->rel, NULL);
	EState	   *estate = CreateExecutorState();
	ResultRelInfo *result = makeNode(ResultRelInfo);
	EPQState	epqstate;

	slot_getallattrs(table->slot);
	memcpy(written->tts_values, table->slot->tts_values, desc->natts * sizeof(Datum));
	memcpy(written->tts_isnull, table->slot->tts_isnull, desc->natts * sizeof(bool));
#define SET(column, datum, null) \
	(written->tts_values[table->attnos[column] - 1] = (datum), written->tts_isnull[table->attnos[column] - 1] = (null))
	if (!has_room(table->slot, change->owner))
		SET(COLUMN_GENERATION, Int64GetDatum(taskapi_outbox_number(table, COLUMN_GENERATION) + 1), false);
	SET(COLUMN_POSITION, Int64GetDatum(change->position), false);
	SET(COLUMN_DELIVERED, Int64GetDatum(change->delivered), false);
	SET(COLUMN_OWNER, PointerGetDatum(change->owner), change->owner == NULL);
	SET(COLUMN_LEASE_EXPIRES_AT, TimestampTzGetDatum(change->lease_expires_at), change->owner == NULL);
	if (change->owner)
	{
		SET(COLUMN_FENCING_TOKEN, Int64GetDatum(change->fencing_token), false);
		SET(COLUMN_RECEIVED_AT, TimestampTzGetDatum(GetCurrentTimestamp()), false);
	}
#undef SET
	ExecStoreVirtualTuple(written);

	PushActiveSnapshot(GetLatestSnapshot());
	estate->es_snapshot = GetActiveSnapshot();
	estate->es_output_cid = GetCurrentCommandId(true);
	InitResultRelInfo(result, table->rel, 0, NULL, 0);
	ExecOpenIndices(result, false);
	estate->es_opened_result_relations = lappend(estate->es_opened_result_relations, result);
	taskapi_eval_plan_qual_init(&epqstate, estate);
	AfterTriggerBeginQuery();
	ExecSimpleRelationUpdate(result, estate, &epqstate, table->slot, written);
	AfterTriggerEndQuery(estate);
	EvalPlanQualEnd(&epqstate);
	ExecCloseResultRelations(estate);
	PopActiveSnapshot();
	ExecResetTupleTable(estate->es_tupleTable, false);
	ExecDropSingleTupleTableSlot(written);
	FreeExecutorState(estate);
	CommandCounterIncrement();
}
