/*-------------------------------------------------------------------------
 *
 * resource_own_change.c
 *	  Was a row that a statement is about to write changed since it began, and
 *	  by whom (resource_own_change.h)?
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "resource/resource_own_change.h"
#include "resource/resource_table_plan.h"
#include "resource/resource_write.h"

static TaskapiChange change_of(const TaskapiResourceStatement *statement, HeapTupleHeader row, CommandId *command);

CommandId
taskapi_next_command(void)
{
	CommandCounterIncrement();
	return GetCurrentCommandId(false);
}

/*
 * One bit for each command since the statement began.
 */
void
taskapi_own_change_written(TaskapiResourceStatement *statement, CommandId command)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(statement->context);

	statement->written = bms_add_member(statement->written, (int) (command - statement->first_command));
	MemoryContextSwitchTo(oldcontext);
}

TaskapiChange
taskapi_own_change(const TaskapiWrite *write, CommandId *command)
{
	TaskapiTable *table = taskapi_statement_table(write->statement);
	Datum		key[INDEX_MAX_KEYS];
	Oid			relid;
	ItemPointerData tid;
	Relation	rel;
	TupleTableSlot *slot;
	TaskapiChange change = TASKAPI_CHANGE_OTHER;

	*command = InvalidCommandId;
	taskapi_resource_table_key(write, table, write->old, key);
	if (!taskapi_resource_place(table, key, &relid, &tid))
		return TASKAPI_CHANGE_OTHER;

	rel = table_open(relid, AccessShareLock);
	slot = table_slot_create(rel, NULL);
	if (table_tuple_fetch_row_version(rel, &tid, SnapshotAny, slot) && TTS_IS_BUFFERTUPLE(slot))
	{
		BufferHeapTupleTableSlot *held = (BufferHeapTupleTableSlot *) slot;

		LockBuffer(held->buffer, BUFFER_LOCK_SHARE);
		change = change_of(write->statement, held->base.tuple->t_data, command);
		LockBuffer(held->buffer, BUFFER_LOCK_UNLOCK);
	}
	ExecDropSingleTupleTableSlot(slot);
	table_close(rel, NoLock);
	return change;
}

static TaskapiChange
change_of(const TaskapiResourceStatement *statement, HeapTupleHeader row, CommandId *command)
{
	TransactionId xid;

	if ((row->t_infomask & HEAP_XMAX_INVALID) || HEAP_XMAX_IS_LOCKED_ONLY(row->t_infomask))
		return TASKAPI_CHANGE_NONE;
	xid = HeapTupleHeaderGetUpdateXid(row);
	if (!TransactionIdIsCurrentTransactionId(xid))
		return TransactionIdDidAbort(xid) ? TASKAPI_CHANGE_NONE : TASKAPI_CHANGE_OTHER;
	*command = HeapTupleHeaderGetCmax(row);
	return *command >= statement->first_command &&
		bms_is_member((int) (*command - statement->first_command), statement->written) ?
		TASKAPI_CHANGE_STATEMENT : TASKAPI_CHANGE_TRIGGER;
}
