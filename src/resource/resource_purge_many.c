/*-------------------------------------------------------------------------
 *
 * resource_purge_many.c
 *	  A purge of many rows that nothing refers to, in three statements
 *	  (resource_purge_many.h).
 *
 * Rows are known by their positions in the batch, and by their places from when they
 * are locked: nobody else can move them then.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "base/own_objects.h"
#include "http/problem.h"
#include "resource/resource_ahead.h"
#include "resource/resource_cascade.h"
#include "resource/resource_delete_scan.h"
#include "resource/resource_plan.h"
#include "resource/resource_purge_many.h"
#include "resource/resource_stranger.h"
#include "resource/resource_table_plan.h"
#include "resource/resource_write.h"

/* A batch, by the positions of its rows. */
typedef struct Batch
{
	TaskapiTable *table;
	int			count;
	Datum		keys[INDEX_MAX_KEYS];	/* arrays, one for each column of the key */
	ItemPointerData *places;	/* invalid: goes by itself, if it does */
	int			npurged;
} Batch;

/* What statements return about rows of a batch: their positions from 1, and where they are. */
typedef struct PositionReceiver
{
	DestReceiver pub;
	Batch	   *batch;
	bool		with_places;	/* these become the batch's; else the rows leave it */
	int64		received;
} PositionReceiver;

static bool can_be_made(const TaskapiWrite *write, const TaskapiTable *table);
static bool keys_fit(const TaskapiView *view, const TaskapiTable *table);
static bool key_position(const TaskapiTable *table, int column, int *position);
static bool shows_statements(Relation rel);
static bool read_keys(Batch *batch, const TaskapiWrite *write, const TaskapiAhead *ahead);
static void receiver_startup(DestReceiver *self, int operation, TupleDesc desc);
static bool receiver_receive(TupleTableSlot *slot, DestReceiver *self);
static void receiver_shutdown(DestReceiver *self);
static PositionReceiver position_receiver(Batch *batch, bool with_places);
static void lock_deletable(Batch *batch, const TaskapiWrite *write);
static int64 leave_out_referred(Batch *batch, TaskapiForeignKey **referring);
static int	compare_places(const void *a, const void *b);
static void purge(Batch *batch);

bool
taskapi_purge_many(const TaskapiWrite *write)
{
	TaskapiAhead *ahead = write->statement->ahead;
	TaskapiForeignKey *referring;
	Batch		batch = {0};
	MemoryContext oldcontext;

	if (ahead == NULL || ahead->tried)
		return taskapi_ahead_has_written(ahead);
	ahead->tried = true;
	batch.count = ahead->count;
	if (batch.count < 2)
		return false;
	batch.table = taskapi_resource_table(write->view->registration.source);
	if (!can_be_made(write, batch.table))
		return false;

	oldcontext = MemoryContextSwitchTo(ahead->context);
	batch.places = palloc0(sizeof(ItemPointerData) * batch.count);
	if (read_keys(&batch, write, ahead))
	{
		lock_deletable(&batch, write);
		(void) leave_out_referred(&batch, &referring);
		purge(&batch);
		/* referential integrity does not look whether a trigger has kept a row, or made one */
		if (batch.npurged > 0 && leave_out_referred(&batch, &referring) > 0)
			taskapi_problem(PROBLEM_FORBIDDEN, NIL, NULL,
							"A trigger keeps rows of %s from being purged.", referring->other_relname);
		ahead->written = palloc0(sizeof(bool) * batch.count);
		for (int i = 0; i < batch.count; i++)
			ahead->written[i] = ItemPointerIsValid(&batch.places[i]);
	}
	MemoryContextSwitchTo(oldcontext);
	return taskapi_ahead_has_written(ahead);
}

static bool
can_be_made(const TaskapiWrite *write, const TaskapiTable *table)
{
	const TaskapiResourceStatement *statement = write->statement;
	Relation	rel;
	bool		result;

	/* preconditions and the ledger are asked for each row */
	if (statement->if_match != NULL || statement->if_none_match != NULL || statement->require_if_match ||
		statement->idempotency != NULL || !keys_fit(write->view, table))
		return false;
	rel = table_open(table->entry.relid, RowExclusiveLock);
	result = rel->rd_rel->relkind == RELKIND_RELATION && !rel->rd_rel->relhassubclass && rel->rd_rules == NULL &&
		!shows_statements(rel);
	table_close(rel, NoLock);
	return result;
}

/*
 * Arrays of the key are enough to find the rows, and what refers to them.
 */
static bool
keys_fit(const TaskapiView *view, const TaskapiTable *table)
{
	ListCell   *lc;
	int			not_used;

	if (table->nkeys == 0 || table->nkeys != view->nkeys)
		return false;
	for (int i = 0; i < table->nkeys; i++)
	{
		Oid			type = table->columns[table->keys[i]].type;

		if (view->columns[view->keys[i].column].type != type || !OidIsValid(get_array_type(type)))
			return false;
	}
	foreach(lc, table->incoming)
	{
		const TaskapiForeignKey *fk = lfirst(lc);

		for (int i = 0; taskapi_cascade_is_strict(fk) && i < fk->nkeys; i++)
		{
			if (!key_position(table, fk->columns[i], &not_used))
				return false;
		}
	}
	return true;
}

static bool
key_position(const TaskapiTable *table, int column, int *position)
{
	for (*position = 0; *position < table->nkeys; ++*position)
	{
		if (table->keys[*position] == column)
			return true;
	}
	return false;
}

/*
 * Has the table triggers to which it is not the same whether its rows go one by one?  Ours are none.
 */
static bool
shows_statements(Relation rel)
{
	const TriggerDesc *triggers = rel->trigdesc;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (TRIGGER_FOR_DELETE(trigger->tgtype) && trigger->tgenabled != TRIGGER_DISABLED &&
			(!TRIGGER_FOR_ROW(trigger->tgtype) || TRIGGER_FOR_BEFORE(trigger->tgtype) || trigger->tgoldtable != NULL) &&
			get_func_namespace(trigger->tgfoid) != taskapi_schema_oid())
			return true;
	}
	return false;
}

/*
 * False if a row has no key.
 */
static bool
read_keys(Batch *batch, const TaskapiWrite *write, const TaskapiAhead *ahead)
{
	int			nkeys = batch->table->nkeys;
	Datum	   *values[INDEX_MAX_KEYS];
	HeapTupleData row;
	Datum		key[INDEX_MAX_KEYS];
	char		nulls[INDEX_MAX_KEYS];
	int16		typlen;
	bool		typbyval;
	char		typalign;

	for (int k = 0; k < nkeys; k++)
		values[k] = palloc(sizeof(Datum) * batch->count);
	for (int i = 0; i < batch->count; i++)
	{
		taskapi_ahead_row(ahead, i, &row);
		taskapi_resource_key_arguments(write, &row, key, nulls);
		for (int k = 0; k < nkeys; k++)
		{
			if (nulls[k] == 'n')
				return false;
			values[k][i] = key[k];
		}
	}
	for (int k = 0; k < nkeys; k++)
	{
		Oid			type = batch->table->columns[batch->table->keys[k]].type;

		get_typlenbyvalalign(type, &typlen, &typbyval, &typalign);
		batch->keys[k] = PointerGetDatum(construct_array(values[k], batch->count, type, typlen, typbyval, typalign));
	}
	return true;
}

static PositionReceiver
position_receiver(Batch *batch, bool with_places)
{
	PositionReceiver receiver = {{receiver_receive, receiver_startup, receiver_shutdown, receiver_shutdown, DestTuplestore},
	batch, with_places};

	return receiver;
}

static void
receiver_startup(DestReceiver *self, int operation, TupleDesc desc)
{
	int			natts = ((PositionReceiver *) self)->with_places ? 2 : 1;

	if (desc->natts < natts || TupleDescAttr(desc, 0)->atttypid != INT8OID ||
		(natts == 2 && TupleDescAttr(desc, 1)->atttypid != TIDOID))
		elog(ERROR, "a statement about rows of a batch returns something else");
}

static bool
receiver_receive(TupleTableSlot *slot, DestReceiver *self)
{
	PositionReceiver *receiver = (PositionReceiver *) self;
	Batch	   *batch = receiver->batch;
	bool		isnull;
	int64		n = DatumGetInt64(slot_getattr(slot, 1, &isnull));

	if (isnull || n < 1 || n > batch->count)
		elog(ERROR, "a statement about rows of a batch returns another row");
	if (receiver->with_places)
		batch->places[n - 1] = *(ItemPointer) DatumGetPointer(slot_getattr(slot, 2, &isnull));
	else if (ItemPointerIsValid(&batch->places[n - 1]))
	{
		receiver->received++;
		ItemPointerSetInvalid(&batch->places[n - 1]);
	}
	return true;
}

static void
receiver_shutdown(DestReceiver *self)
{
}

/*
 * As the caller.
 */
static void
lock_deletable(Batch *batch, const TaskapiWrite *write)
{
	SPIPlanPtr	plan = taskapi_resource_view_plan(write->view, TASKAPI_VIEW_PLAN_SCAN_MANY, NULL);
	PositionReceiver receiver = position_receiver(batch, true);
	Oid			types[INDEX_MAX_KEYS];

	for (int k = 0; k < batch->table->nkeys; k++)
		types[k] = get_array_type(batch->table->columns[batch->table->keys[k]].type);
	taskapi_delete_scan_places(plan, batch->table->nkeys, types, batch->keys, &receiver.pub);
}

/*
 * Of the rows that are to go with the batch, those to which a row refers do not: how many?
 */
static int64
leave_out_referred(Batch *batch, TaskapiForeignKey **referring)
{
	int64		left_out = 0;
	ListCell   *lc;

	foreach(lc, batch->table->incoming)
	{
		TaskapiForeignKey *fk = lfirst(lc);
		PositionReceiver receiver = position_receiver(batch, false);
		Datum		keys[INDEX_MAX_KEYS];
		int			position;

		if (!taskapi_cascade_is_strict(fk))
			continue;
		for (int i = 0; i < fk->nkeys; i++)
			keys[i] = key_position(batch->table, fk->columns[i], &position) ? batch->keys[position] : (Datum) 0;
		taskapi_resource_referred(batch->table, fk, keys, &receiver.pub);
		if (receiver.received > 0)
			*referring = fk;
		left_out += receiver.received;
	}
	return left_out;
}

/*
 * Of two positions with the same place the first comes first.
 */
static int
compare_places(const void *a, const void *b)
{
	ItemPointer place_a = (ItemPointer) DatumGetPointer(*(const Datum *) a);
	ItemPointer place_b = (ItemPointer) DatumGetPointer(*(const Datum *) b);
	int32		order = ItemPointerCompare(place_a, place_b);

	return order != 0 ? order : (place_a > place_b) - (place_a < place_b);
}

/*
 * As the owner, by their places.  A row that the client's statement has twice goes with its first position:
 * taskapi_resource_purge() finds at the second that it is gone.
 */
static void
purge(Batch *batch)
{
	Datum	   *places = palloc(sizeof(Datum) * batch->count);
	int			n = 0;

	for (int i = 0; i < batch->count; i++)
	{
		if (ItemPointerIsValid(&batch->places[i]))
			places[n++] = PointerGetDatum(&batch->places[i]);
	}
	qsort(places, n, sizeof(Datum), compare_places);
	for (int i = 0; i < n; i++)
	{
		if (i > 0 && ItemPointerEquals((ItemPointer) DatumGetPointer(places[batch->npurged - 1]),
									   (ItemPointer) DatumGetPointer(places[i])))
			ItemPointerSetInvalid((ItemPointer) DatumGetPointer(places[i]));
		else
			places[batch->npurged++] = places[i];
	}
	if (batch->npurged == 0)
		return;
	taskapi_resource_refuse_strangers(batch->table);
	/* they are locked, and no trigger can keep them */
	if (taskapi_resource_purge_places(batch->table, places, batch->npurged) != batch->npurged)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a table changed while rows of it were being written"),
				 errhint("Send the request again.")));
}
