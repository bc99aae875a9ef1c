/*-------------------------------------------------------------------------
 *
 * resource_rows.c
 *	  A queue of rows of several tables (resource_rows.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "base/compat.h"
#include "resource/resource_rows.h"

/* What one table's rows take in memory, in kB. */
#define MAX_MEMORY 1024

/* What a row begins with; the table's columns follow. */
static const Oid row_types[] = {TIDOID, OIDOID, BOOLOID, UUIDOID, TIMESTAMPTZOID};

#define ROW_COLUMNS ((int) lengthof(row_types))

/* The rows of one table. */
typedef struct RowPart
{
	TaskapiTable *table;
	TupleDesc	desc;
	TupleTableSlot *slot;
	Tuplestorestate *store;
	int64		total;
	int64		read;
} RowPart;

struct TaskapiRows
{
	MemoryContext context;
	MemoryContext row_context;	/* of the row that was read last; NULL before the first */
	List	   *parts;			/* of RowPart */
};

static RowPart *part_of(TaskapiRows *rows, TaskapiTable *table);
static TaskapiRow *make_row(TaskapiTable *table, const Datum *values, const bool *nulls);
static void require_row_desc(const TaskapiTable *table, TupleDesc desc);
static AttrNumber column_number(const TaskapiTable *table, int i);
static void row_startup(DestReceiver *self, int operation, TupleDesc desc);
static bool row_receive(TupleTableSlot *slot, DestReceiver *self);
static void receiver_startup(DestReceiver *self, int operation, TupleDesc desc);
static bool is_in_deletion(TupleTableSlot *slot, const TaskapiDeletion *deletion);
static bool receiver_receive(TupleTableSlot *slot, DestReceiver *self);
static void receiver_shutdown(DestReceiver *self);

TaskapiRows *
taskapi_rows_create(void)
{
	TaskapiRows *rows = palloc0(sizeof(TaskapiRows));

	rows->context = CurrentMemoryContext;
	return rows;
}

void
taskapi_rows_free(TaskapiRows *rows)
{
	ListCell   *lc;

	foreach(lc, rows->parts)
	{
		RowPart    *part = lfirst(lc);

		ExecDropSingleTupleTableSlot(part->slot);
		tuplestore_end(part->store);
		FreeTupleDesc(part->desc);
	}
	list_free_deep(rows->parts);
	if (rows->row_context)
		MemoryContextDelete(rows->row_context);
	pfree(rows);
}

static RowPart *
part_of(TaskapiRows *rows, TaskapiTable *table)
{
	MemoryContext oldcontext;
	RowPart    *part;
	ListCell   *lc;

	foreach(lc, rows->parts)
	{
		part = lfirst(lc);
		if (part->table == table)
			return part;
	}

	oldcontext = MemoryContextSwitchTo(rows->context);
	part = palloc0(sizeof(RowPart));
	part->table = table;
	part->desc = CreateTemplateTupleDesc(ROW_COLUMNS + table->ncolumns);
	for (int i = 0; i < part->desc->natts; i++)
		TupleDescInitEntry(part->desc, i + 1, NULL,
						   i < ROW_COLUMNS ? row_types[i] : table->columns[i - ROW_COLUMNS].type, -1, 0);
	taskapi_finish_tupdesc(part->desc);
	part->slot = MakeSingleTupleTableSlot(part->desc, &TTSOpsMinimalTuple);
	part->store = tuplestore_begin_heap(true, false, MAX_MEMORY);
	rows->parts = lappend(rows->parts, part);
	MemoryContextSwitchTo(oldcontext);
	return part;
}

void
taskapi_rows_add(TaskapiRows *rows, const TaskapiRow *row)
{
	RowPart    *part = part_of(rows, row->table);
	int			natts = part->desc->natts;
	Datum	   *values = palloc(sizeof(Datum) * natts);
	bool	   *nulls = palloc0(sizeof(bool) * natts);

	values[0] = PointerGetDatum(&row->tid);
	values[1] = ObjectIdGetDatum(row->tableoid);
	values[2] = BoolGetDatum(row->live);
	values[3] = UUIDPGetDatum(unconstify(pg_uuid_t *, &row->deletion.id));
	nulls[3] = !row->in_deletion;
	values[4] = TimestampTzGetDatum(row->deletion.at);
	memcpy(values + ROW_COLUMNS, row->values, sizeof(Datum) * row->table->ncolumns);
	memcpy(nulls + ROW_COLUMNS, row->nulls, sizeof(bool) * row->table->ncolumns);
	tuplestore_putvalues(part->store, part->desc, values, nulls);
	part->total++;
	pfree(values);
	pfree(nulls);
}

TaskapiRow *
taskapi_rows_next(TaskapiRows *rows)
{
	ListCell   *lc;

	CHECK_FOR_INTERRUPTS();
	foreach(lc, rows->parts)
	{
		RowPart    *part = lfirst(lc);
		MemoryContext oldcontext;
		TaskapiRow *row;

		if (part->read == part->total)
			continue;
		if (rows->row_context == NULL)
			rows->row_context = AllocSetContextCreate(rows->context, "taskapi row", ALLOCSET_SMALL_SIZES);
		MemoryContextReset(rows->row_context);
		if (!tuplestore_gettupleslot(part->store, true, false, part->slot))
			elog(ERROR, "a queue of rows has lost one");
		part->read++;
		slot_getallattrs(part->slot);
		oldcontext = MemoryContextSwitchTo(rows->row_context);
		row = make_row(part->table, part->slot->tts_values, part->slot->tts_isnull);
		MemoryContextSwitchTo(oldcontext);
		ExecClearTuple(part->slot);
		return row;
	}
	return NULL;
}

void
taskapi_rows_rewind(TaskapiRows *rows)
{
	ListCell   *lc;

	foreach(lc, rows->parts)
	{
		RowPart    *part = lfirst(lc);

		tuplestore_rescan(part->store);
		part->read = 0;
	}
}

static TaskapiRow *
make_row(TaskapiTable *table, const Datum *values, const bool *nulls)
{
	Size		size = offsetof(TaskapiRow, values) + sizeof(Datum) * table->ncolumns;
	TaskapiRow *row = palloc0(size + sizeof(bool) * table->ncolumns);

	row->table = table;
	row->nulls = (bool *) ((char *) row + size);
	row->tid = *(ItemPointer) DatumGetPointer(values[0]);
	row->tableoid = DatumGetObjectId(values[1]);
	row->live = DatumGetBool(values[2]);
	row->in_deletion = !nulls[3];
	if (row->in_deletion)
		row->deletion.id = *DatumGetUUIDP(values[3]);
	row->deletion.at = nulls[4] ? DT_NOBEGIN : DatumGetTimestampTz(values[4]);
	for (int i = 0; i < table->ncolumns; i++)
	{
		row->nulls[i] = nulls[ROW_COLUMNS + i];
		if (!row->nulls[i])
			row->values[i] = datumCopy(values[ROW_COLUMNS + i], table->columns[i].typbyval, table->columns[i].typlen);
	}
	return row;
}

pg_uuid_t
taskapi_row_deletion(const TaskapiRow *row)
{
	pg_uuid_t	id = {{0}};

	if (row->in_deletion)
		return row->deletion.id;
	/* no UUID that is made for a deletion begins with so many zeros */
	memcpy(id.data + 6, &row->tableoid, sizeof(Oid));
	memcpy(id.data + 10, &row->tid, sizeof(ItemPointerData));
	return id;
}

TaskapiRow *
taskapi_row_copy(const TaskapiRow *row)
{
	TaskapiTable *table = row->table;
	Size		size = offsetof(TaskapiRow, values) + sizeof(Datum) * table->ncolumns;
	TaskapiRow *copy = palloc(size + sizeof(bool) * table->ncolumns);

	memcpy(copy, row, size + sizeof(bool) * table->ncolumns);
	copy->nulls = (bool *) ((char *) copy + size);
	for (int i = 0; i < table->ncolumns; i++)
	{
		if (!row->nulls[i])
			copy->values[i] = datumCopy(row->values[i], table->columns[i].typbyval, table->columns[i].typlen);
	}
	return copy;
}

void
taskapi_row_list(StringInfo buf, const TaskapiTable *table, const char *alias)
{
	if (table->soft)
		appendStringInfo(buf, "%s.ctid, %s.tableoid, %s.%s IS NULL, %s.deletion_id, %s.%s",
						 alias, alias, alias, table->deleted_at, alias, alias, table->deleted_at);
	else
		appendStringInfo(buf, "%s.ctid, %s.tableoid, true, NULL::pg_catalog.uuid, NULL::pg_catalog.timestamptz",
						 alias, alias);
	for (int i = 0; i < table->ncolumns; i++)
		appendStringInfo(buf, ", %s.%s", alias, table->columns[i].name);
}

/*
 * Rows enter here: their types have to be those that the table's entry says.
 */
static void
require_row_desc(const TaskapiTable *table, TupleDesc desc)
{
	bool		same = (desc->natts == ROW_COLUMNS + table->ncolumns);

	for (int i = 0; same && i < desc->natts; i++)
		same = !TupleDescAttr(desc, i)->attisdropped && TupleDescAttr(desc, i)->atttypid ==
			(i < ROW_COLUMNS ? row_types[i] : table->columns[i - ROW_COLUMNS].type);
	if (!same)
		taskapi_resource_refuse_changed();
}

/*
 * The number of the table's column that stands there in a row.
 */
static AttrNumber
column_number(const TaskapiTable *table, int i)
{
	static const AttrNumber places[] = {SelfItemPointerAttributeNumber, TableOidAttributeNumber};

	if (i < lengthof(places))
		return places[i];
	if (i < ROW_COLUMNS)
		return row_types[i] == UUIDOID ? table->deletion_id_attno : table->deleted_at_attno;
	return table->columns[i - ROW_COLUMNS].attno;
}

TaskapiRow *
taskapi_row_of_tuple(TaskapiTable *table, HeapTuple tuple, TupleDesc desc)
{
	Datum	   *values = palloc(sizeof(Datum) * desc->natts);
	bool	   *nulls = palloc(sizeof(bool) * desc->natts);

	require_row_desc(table, desc);
	heap_deform_tuple(tuple, desc, values, nulls);
	return make_row(table, values, nulls);
}

void
taskapi_row_receiver(TaskapiRowReceiver *receiver, TaskapiTable *table)
{
	memset(receiver, 0, sizeof(TaskapiRowReceiver));
	receiver->pub.rStartup = row_startup;
	receiver->pub.receiveSlot = row_receive;
	receiver->pub.rShutdown = receiver_shutdown;
	receiver->pub.rDestroy = receiver_shutdown;
	receiver->pub.mydest = DestNone;
	receiver->table = table;
	receiver->context = CurrentMemoryContext;
}

static void
row_startup(DestReceiver *self, int operation, TupleDesc desc)
{
	const TaskapiTable *table = ((TaskapiRowReceiver *) self)->table;

	if (table == NULL)
		return;
	require_row_desc(table, desc);
	for (int i = 0; i < desc->natts; i++)
	{
		char		number[8];

		pg_itoa(column_number(table, i), number);
		if (strcmp(NameStr(TupleDescAttr(desc, i)->attname), number) != 0)
			taskapi_resource_refuse_changed();
	}
}

static bool
row_receive(TupleTableSlot *slot, DestReceiver *self)
{
	TaskapiRowReceiver *receiver = (TaskapiRowReceiver *) self;
	MemoryContext oldcontext;

	if (receiver->table == NULL || receiver->row != NULL)
		return true;
	slot_getallattrs(slot);
	oldcontext = MemoryContextSwitchTo(receiver->context);
	receiver->row = make_row(receiver->table, slot->tts_values, slot->tts_isnull);
	MemoryContextSwitchTo(oldcontext);
	return true;
}

void
taskapi_rows_receiver(TaskapiRowsReceiver *receiver, TaskapiRows *rows, TaskapiTable *table, const TaskapiDeletion *deletion)
{
	memset(receiver, 0, sizeof(TaskapiRowsReceiver));
	receiver->pub.rStartup = receiver_startup;
	receiver->pub.receiveSlot = receiver_receive;
	receiver->pub.rShutdown = receiver_shutdown;
	receiver->pub.rDestroy = receiver_shutdown;
	receiver->pub.mydest = DestTuplestore;
	receiver->rows = rows;
	receiver->table = table;
	receiver->deletion = deletion;
}

static void
receiver_startup(DestReceiver *self, int operation, TupleDesc desc)
{
	require_row_desc(((TaskapiRowsReceiver *) self)->table, desc);
}

/*
 * Columns 3 and 4 of row_types: is it live, and its deletion.
 */
static bool
is_in_deletion(TupleTableSlot *slot, const TaskapiDeletion *deletion)
{
	slot_getsomeattrs(slot, 4);
	return !DatumGetBool(slot->tts_values[2]) && !slot->tts_isnull[3] &&
		memcmp(DatumGetUUIDP(slot->tts_values[3]), &deletion->id, UUID_LEN) == 0;
}

static bool
receiver_receive(TupleTableSlot *slot, DestReceiver *self)
{
	TaskapiRowsReceiver *receiver = (TaskapiRowsReceiver *) self;

	/* a trigger may have made something else of a row that was marked */
	if (receiver->deletion == NULL || is_in_deletion(slot, receiver->deletion))
		receiver->received++;
	if (receiver->rows != NULL)
	{
		RowPart    *part = part_of(receiver->rows, receiver->table);

		tuplestore_puttupleslot(part->store, slot);
		part->total++;
	}
	return true;
}

static void
receiver_shutdown(DestReceiver *self)
{
}
