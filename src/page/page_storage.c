/*-------------------------------------------------------------------------
 *
 * page_storage.c
 *	  Has a table been rewritten since the snapshot was taken (page_storage.h)?
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/table_cache.h"
#include "http/problem.h"
#include "page/page_storage.h"

static TransactionId check_relation(Oid relid, Snapshot snapshot, bool *has_children);
static bool row_is_visible(HeapTupleHeader row, TransactionId xmin, Snapshot snapshot);
static bool same_storage(Oid relid, Oid relfilenode, Snapshot snapshot);

void
taskapi_page_check_storage(List *relids, TaskapiStorageSeen *seen)
{
	Snapshot	snapshot = GetActiveSnapshot();
	uint64		relations = taskapi_relation_generation();
	TransactionId newest = FrozenTransactionId;
	ListCell   *cell;

	if (snapshot->snapshot_type != SNAPSHOT_MVCC ||
		(seen->relations == relations && TransactionIdPrecedes(seen->newest, snapshot->xmin)))
		return;

	foreach(cell, relids)
	{
		bool		has_children;
		TransactionId xmin = check_relation(lfirst_oid(cell), snapshot, &has_children);
		ListCell   *child;

		if (TransactionIdFollows(xmin, newest))
			newest = xmin;
		if (!has_children)
			continue;
		foreach(child, find_all_inheritors(lfirst_oid(cell), NoLock, NULL))
		{
			CHECK_FOR_INTERRUPTS();
			xmin = check_relation(lfirst_oid(child), snapshot, &has_children);
			if (TransactionIdFollows(xmin, newest))
				newest = xmin;
		}
	}
	seen->relations = relations;
	seen->newest = newest;
}

/*
 * Returns the transaction that made the row of pg_class.
 */
static TransactionId
check_relation(Oid relid, Snapshot snapshot, bool *has_children)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Form_pg_class form;
	TransactionId xmin = FrozenTransactionId;

	*has_children = false;
	/* A partition that has been dropped meanwhile was not read */
	if (!HeapTupleIsValid(tuple))
		return xmin;
	form = (Form_pg_class) GETSTRUCT(tuple);
	*has_children = form->relhassubclass;
	if (RELKIND_HAS_STORAGE(form->relkind))
	{
		xmin = HeapTupleHeaderGetXmin(tuple->t_data);
		if (!row_is_visible(tuple->t_data, xmin, snapshot) && !same_storage(relid, form->relfilenode, snapshot))
			taskapi_problem(PROBLEM_TRY_AGAIN, NIL, NULL, "Table \"%s\" was rewritten meanwhile.", NameStr(form->relname));
	}
	ReleaseSysCache(tuple);
	return xmin;
}

/*
 * A row from the catalog cache: whoever made it has committed, or is this very transaction.
 */
static bool
row_is_visible(HeapTupleHeader row, TransactionId xmin, Snapshot snapshot)
{
	if (TransactionIdPrecedes(xmin, snapshot->xmin))
		return true;
	if (TransactionIdIsCurrentTransactionId(xmin))
		return !(row->t_infomask & HEAP_COMBOCID) && HeapTupleHeaderGetRawCommandId(row) < snapshot->curcid;
	return !XidInMVCCSnapshot(xmin, snapshot);
}

/*
 * What does the snapshot see?  The row may have changed for another reason.
 */
static bool
same_storage(Oid relid, Oid relfilenode, Snapshot snapshot)
{
	Relation	pg_class = table_open(RelationRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		same;

	ScanKeyInit(&key, Anum_pg_class_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(pg_class, ClassOidIndexId, true, snapshot, 1, &key);
	tuple = systable_getnext(scan);
	same = HeapTupleIsValid(tuple) && ((Form_pg_class) GETSTRUCT(tuple))->relfilenode == relfilenode;
	systable_endscan(scan);
	table_close(pg_class, AccessShareLock);
	return same;
}
