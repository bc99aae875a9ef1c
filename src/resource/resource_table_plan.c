/*-------------------------------------------------------------------------
 *
 * resource_table_plan.c
 *	  The statements of soft deletion, restore and purge
 *	  (resource_table_plan.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/datum.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "resource/resource_plan.h"
#include "resource/resource_table_plan.h"

/* What statements that return rows begin with; the table's columns follow. */
static const Oid row_types[] = {TIDOID, OIDOID, BOOLOID, UUIDOID, TIMESTAMPTZOID};

/* What an answer about a parent is. */
static const Oid parent_types[] = {BOOLOID, UUIDOID, TIMESTAMPTZOID};

/* What a list of old rows begins with; the key follows. */
static const Oid old_types[] = {XIDOID, UUIDOID};

static SPIPlanPtr foreign_key_plan(TaskapiTable *table, TaskapiForeignKey *fk, TaskapiForeignKeyPlan kind);
static SPIPlanPtr table_plan(TaskapiTable *table, TaskapiTablePlan kind);
static int	append_table_statement(StringInfo buf, TaskapiTable *table, TaskapiTablePlan kind, Oid *argtypes);
static void append_row_list(StringInfo buf, TaskapiTable *table, const char *alias);
static void require_rows(const TaskapiTable *table);
static TaskapiRow *copy_row(TaskapiTable *table, HeapTuple tuple, TupleDesc desc);
static int	deletion_arguments(Datum *values, int n, const TaskapiDeletion *deletion);

static void
append_row_list(StringInfo buf, TaskapiTable *table, const char *alias)
{
	if (table->soft)
		appendStringInfo(buf, "%s.ctid, %s.tableoid, %s.deleted_at IS NULL, %s.deletion_id, %s.deleted_at",
						 alias, alias, alias, alias, alias);
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
require_rows(const TaskapiTable *table)
{
	int			n = lengthof(row_types);
	Oid		   *types = palloc(sizeof(Oid) * (n + table->ncolumns));

	memcpy(types, row_types, sizeof(row_types));
	for (int i = 0; i < table->ncolumns; i++)
		types[n++] = table->columns[i].type;
	taskapi_resource_require_result(types, n);
	pfree(types);
}

static TaskapiRow *
copy_row(TaskapiTable *table, HeapTuple tuple, TupleDesc desc)
{
	Size		values = offsetof(TaskapiRow, values) + sizeof(Datum) * table->ncolumns;
	TaskapiRow *row = palloc0(values + sizeof(bool) * table->ncolumns);
	bool		isnull;
	Datum		value;

	row->table = table;
	row->nulls = (bool *) ((char *) row + values);
	value = SPI_getbinval(tuple, desc, 1, &isnull);
	row->tid = *(ItemPointer) DatumGetPointer(value);
	row->tableoid = DatumGetObjectId(SPI_getbinval(tuple, desc, 2, &isnull));
	row->live = DatumGetBool(SPI_getbinval(tuple, desc, 3, &isnull));
	value = SPI_getbinval(tuple, desc, 4, &isnull);
	row->in_deletion = !isnull;
	if (!isnull)
		row->deletion.id = *DatumGetUUIDP(value);
	value = SPI_getbinval(tuple, desc, 5, &isnull);
	row->deletion.at = isnull ? DT_NOBEGIN : DatumGetTimestampTz(value);
	for (int i = 0; i < table->ncolumns; i++)
	{
		value = SPI_getbinval(tuple, desc, lengthof(row_types) + 1 + i, &row->nulls[i]);
		row->values[i] = row->nulls[i] ? (Datum) 0 :
			datumCopy(value, table->columns[i].typbyval, table->columns[i].typlen);
	}
	return row;
}

static int
deletion_arguments(Datum *values, int n, const TaskapiDeletion *deletion)
{
	values[n++] = TimestampTzGetDatum(deletion->at);
	values[n++] = UUIDPGetDatum(unconstify(pg_uuid_t *, &deletion->id));
	return n;
}

TaskapiRow *
taskapi_resource_lock_row(TaskapiTable *table, const Datum *key, bool skip_locked)
{
	TaskapiTablePlan kind = skip_locked ? TASKAPI_TABLE_PLAN_LOCK_FREE : TASKAPI_TABLE_PLAN_LOCK;
	TaskapiRow *row = NULL;

	if (taskapi_resource_run_as(table->owner, table_plan(table, kind), unconstify(Datum *, key), NULL, 0) > 0)
	{
		require_rows(table);
		row = copy_row(table, SPI_tuptable->vals[0], SPI_tuptable->tupdesc);
	}
	taskapi_resource_free_result();
	return row;
}

bool
taskapi_resource_run_row(const TaskapiRow *row, TaskapiTablePlan kind, const TaskapiDeletion *deletion)
{
	TaskapiTable *table = row->table;
	Datum		values[INDEX_MAX_KEYS + 2];
	uint64		found;

	for (int i = 0; i < table->nkeys; i++)
		values[i] = row->values[table->keys[i]];
	if (deletion != NULL)
		deletion_arguments(values, table->nkeys, deletion);
	found = taskapi_resource_run_as(table->owner, table_plan(table, kind), values, NULL, 0);
	taskapi_resource_free_result();
	return found > 0;
}

bool
taskapi_resource_reference_of(const TaskapiRow *row, const TaskapiForeignKey *fk, Datum *values)
{
	if (fk->only_in != NIL && !list_member_oid(fk->only_in, row->tableoid))
		return false;
	for (int i = 0; i < fk->nkeys; i++)
	{
		if (row->nulls[fk->columns[i]])
			return false;
		values[i] = row->values[fk->columns[i]];
	}
	return true;
}

int64
taskapi_resource_run_key(const TaskapiRow *row, TaskapiForeignKey *fk, TaskapiForeignKeyPlan kind, const Datum *values)
{
	int64		found = taskapi_resource_run_as(fk->other_owner, foreign_key_plan(row->table, fk, kind),
												unconstify(Datum *, values), NULL, 1);

	if (kind == TASKAPI_FK_PLAN_LOCK_LIVE && found > 0)
	{
		Oid			type = INT8OID;
		bool		isnull;

		taskapi_resource_require_result(&type, 1);
		found = DatumGetInt64(taskapi_resource_result(1, &isnull));
	}
	taskapi_resource_free_result();
	return found;
}

List *
taskapi_resource_key_rows(List *rows, const TaskapiRow *row, TaskapiForeignKey *fk, TaskapiForeignKeyPlan kind,
						  const Datum *values, const TaskapiDeletion *deletion)
{
	TaskapiTable *other = taskapi_resource_table(fk->other);
	Datum		arguments[INDEX_MAX_KEYS + 2];
	SPITupleTable *tuptable;

	memcpy(arguments, values, sizeof(Datum) * fk->nkeys);
	if (kind == TASKAPI_FK_PLAN_DELETE)
		deletion_arguments(arguments, fk->nkeys, deletion);
	else if (kind == TASKAPI_FK_PLAN_LOCK_DELETION)
		arguments[fk->nkeys] = UUIDPGetDatum(unconstify(pg_uuid_t *, &deletion->id));

	taskapi_resource_run_as(fk->other_owner, foreign_key_plan(row->table, fk, kind), arguments, NULL, 0);
	require_rows(other);
	tuptable = SPI_tuptable;
	for (uint64 i = 0; i < tuptable->numvals; i++)
		rows = lappend(rows, copy_row(other, tuptable->vals[i], tuptable->tupdesc));
	taskapi_resource_free_result();
	return rows;
}

bool
taskapi_resource_parent(TaskapiTable *table, TaskapiForeignKey *fk, const Datum *values, TaskapiParent *parent)
{
	bool		found;
	bool		isnull;
	Datum		value;

	found = taskapi_resource_run_as(fk->other_owner, foreign_key_plan(table, fk, TASKAPI_FK_PLAN_PARENT),
									unconstify(Datum *, values), NULL, 1) > 0;
	if (found)
	{
		taskapi_resource_require_result(parent_types, lengthof(parent_types));
		parent->live = DatumGetBool(taskapi_resource_result(1, &isnull));
		value = taskapi_resource_result(2, &isnull);
		parent->in_deletion = !isnull;
		if (!isnull)
			parent->deletion.id = *DatumGetUUIDP(value);
		value = taskapi_resource_result(3, &isnull);
		parent->deletion.at = isnull ? DT_NOBEGIN : DatumGetTimestampTz(value);
	}
	taskapi_resource_free_result();
	return found;
}

SPIPlanPtr
taskapi_resource_old_rows_plan(TaskapiTable *table)
{
	return table_plan(table, TASKAPI_TABLE_PLAN_OLD);
}

void
taskapi_resource_require_old_rows(const TaskapiTable *table)
{
	Oid			types[lengthof(old_types) + INDEX_MAX_KEYS];
	int			n = lengthof(old_types);

	memcpy(types, old_types, sizeof(old_types));
	for (int i = 0; i < table->nkeys; i++)
		types[n++] = table->columns[table->keys[i]].type;
	taskapi_resource_require_result(types, n);
}

static SPIPlanPtr
foreign_key_plan(TaskapiTable *table, TaskapiForeignKey *fk, TaskapiForeignKeyPlan kind)
{
	Oid			argtypes[INDEX_MAX_KEYS + 2];
	int			n = fk->nkeys;
	StringInfoData buf;
	const char *name = fk->other_name;

	if (fk->plans[kind] != NULL)
		return fk->plans[kind];

	for (int i = 0; i < n; i++)
		argtypes[i] = table->columns[fk->columns[i]].type;
	initStringInfo(&buf);
	switch (kind)
	{
		case TASKAPI_FK_PLAN_LOCK_LIVE:
			appendStringInfo(&buf, "SELECT pg_catalog.count(*) FROM (SELECT FROM %s AS o WHERE %s"
							 " AND o.deleted_at IS NULL FOR UPDATE) l", name, fk->condition);
			break;
		case TASKAPI_FK_PLAN_DELETE:
			argtypes[n++] = TIMESTAMPTZOID;
			argtypes[n++] = UUIDOID;
			appendStringInfo(&buf, "UPDATE %s AS o SET deleted_at = $%d, deletion_id = $%d"
							 " WHERE %s AND o.deleted_at IS NULL RETURNING ", name, n - 1, n, fk->condition);
			append_row_list(&buf, taskapi_resource_table(fk->other), "o");
			break;
		case TASKAPI_FK_PLAN_HAS_LIVE:
		case TASKAPI_FK_PLAN_HAS_ANY:
			appendStringInfo(&buf, "SELECT 1 FROM %s AS o WHERE %s%s LIMIT 1", name, fk->condition,
							 fk->other_soft && kind == TASKAPI_FK_PLAN_HAS_LIVE ? " AND o.deleted_at IS NULL" : "");
			break;
		case TASKAPI_FK_PLAN_LOCK_DELETION:
		case TASKAPI_FK_PLAN_LOCK_ALL:
			if (kind == TASKAPI_FK_PLAN_LOCK_DELETION)
				argtypes[n++] = UUIDOID;
			appendStringInfoString(&buf, "SELECT ");
			append_row_list(&buf, taskapi_resource_table(fk->other), "o");
			appendStringInfo(&buf, " FROM %s AS o WHERE %s", name, fk->condition);
			if (kind == TASKAPI_FK_PLAN_LOCK_DELETION)
				appendStringInfo(&buf, " AND o.deletion_id OPERATOR(pg_catalog.=) $%d", n);
			appendStringInfoString(&buf, " FOR UPDATE");
			break;
		case TASKAPI_FK_PLAN_PARENT:
			appendStringInfo(&buf, "SELECT o.deleted_at IS NULL, o.deletion_id, o.deleted_at FROM %s AS o WHERE %s"
							 " FOR KEY SHARE", name, fk->condition);
			break;
		case TASKAPI_FK_PLAN_COUNT:
			Assert(false);
	}
	fk->plans[kind] = taskapi_resource_prepare(&table->entry, fk->other_owner, buf.data, n, argtypes);
	return fk->plans[kind];
}

static SPIPlanPtr
table_plan(TaskapiTable *table, TaskapiTablePlan kind)
{
	Oid			argtypes[INDEX_MAX_KEYS + 2];
	StringInfoData buf;
	int			n;

	if (table->plans[kind] != NULL)
		return table->plans[kind];
	if (table->nkeys == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s has no primary key that names one row", table->name)));

	for (int i = 0; i < table->nkeys; i++)
		argtypes[i] = table->columns[table->keys[i]].type;
	initStringInfo(&buf);
	n = append_table_statement(&buf, table, kind, argtypes);
	table->plans[kind] = taskapi_resource_prepare(&table->entry, table->owner, buf.data, n, argtypes);
	return table->plans[kind];
}

/*
 * The number of its parameters; the types of those after the key go into argtypes.
 */
static int
append_table_statement(StringInfo buf, TaskapiTable *table, TaskapiTablePlan kind, Oid *argtypes)
{
	int			n = table->nkeys;
	const char *key = table->key_condition;

	switch (kind)
	{
		case TASKAPI_TABLE_PLAN_LOCK:
		case TASKAPI_TABLE_PLAN_LOCK_FREE:
			appendStringInfoString(buf, "SELECT ");
			append_row_list(buf, table, "t");
			appendStringInfo(buf, " FROM %s AS t WHERE %s FOR UPDATE%s", table->name, key,
							 kind == TASKAPI_TABLE_PLAN_LOCK_FREE ? " SKIP LOCKED" : "");
			break;
		case TASKAPI_TABLE_PLAN_EXISTS:
			appendStringInfo(buf, "SELECT 1 FROM %s AS t WHERE %s", table->name, key);
			break;
		case TASKAPI_TABLE_PLAN_DELETE:
		case TASKAPI_TABLE_PLAN_HAND_OVER:
			argtypes[n++] = TIMESTAMPTZOID;
			argtypes[n++] = UUIDOID;
			appendStringInfo(buf, "UPDATE %s AS t SET deleted_at = $%d, deletion_id = $%d WHERE %s AND t.deleted_at IS %s",
							 table->name, n - 1, n, key, kind == TASKAPI_TABLE_PLAN_DELETE ? "NULL" : "NOT NULL");
			break;
		case TASKAPI_TABLE_PLAN_RESTORE:
			appendStringInfo(buf, "UPDATE %s AS t SET deleted_at = NULL, deletion_id = NULL"
							 " WHERE %s AND t.deleted_at IS NOT NULL", table->name, key);
			break;
		case TASKAPI_TABLE_PLAN_PURGE:
			appendStringInfo(buf, "DELETE FROM %s AS t WHERE %s AND t.deleted_at IS NOT NULL", table->name, key);
			break;
		case TASKAPI_TABLE_PLAN_OLD:
			n = 0;
			argtypes[n++] = TIMESTAMPTZOID;
			appendStringInfoString(buf, "SELECT t.xmin, t.deletion_id");
			for (int i = 0; i < table->nkeys; i++)
				appendStringInfo(buf, ", t.%s", table->columns[table->keys[i]].name);
			appendStringInfo(buf, " FROM %s AS t WHERE t.deleted_at OPERATOR(pg_catalog.<) $1 ORDER BY t.deleted_at",
							 table->name);
			break;
		case TASKAPI_TABLE_PLAN_COUNT:
			Assert(false);
	}
	return n;
}
