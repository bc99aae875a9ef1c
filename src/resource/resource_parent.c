/*-------------------------------------------------------------------------
 *
 * resource_parent.c
 *	  The common case of a reference (resource_parent.h).
 *
 * What is left to the statement: a table with partitions or children, and one whose
 * owner may not read or lock it; columns of other types than the index compares, and
 * comparisons that are not the server's own; a transaction with one snapshot for all
 * its statements, in which a newer version of the row is an error; and a row that
 * another transaction changed while it was waited for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relscan.h"
#include "access/skey.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "catalog/pg_constraint.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "resource/resource_parent.h"

static bool can_be_looked_up(const TaskapiParentIndex *look_up, const TaskapiForeignKey *fk, Relation other, Relation index);
static bool lock_live(const TaskapiParentIndex *look_up, const TaskapiForeignKey *fk, Relation other, Relation index,
					  const Datum *values);

void
taskapi_resource_parent_prepare(const TaskapiTable *table, TaskapiForeignKey *fk, HeapTuple constraint, Relation other,
								const char *deleted_at)
{
	Form_pg_constraint con = (Form_pg_constraint) GETSTRUCT(constraint);
	AttrNumber	conkey[INDEX_MAX_KEYS];
	AttrNumber	confkey[INDEX_MAX_KEYS];
	Oid			operators[INDEX_MAX_KEYS];
	int			nkeys;
	TaskapiParentIndex *look_up;

	if (con->confrelid != RelationGetRelid(other) || other->rd_rel->relkind != RELKIND_RELATION)
		return;
	DeconstructFkConstraintRow(constraint, &nkeys, conkey, confkey, operators, NULL, NULL, NULL, NULL);
	look_up = palloc(sizeof(TaskapiParentIndex) + sizeof(TaskapiParentKey) * nkeys);
	look_up->index = con->conindid;
	look_up->deleted_at = get_attnum(RelationGetRelid(other), deleted_at);
	for (int i = 0; i < nkeys; i++)
	{
		TaskapiParentKey *key = &look_up->keys[i];

		op_input_types(operators[i], &key->type, &key->value_type);
		key->attno = confkey[i];
		key->equal = get_opcode(operators[i]);
		if (operators[i] >= FirstNormalObjectId || key->value_type != table->columns[fk->columns[i]].type ||
			key->type != get_atttype(RelationGetRelid(other), confkey[i]))
			return;
	}
	fk->parent = look_up;
}

bool
taskapi_resource_parent_is_live(const TaskapiTable *table, const TaskapiForeignKey *fk, const Datum *values)
{
	const TaskapiParentIndex *look_up = fk->parent;
	Relation	other;
	Relation	index;
	bool		live = false;

	if (look_up == NULL || IsolationUsesXactSnapshot())
		return false;
	other = try_table_open(fk->other, RowShareLock);
	if (other == NULL)
		return false;
	/* whoever had it locked until now may have changed it; from here on it stays as it is */
	if (taskapi_resource_cache_is_current(&table->entry))
	{
		index = index_open(look_up->index, RowShareLock);
		live = can_be_looked_up(look_up, fk, other, index) && lock_live(look_up, fk, other, index, values);
		index_close(index, NoLock);
	}
	table_close(other, NoLock);
	return live;
}

static bool
can_be_looked_up(const TaskapiParentIndex *look_up, const TaskapiForeignKey *fk, Relation other, Relation index)
{
	const FormData_pg_index *form = index->rd_index;

	/* SELECT ... FOR KEY SHARE asks for both */
	if (pg_class_aclmask(fk->other, fk->other_owner, ACL_SELECT | ACL_UPDATE, ACLMASK_ALL) != (ACL_SELECT | ACL_UPDATE))
		return false;
	if (other->rd_rel->relhassubclass || index->rd_rel->relam != BTREE_AM_OID || form->indrelid != fk->other ||
		!form->indisvalid || !form->indisunique || form->indnkeyatts != fk->nkeys)
		return false;
	for (int i = 0; i < fk->nkeys; i++)
	{
		int			column = 0;

		while (column < fk->nkeys && form->indkey.values[column] != look_up->keys[i].attno)
			column++;
		if (column == fk->nkeys || index->rd_opcintype[column] != look_up->keys[i].type)
			return false;
	}
	return true;
}

/*
 * With a snapshot of now that shows what this transaction has done.
 */
static bool
lock_live(const TaskapiParentIndex *look_up, const TaskapiForeignKey *fk, Relation other, Relation index, const Datum *values)
{
	ScanKeyData keys[INDEX_MAX_KEYS];
	TupleTableSlot *slot = table_slot_create(other, NULL);
	IndexScanDesc scan;
	TM_FailureData failure;
	ItemPointerData tid;
	bool		live = false;

	for (int column = 0; column < fk->nkeys; column++)
	{
		int			i = 0;

		while (look_up->keys[i].attno != index->rd_index->indkey.values[column])
			i++;
		ScanKeyEntryInitialize(&keys[column], 0, column + 1, BTEqualStrategyNumber,
							   look_up->keys[i].value_type, index->rd_indcollation[column], look_up->keys[i].equal, values[i]);
	}

	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	scan = taskapi_index_beginscan(other, index, GetActiveSnapshot(), fk->nkeys);
	index_rescan(scan, keys, fk->nkeys, NULL, 0);
	if (index_getnext_slot(scan, ForwardScanDirection, slot))
	{
		tid = slot->tts_tid;
		live = table_tuple_lock(other, &tid, GetActiveSnapshot(), slot, GetCurrentCommandId(false), LockTupleKeyShare,
								LockWaitBlock, TUPLE_LOCK_FLAG_FIND_LAST_VERSION, &failure) == TM_Ok &&
			!failure.traversed && slot_attisnull(slot, look_up->deleted_at);
	}
	index_endscan(scan);
	PopActiveSnapshot();
	ExecDropSingleTupleTableSlot(slot);
	return live;
}
