/*-------------------------------------------------------------------------
 *
 * outbox_table.c
 *	  Reading the outbox's tables by their indexes, without the executor.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "outbox/outbox_table.h"

static bool is_plain(TaskapiOutboxTable *table, const TaskapiOutbox *outbox, const TaskapiOutboxLayout *layout);
static Relation find_index(const TaskapiOutboxTable *table, const TaskapiOutboxLayout *layout);
static bool serves(Relation index, const TaskapiOutboxTable *table, const TaskapiOutboxLayout *layout);

bool
taskapi_outbox_table_open(TaskapiOutboxTable *table, const TaskapiOutbox *outbox, Oid relid, const TaskapiOutboxLayout *layout,
						  LOCKMODE lockmode)
{
	table->scan = NULL;
	table->rel = try_relation_open(relid, lockmode);
	if (table->rel == NULL)
		return false;
	if (is_plain(table, outbox, layout))
	{
		table->index = find_index(table, layout);
		if (table->index != NULL)
		{
			table->slot = table_slot_create(table->rel, NULL);
			return true;
		}
	}
	relation_close(table->rel, NoLock);
	table->rel = NULL;
	return false;
}

bool
taskapi_outbox_table_open_name(TaskapiOutboxTable *table, const TaskapiOutbox *outbox, const char *name,
							   const TaskapiOutboxLayout *layout, LOCKMODE lockmode)
{
	Oid			relid = get_relname_relid(name, get_rel_namespace(outbox->message));

	table->rel = NULL;
	return OidIsValid(relid) && taskapi_outbox_table_open(table, outbox, relid, layout, lockmode);
}

void
taskapi_outbox_table_close(TaskapiOutboxTable *table)
{
	if (table->rel == NULL)
		return;
	ExecDropSingleTupleTableSlot(table->slot);
	index_close(table->index, AccessShareLock);
	table_close(table->rel, NoLock);
	table->rel = NULL;
}

static bool
is_plain(TaskapiOutboxTable *table, const TaskapiOutbox *outbox, const TaskapiOutboxLayout *layout)
{
	Form_pg_class form = table->rel->rd_rel;
	TupleDesc	desc = RelationGetDescr(table->rel);

	if (form->relkind != RELKIND_RELATION || form->relowner != outbox->owner || form->relforcerowsecurity ||
		form->relhassubclass)
		return false;
	for (int i = 0; i < layout->ncolumns; i++)
	{
		int			attno = 0;

		while (attno < desc->natts && (TupleDescAttr(desc, attno)->attisdropped ||
									   strcmp(NameStr(TupleDescAttr(desc, attno)->attname), layout->columns[i].name) != 0))
			attno++;
		if (attno == desc->natts || TupleDescAttr(desc, attno)->atttypid != layout->columns[i].type)
			return false;
		table->attnos[i] = attno + 1;
		if (i < layout->nkeys && !taskapi_att_is_not_null(desc, attno + 1))
			return false;
	}
	return true;
}

static Relation
find_index(const TaskapiOutboxTable *table, const TaskapiOutboxLayout *layout)
{
	List	   *indexes = RelationGetIndexList(table->rel);
	Relation	found = NULL;
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (serves(index, table, layout))
		{
			found = index;
			break;
		}
		index_close(index, AccessShareLock);
	}
	list_free(indexes);
	return found;
}

static bool
serves(Relation index, const TaskapiOutboxTable *table, const TaskapiOutboxLayout *layout)
{
	Form_pg_index form = index->rd_index;

	if (index->rd_rel->relam != BTREE_AM_OID || !form->indisvalid || form->indnkeyatts < layout->nkeys ||
		!heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL))
		return false;
	if (form->indcheckxmin &&
		!TransactionIdPrecedes(HeapTupleHeaderGetXmin(index->rd_indextuple->t_data), TransactionXmin))
		return false;
	for (int i = 0; i < layout->nkeys; i++)
	{
		Oid			family = layout->columns[i].type == TEXTOID ? TEXT_BTREE_FAM_OID : INTEGER_BTREE_FAM_OID;

		if (form->indkey.values[i] != table->attnos[i] || index->rd_opfamily[i] != family || index->rd_indoption[i] != 0)
			return false;
	}
	return true;
}

static RegProcedure
equality(Oid type)
{
	return type == TEXTOID ? F_TEXTEQ : type == INT2OID ? F_INT2EQ : F_INT8EQ;
}

void
taskapi_outbox_scan_begin(TaskapiOutboxTable *table, const Datum *keys, int nkeys, const int64 *after)
{
	ScanKeyData skeys[INDEX_MAX_KEYS];
	int			nskeys = nkeys;

	Assert(table->scan == NULL);
	for (int i = 0; i < nkeys; i++)
		ScanKeyEntryInitialize(&skeys[i], 0, i + 1, BTEqualStrategyNumber, InvalidOid, table->index->rd_indcollation[i],
							   equality(TupleDescAttr(RelationGetDescr(table->index), i)->atttypid), keys[i]);
	if (after)
	{
		ScanKeyEntryInitialize(&skeys[nkeys], 0, nkeys + 1, BTGreaterStrategyNumber, InvalidOid, InvalidOid, F_INT8GT,
							   Int64GetDatum(*after));
		nskeys++;
	}
	table->scan = taskapi_index_beginscan(table->rel, table->index, GetActiveSnapshot(), nskeys);
	index_rescan(table->scan, skeys, nskeys, NULL, 0);
}

bool
taskapi_outbox_scan_next(TaskapiOutboxTable *table, ScanDirection direction)
{
	CHECK_FOR_INTERRUPTS();
	return index_getnext_slot(table->scan, direction, table->slot);
}

void
taskapi_outbox_scan_end(TaskapiOutboxTable *table)
{
	index_endscan(table->scan);
	table->scan = NULL;
}

bool
taskapi_outbox_find_last(TaskapiOutboxTable *table, const Datum *keys, int nkeys, const int64 *after)
{
	bool		found;

	taskapi_outbox_scan_begin(table, keys, nkeys, after);
	found = taskapi_outbox_scan_next(table, BackwardScanDirection);
	taskapi_outbox_scan_end(table);
	return found;
}

Datum
taskapi_outbox_column(TaskapiOutboxTable *table, int column, bool *isnull)
{
	return slot_getattr(table->slot, table->attnos[column], isnull);
}

int64
taskapi_outbox_number(TaskapiOutboxTable *table, int column)
{
	bool		isnull;
	Datum		value = taskapi_outbox_column(table, column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}
