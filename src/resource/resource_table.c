/*-------------------------------------------------------------------------
 *
 * resource_table.c
 *	  A table, its key and the foreign keys around it, for soft deletion.
 *
 * Statements that return rows of a table begin with five columns: ctid,
 * tableoid, whether the row is live, its deletion_id, and then the table's
 * TaskapiTable.columns.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_type.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "resource/resource_registry.h"
#include "resource/resource_table.h"

static TaskapiTable *build_table(Oid relid);
static int	table_column(TaskapiTable *table, Relation rel, AttrNumber attno);
static void find_key(TaskapiTable *table, Relation rel);
static void find_foreign_keys(TaskapiTable *table, Relation rel, Relation constraints, bool incoming);
static TaskapiForeignKey *make_foreign_key(TaskapiTable *table, Relation rel, HeapTuple tuple, bool incoming);
static char *row_list(TaskapiTable *table, const char *alias);

TaskapiTable *
taskapi_table(Oid relid)
{
	TaskapiTable *table;

	(void) taskapi_resource_of_table(relid, true);	/* an up-to-date registry first */
	table = (TaskapiTable *) taskapi_resource_cache_get(CACHE_TABLE, relid);
	if (table == NULL)
	{
		uint64		generation = taskapi_resource_cache_generation();

		table = build_table(relid);
		taskapi_resource_cache_put(CACHE_TABLE, &table->entry, generation);
	}
	return table;
}

static TaskapiTable *
build_table(Oid relid)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "taskapi table", ALLOCSET_SMALL_SIZES);
	MemoryContext oldcontext = MemoryContextSwitchTo(context);
	TaskapiTable *table = palloc0(sizeof(TaskapiTable));
	Relation	rel = table_open(relid, AccessShareLock);
	Relation	constraints = table_open(ConstraintRelationId, AccessShareLock);

	table->entry.relid = relid;
	table->entry.context = context;
	table->entry.depends = list_make1_oid(relid);
	table->owner = rel->rd_rel->relowner;
	table->name = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
											 RelationGetRelationName(rel));
	table->soft = (taskapi_resource_of_table(relid, true) != NULL);
	table->columns = palloc0(sizeof(TaskapiTableColumn) * Max(RelationGetDescr(rel)->natts, 1));
	find_key(table, rel);
	find_foreign_keys(table, rel, constraints, true);
	find_foreign_keys(table, rel, constraints, false);

	table_close(constraints, AccessShareLock);
	table_close(rel, NoLock);
	MemoryContextSwitchTo(oldcontext);
	return table;
}

/*
 * The index of a column, which is added where it is new.
 */
static int
table_column(TaskapiTable *table, Relation rel, AttrNumber attno)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), attno - 1);
	TaskapiTableColumn *column;

	for (int i = 0; i < table->ncolumns; i++)
	{
		if (table->columns[i].attno == attno)
			return i;
	}
	column = &table->columns[table->ncolumns];
	column->attno = attno;
	column->name = pstrdup(quote_identifier(NameStr(att->attname)));
	column->type = att->atttypid;
	column->typlen = att->attlen;
	column->typbyval = att->attbyval;
	return table->ncolumns++;
}

static void
find_key(TaskapiTable *table, Relation rel)
{
	StringInfoData buf;
	Relation	index;

	list_free(RelationGetIndexList(rel));
	if (!OidIsValid(rel->rd_pkindex))
		return;

	initStringInfo(&buf);
	index = index_open(rel->rd_pkindex, AccessShareLock);
	table->nkeys = IndexRelationGetNumberOfKeyAttributes(index);
	table->keys = palloc(sizeof(int) * table->nkeys);
	for (int i = 0; i < table->nkeys; i++)
	{
		TaskapiTableColumn *column;
		Oid			op;

		table->keys[i] = table_column(table, rel, index->rd_index->indkey.values[i]);
		column = &table->columns[table->keys[i]];
		op = get_opfamily_member(index->rd_opfamily[i], index->rd_opcintype[i], index->rd_opcintype[i],
								 BTEqualStrategyNumber);
		if (!OidIsValid(op))
			elog(ERROR, "missing equality operator of index %u", RelationGetRelid(index));
		if (i > 0)
			appendStringInfoString(&buf, " AND ");
		generate_operator_clause(&buf, psprintf("t.%s", column->name), column->type, op,
								 psprintf("$%d", i + 1), column->type);
	}
	index_close(index, AccessShareLock);
	table->key_condition = buf.data;
}

/*
 * There is no index on confrelid; but this is read once in a while.
 */
static void
find_foreign_keys(TaskapiTable *table, Relation rel, Relation constraints, bool incoming)
{
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, incoming ? Anum_pg_constraint_confrelid : Anum_pg_constraint_conrelid,
				BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(RelationGetRelid(rel)));
	scan = systable_beginscan(constraints, ConstraintRelidTypidNameIndexId, !incoming, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint con = (Form_pg_constraint) GETSTRUCT(tuple);
		TaskapiForeignKey *fk;

		/* a partition's part of a key goes without saying, where we look at the whole */
		if (con->contype != CONSTRAINT_FOREIGN || (incoming && OidIsValid(con->conparentid)))
			continue;
		fk = make_foreign_key(table, rel, tuple, incoming);
		if (incoming)
			table->incoming = lappend(table->incoming, fk);
		else if (fk->other_soft)
			table->outgoing = lappend(table->outgoing, fk);
		table->entry.depends = list_append_unique_oid(table->entry.depends, fk->other);
	}
	systable_endscan(scan);
}

static TaskapiForeignKey *
make_foreign_key(TaskapiTable *table, Relation rel, HeapTuple tuple, bool incoming)
{
	Form_pg_constraint con = (Form_pg_constraint) GETSTRUCT(tuple);
	TaskapiForeignKey *fk = palloc0(sizeof(TaskapiForeignKey));
	AttrNumber	conkey[INDEX_MAX_KEYS];
	AttrNumber	confkey[INDEX_MAX_KEYS];
	Oid			pf_eq_oprs[INDEX_MAX_KEYS];
	StringInfoData buf;
	Relation	other;

	DeconstructFkConstraintRow(tuple, &fk->nkeys, conkey, confkey, pf_eq_oprs, NULL, NULL, NULL, NULL);
	fk->name = pstrdup(NameStr(con->conname));
	fk->on_delete = con->confdeltype;
	fk->other = incoming ? con->conrelid : con->confrelid;
	fk->columns = palloc(sizeof(int) * fk->nkeys);
	other = table_open(fk->other, AccessShareLock);
	fk->other_owner = other->rd_rel->relowner;
	fk->other_relname = pstrdup(RelationGetRelationName(other));
	fk->other_name = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(other)),
												fk->other_relname);
	fk->other_soft = (taskapi_resource_of_table(fk->other, true) != NULL);

	initStringInfo(&buf);
	for (int i = 0; i < fk->nkeys; i++)
	{
		AttrNumber	ours = incoming ? confkey[i] : conkey[i];
		AttrNumber	theirs = incoming ? conkey[i] : confkey[i];
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(other), theirs - 1);
		char	   *column = psprintf("o.%s", quote_identifier(NameStr(att->attname)));
		char	   *param = psprintf("$%d", i + 1);
		Oid			type;

		fk->columns[i] = table_column(table, rel, ours);
		type = table->columns[fk->columns[i]].type;
		if (i > 0)
			appendStringInfoString(&buf, " AND ");
		/* the operators are primary key = foreign key */
		if (incoming)
			generate_operator_clause(&buf, param, type, pf_eq_oprs[i], column, att->atttypid);
		else
			generate_operator_clause(&buf, column, att->atttypid, pf_eq_oprs[i], param, type);
	}
	fk->condition = buf.data;
	table_close(other, NoLock);
	return fk;
}

static char *
row_list(TaskapiTable *table, const char *alias)
{
	StringInfoData buf;

	initStringInfo(&buf);
	if (table->soft)
		appendStringInfo(&buf, "%s.ctid, %s.tableoid, %s.deleted_at IS NULL, %s.deletion_id", alias, alias, alias, alias);
	else
		appendStringInfo(&buf, "%s.ctid, %s.tableoid, true, NULL::pg_catalog.uuid", alias, alias);
	for (int i = 0; i < table->ncolumns; i++)
		appendStringInfo(&buf, ", %s.%s", alias, table->columns[i].name);
	return buf.data;
}

SPIPlanPtr
taskapi_foreign_key_plan(TaskapiTable *table, TaskapiForeignKey *fk, TaskapiForeignKeyPlan kind)
{
	Oid			argtypes[INDEX_MAX_KEYS + 2];
	int			n = fk->nkeys;
	StringInfoData buf;
	char	   *rows;

	if (fk->plans[kind] != NULL)
		return fk->plans[kind];

	for (int i = 0; i < n; i++)
		argtypes[i] = table->columns[fk->columns[i]].type;
	rows = (kind == FK_PLAN_PARENT || kind == FK_PLAN_HAS_LIVE) ? "" : row_list(taskapi_table(fk->other), "o");
	initStringInfo(&buf);
	switch (kind)
	{
		case FK_PLAN_LOCK_LIVE:
			appendStringInfo(&buf, "SELECT 1 FROM %s AS o WHERE %s AND o.deleted_at IS NULL FOR UPDATE",
							 fk->other_name, fk->condition);
			break;
		case FK_PLAN_DELETE:
			argtypes[n] = TIMESTAMPTZOID;
			argtypes[n + 1] = UUIDOID;
			appendStringInfo(&buf, "UPDATE %s AS o SET deleted_at = $%d, deletion_id = $%d"
							 " WHERE %s AND o.deleted_at IS NULL RETURNING %s",
							 fk->other_name, n + 1, n + 2, fk->condition, rows);
			n += 2;
			break;
		case FK_PLAN_HAS_LIVE:
			appendStringInfo(&buf, "SELECT 1 FROM %s AS o WHERE %s%s LIMIT 1",
							 fk->other_name, fk->condition, fk->other_soft ? " AND o.deleted_at IS NULL" : "");
			break;
		case FK_PLAN_LOCK_DELETION:
			argtypes[n++] = UUIDOID;
			appendStringInfo(&buf, "SELECT %s FROM %s AS o WHERE %s AND o.deletion_id OPERATOR(pg_catalog.=) $%d FOR UPDATE",
							 rows, fk->other_name, fk->condition, n);
			break;
		case FK_PLAN_LOCK_ALL:
			appendStringInfo(&buf, "SELECT %s FROM %s AS o WHERE %s FOR UPDATE",
							 rows, fk->other_name, fk->condition);
			break;
		case FK_PLAN_PARENT:
			appendStringInfo(&buf, "SELECT o.deleted_at IS NULL, o.deletion_id FROM %s AS o WHERE %s FOR KEY SHARE",
							 fk->other_name, fk->condition);
			break;
		case FK_PLAN_COUNT:
			Assert(false);
	}
	fk->plans[kind] = taskapi_prepare_as(&table->entry, fk->other_owner, buf.data, n, argtypes);
	return fk->plans[kind];
}

SPIPlanPtr
taskapi_table_plan(TaskapiTable *table, TaskapiTablePlan kind)
{
	Oid			argtypes[INDEX_MAX_KEYS + 2];
	int			n = table->nkeys;
	StringInfoData buf;

	if (table->plans[kind] != NULL)
		return table->plans[kind];

	for (int i = 0; i < n; i++)
		argtypes[i] = table->columns[table->keys[i]].type;
	initStringInfo(&buf);
	switch (kind)
	{
		case TABLE_PLAN_LOCK:
		case TABLE_PLAN_LOCK_FREE:
			appendStringInfo(&buf, "SELECT %s FROM %s AS t WHERE %s FOR UPDATE%s",
							 row_list(table, "t"), table->name, table->key_condition,
							 kind == TABLE_PLAN_LOCK_FREE ? " SKIP LOCKED" : "");
			break;
		case TABLE_PLAN_DELETE:
			argtypes[n] = TIMESTAMPTZOID;
			argtypes[n + 1] = UUIDOID;
			appendStringInfo(&buf, "UPDATE %s AS t SET deleted_at = $%d, deletion_id = $%d"
							 " WHERE %s AND t.deleted_at IS NULL",
							 table->name, n + 1, n + 2, table->key_condition);
			n += 2;
			break;
		case TABLE_PLAN_RESTORE:
			appendStringInfo(&buf, "UPDATE %s AS t SET deleted_at = NULL, deletion_id = NULL"
							 " WHERE %s AND t.deleted_at IS NOT NULL",
							 table->name, table->key_condition);
			break;
		case TABLE_PLAN_HAND_OVER:
			argtypes[n++] = UUIDOID;
			appendStringInfo(&buf, "UPDATE %s AS t SET deletion_id = $%d WHERE %s AND t.deleted_at IS NOT NULL",
							 table->name, n, table->key_condition);
			break;
		case TABLE_PLAN_PURGE:
			appendStringInfo(&buf, "DELETE FROM %s AS t WHERE %s AND t.deleted_at IS NOT NULL",
							 table->name, table->key_condition);
			break;
		case TABLE_PLAN_OLD:
			n = 1;
			argtypes[0] = TIMESTAMPTZOID;
			appendStringInfo(&buf, "SELECT %s FROM %s AS t WHERE t.deleted_at OPERATOR(pg_catalog.<) $1"
							 " ORDER BY t.deleted_at", row_list(table, "t"), table->name);
			break;
		case TABLE_PLAN_COUNT:
			Assert(false);
	}
	table->plans[kind] = taskapi_prepare_as(&table->entry, table->owner, buf.data, n, argtypes);
	return table->plans[kind];
}
