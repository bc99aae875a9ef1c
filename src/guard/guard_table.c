/*-------------------------------------------------------------------------
 *
 * guard_table.c
 *	  What the guard knows of a table before a statement locks it (guard_table.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "guard/guard_table.h"

/* Of a constraint that a column has no NULLs, which has rows of its own from 18 on */
#define CONTYPE_NOT_NULL 'n'

typedef bool (*ConstraintTest) (HeapTuple tuple, TupleDesc desc, Oid about);

static void measure(Oid relid, TaskapiGuardTable *table, bool root);
static List *indexes_of(Oid relid);
static bool same_columns(Oid index, Oid of, Oid other, Oid of_other);
static bool any_constraint(Oid relid, ConstraintTest test, Oid about);
static bool is_check(HeapTuple tuple, TupleDesc desc, Oid about);
static bool is_check_not_null(HeapTuple tuple, TupleDesc desc, Oid attno);
static bool is_invalid_not_null(HeapTuple tuple, TupleDesc desc, Oid attno);
static bool is_reference(HeapTuple tuple, TupleDesc desc, Oid referenced);
static bool says_not_null(Node *clause, AttrNumber attno);

Oid
taskapi_guard_relation(const RangeVar *name)
{
	Oid			schema;

	if (name == NULL || name->relname == NULL ||
		(name->catalogname != NULL && strcmp(name->catalogname, get_database_name(MyDatabaseId)) != 0))
		return InvalidOid;
	if (name->schemaname == NULL)
		return RelnameGetRelid(name->relname);
	schema = LookupNamespaceNoError(name->schemaname);
	return OidIsValid(schema) ? get_relname_relid(name->relname, schema) : InvalidOid;
}

bool
taskapi_guard_table(const RangeVar *name, TaskapiGuardTable *table)
{
	Oid			relid = taskapi_guard_relation(name);

	if (!OidIsValid(relid) || !taskapi_guard_table_of(relid, table))
		return false;
	table->only = !name->inh;
	return true;
}

bool
taskapi_guard_table_of(Oid relid, TaskapiGuardTable *table)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Form_pg_class class;
	ListCell   *lc;

	memset(table, 0, sizeof(TaskapiGuardTable));
	if (!HeapTupleIsValid(tuple))
		return false;
	class = (Form_pg_class) GETSTRUCT(tuple);
	table->relid = relid;
	table->relkind = class->relkind;
	table->name = pstrdup(NameStr(class->relname));
	table->own = class->relpersistence == RELPERSISTENCE_TEMP;
	ReleaseSysCache(tuple);

	if (table->relkind != RELKIND_RELATION && table->relkind != RELKIND_PARTITIONED_TABLE && table->relkind != RELKIND_MATVIEW)
		return true;
	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
		measure(lfirst_oid(lc), table, lfirst_oid(lc) == relid);
	return true;
}

/*
 * A lock that is not to be had at once is another session's: then the table is not ours, and its size is what the last VACUUM
 * wrote down.
 */
static void
measure(Oid relid, TaskapiGuardTable *table, bool root)
{
	Relation	rel;

	if (!ConditionalLockRelationOid(relid, AccessShareLock))
	{
		HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));

		if (HeapTupleIsValid(tuple))
		{
			table->bytes += (int64) ((Form_pg_class) GETSTRUCT(tuple))->relpages * BLCKSZ;
			ReleaseSysCache(tuple);
		}
		return;
	}
	rel = try_relation_open(relid, NoLock);
	if (rel != NULL)
	{
		if (root)
		{
			table->own |= rel->rd_createSubid != InvalidSubTransactionId;
			table->locked = CheckRelationLockedByMe(rel, ShareRowExclusiveLock, true);
		}
		if (RELKIND_HAS_STORAGE(rel->rd_rel->relkind))
			table->bytes += DatumGetInt64(DirectFunctionCall1(pg_table_size, ObjectIdGetDatum(relid)));
		relation_close(rel, NoLock);
	}
	UnlockRelationOid(relid, AccessShareLock);
}

bool
taskapi_guard_has_no_nulls(Oid relid, AttrNumber attno)
{
	HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relid), Int16GetDatum(attno));
	bool		not_null;

	/* the statement will say that there is no such column */
	if (!HeapTupleIsValid(tuple))
		return true;
	not_null = ((Form_pg_attribute) GETSTRUCT(tuple))->attnotnull;
	ReleaseSysCache(tuple);
	if (not_null && !any_constraint(relid, is_invalid_not_null, attno))
		return true;
	return any_constraint(relid, is_check_not_null, attno);
}

bool
taskapi_guard_has_checks(Oid relid)
{
	return any_constraint(relid, is_check, InvalidOid);
}

bool
taskapi_guard_has_indexes_of(Oid parent, Oid partition)
{
	List	   *there = indexes_of(partition);
	ListCell   *lc;

	foreach(lc, indexes_of(parent))
	{
		ListCell   *lc2;
		bool		found = false;

		foreach(lc2, there)
			found |= same_columns(lfirst_oid(lc), parent, lfirst_oid(lc2), partition);
		if (!found)
			return false;
	}
	return true;
}

static List *
indexes_of(Oid relid)
{
	Relation	rel = table_open(IndexRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *indexes = NIL;

	ScanKeyInit(&key, Anum_pg_index_indrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(rel, IndexIndrelidIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		if (((Form_pg_index) GETSTRUCT(tuple))->indisvalid)
			indexes = lappend_oid(indexes, ((Form_pg_index) GETSTRUCT(tuple))->indexrelid);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return indexes;
}

/*
 * Columns of one name may stand in other places in the other table.  Expressions are not compared.
 */
static bool
same_columns(Oid index, Oid of, Oid other, Oid of_other)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	HeapTuple	other_tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(other));
	bool		same = false;

	if (HeapTupleIsValid(tuple) && HeapTupleIsValid(other_tuple))
	{
		Form_pg_index a = (Form_pg_index) GETSTRUCT(tuple);
		Form_pg_index b = (Form_pg_index) GETSTRUCT(other_tuple);

		same = a->indnatts == b->indnatts && a->indnkeyatts == b->indnkeyatts && a->indisunique == b->indisunique;
		for (int i = 0; same && i < a->indnatts; i++)
		{
			char	   *name = a->indkey.values[i] > 0 ? get_attname(of, a->indkey.values[i], true) : NULL;
			char	   *other_name = b->indkey.values[i] > 0 ? get_attname(of_other, b->indkey.values[i], true) : NULL;

			same = (name == NULL) == (other_name == NULL) && (name == NULL || strcmp(name, other_name) == 0);
		}
	}
	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	if (HeapTupleIsValid(other_tuple))
		ReleaseSysCache(other_tuple);
	return same;
}

bool
taskapi_guard_partitions_refer(Oid relid, Oid referenced)
{
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
	{
		if (get_rel_relkind(lfirst_oid(lc)) == RELKIND_RELATION && !any_constraint(lfirst_oid(lc), is_reference, referenced))
			return false;
	}
	return true;
}

/*
 * What a constraint is asked about is the number of a column, or another table.
 */
static bool
any_constraint(Oid relid, ConstraintTest test, Oid about)
{
	Relation	rel = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(rel, ConstraintRelidTypidNameIndexId, true, NULL, 1, &key);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
		found = test(tuple, RelationGetDescr(rel), about);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

static bool
is_check(HeapTuple tuple, TupleDesc desc, Oid about)
{
	Form_pg_constraint constraint = (Form_pg_constraint) GETSTRUCT(tuple);

	return constraint->contype == CONSTRAINT_CHECK && constraint->convalidated;
}

static bool
is_check_not_null(HeapTuple tuple, TupleDesc desc, Oid attno)
{
	bool		isnull;
	Datum		conbin;

	if (!is_check(tuple, desc, attno))
		return false;
	conbin = heap_getattr(tuple, Anum_pg_constraint_conbin, desc, &isnull);
	return !isnull && says_not_null(stringToNode(TextDatumGetCString(conbin)), (AttrNumber) attno);
}

static bool
is_reference(HeapTuple tuple, TupleDesc desc, Oid referenced)
{
	Form_pg_constraint constraint = (Form_pg_constraint) GETSTRUCT(tuple);

	return constraint->contype == CONSTRAINT_FOREIGN && constraint->convalidated && constraint->confrelid == referenced;
}

/*
 * From 18 on a column may be NOT NULL for new rows only.
 */
static bool
is_invalid_not_null(HeapTuple tuple, TupleDesc desc, Oid attno)
{
	Form_pg_constraint constraint = (Form_pg_constraint) GETSTRUCT(tuple);
	bool		isnull;
	Datum		columns;
	ArrayType  *array;

	if (constraint->contype != CONTYPE_NOT_NULL || constraint->convalidated)
		return false;
	columns = heap_getattr(tuple, Anum_pg_constraint_conkey, desc, &isnull);
	if (isnull)
		return false;
	array = DatumGetArrayTypeP(columns);
	return ARR_NDIM(array) == 1 && ARR_DIMS(array)[0] >= 1 && ((AttrNumber *) ARR_DATA_PTR(array))[0] == (AttrNumber) attno;
}

/*
 * column IS NOT NULL, perhaps AND something else.
 */
static bool
says_not_null(Node *clause, AttrNumber attno)
{
	ListCell   *lc;

	if (clause == NULL)
		return false;
	if (IsA(clause, NullTest))
	{
		NullTest   *test = (NullTest *) clause;

		return test->nulltesttype == IS_NOT_NULL && !test->argisrow && IsA(test->arg, Var) &&
			((Var *) test->arg)->varattno == attno;
	}
	if (IsA(clause, BoolExpr) && ((BoolExpr *) clause)->boolop == AND_EXPR)
	{
		foreach(lc, ((BoolExpr *) clause)->args)
		{
			if (says_not_null(lfirst(lc), attno))
				return true;
		}
	}
	return false;
}
