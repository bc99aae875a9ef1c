/*-------------------------------------------------------------------------
 *
 * index_values.c
 *	  index_values(): who belongs to what, straight from an index.
 *
 * Row-level security asks in every statement which tenants a caller belongs to, and a query for it costs as much as
 * it reads: the executor takes thousands of instructions a row to gather a column into an array.  An index on
 * (member, tenant) is that array already.  What else makes a member, such as a role or not to be deleted, is the
 * predicate of the index.
 *
 * An index-only scan: a page of the table is visited only if it is not all-visible.  The caller needs SELECT on the table,
 * and must not be under its row-level security, which would be passed by.
 *
 * SQL: sql/install/37_match.sql
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/itup.h"
#include "access/nbtree.h"
#include "access/relscan.h"
#include "access/skey.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/visibilitymap.h"
#include "catalog/index.h"
#include "catalog/pg_am.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/predicate.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/uuid.h"

#include "base/compat.h"

PG_FUNCTION_INFO_V1(taskapi_index_values);

static void check_index(Relation table, Relation index);
static ArrayType *read_values(Relation table, Relation index, Datum key);

/*
 * index_values(index regclass, key uuid) -> uuid[]: the second column of the index, where the first one is the key.
 */
Datum
taskapi_index_values(PG_FUNCTION_ARGS)
{
	Oid			indexoid = PG_GETARG_OID(0);
	Oid			tableoid = IndexGetRelation(indexoid, true);
	Relation	table;
	Relation	index;
	ArrayType  *result;

	if (!OidIsValid(tableoid))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not an index", get_rel_name(indexoid) ? get_rel_name(indexoid) : "?")));
	table = table_open(tableoid, AccessShareLock);
	index = index_open(indexoid, AccessShareLock);
	check_index(table, index);
	result = read_values(table, index, PG_GETARG_DATUM(1));
	index_close(index, NoLock);
	table_close(table, NoLock);
	PG_RETURN_ARRAYTYPE_P(result);
}

/*
 * Columns of a table that are uuid, in B-tree order of uuid, that this snapshot can use.
 */
static void
check_index(Relation table, Relation index)
{
	const char *name = RelationGetRelationName(index);
	AclResult	aclresult = pg_class_aclcheck(RelationGetRelid(table), GetUserId(), ACL_SELECT);
	Form_pg_index form = index->rd_index;

	if (aclresult != ACLCHECK_OK)
		aclcheck_error(aclresult, OBJECT_TABLE, RelationGetRelationName(table));
	if (check_enable_rls(RelationGetRelid(table), InvalidOid, true) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("row-level security of table \"%s\" applies to role \"%s\"",
						RelationGetRelationName(table), GetUserNameFromId(GetUserId(), false)),
				 errhint("Call index_values() in a SECURITY DEFINER function of the table's owner.")));
	if (index->rd_rel->relkind != RELKIND_INDEX || index->rd_rel->relam != BTREE_AM_OID || !form->indisvalid ||
		IndexRelationGetNumberOfKeyAttributes(index) < 2 ||
		form->indkey.values[0] <= 0 || form->indkey.values[1] <= 0 ||
		index_getprocid(index, 1, BTORDER_PROC) != F_UUID_CMP ||
		TupleDescAttr(RelationGetDescr(index), 0)->atttypid != UUIDOID ||
		TupleDescAttr(RelationGetDescr(index), 1)->atttypid != UUIDOID)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a B-tree index on two columns of type uuid", name)));
	if (form->indcheckxmin &&
		!TransactionIdPrecedes(HeapTupleHeaderGetXmin(index->rd_indextuple->t_data), TransactionXmin))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("index \"%s\" cannot be used by this transaction yet", name)));
}

static ArrayType *
read_values(Relation table, Relation index, Datum key)
{
	Snapshot	snapshot = GetActiveSnapshot();
	TupleTableSlot *slot = table_slot_create(table, NULL);
	Buffer		map = InvalidBuffer;
	int			n = 0;
	int			size = 64;
	pg_uuid_t  *values = palloc(sizeof(pg_uuid_t) * size);
	Datum	   *datums;
	ScanKeyData skey;
	IndexScanDesc scan;
	ItemPointer tid;
	ArrayType  *result;

	ScanKeyInit(&skey, 1, BTEqualStrategyNumber, F_UUID_EQ, key);
	scan = taskapi_index_beginscan(table, index, snapshot, 1);
	scan->xs_want_itup = true;
	index_rescan(scan, &skey, 1, NULL, 0);
	while ((tid = index_getnext_tid(scan, ForwardScanDirection)) != NULL)
	{
		bool		isnull;
		Datum		value;

		CHECK_FOR_INTERRUPTS();
		if (VM_ALL_VISIBLE(table, ItemPointerGetBlockNumber(tid), &map))
			PredicateLockPage(table, ItemPointerGetBlockNumber(tid), snapshot);
		else if (!index_fetch_heap(scan, slot))
			continue;
		value = index_getattr(scan->xs_itup, 2, scan->xs_itupdesc, &isnull);
		if (isnull)
			continue;
		if (n == size)
		{
			size *= 2;
			values = repalloc_huge(values, sizeof(pg_uuid_t) * size);
		}
		values[n++] = *DatumGetUUIDP(value);
	}
	index_endscan(scan);
	if (BufferIsValid(map))
		ReleaseBuffer(map);
	ExecDropSingleTupleTableSlot(slot);

	datums = palloc(sizeof(Datum) * Max(n, 1));
	for (int i = 0; i < n; i++)
		datums[i] = UUIDPGetDatum(&values[i]);
	result = construct_array(datums, n, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR);
	pfree(datums);
	pfree(values);
	return result;
}
