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
#include "storage/lmgr.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "resource/resource_plan.h"
#include "resource/resource_table_plan.h"
#include "resource/resource_target.h"

/* What an answer about a parent is. */
static const Oid parent_types[] = {BOOLOID, UUIDOID, TIMESTAMPTZOID};

/* Where a row is. */
static const Oid place_types[] = {TIDOID, OIDOID};

/* What is left of a row that was marked or restored. */
static const Oid marked_types[] = {TIMESTAMPTZOID, UUIDOID};

/* What a list of old rows begins with; the key follows. */
static const Oid old_types[] = {XIDOID, UUIDOID};

static SPIPlanPtr foreign_key_plan(TaskapiTable *table, TaskapiForeignKey *fk, TaskapiForeignKeyPlan kind);
static LOCKMODE foreign_key_lock(TaskapiForeignKeyPlan kind);
static TaskapiForeignKey *current_key(TaskapiTable **table, TaskapiForeignKey *fk, LOCKMODE mode);
static void require_same_columns(const TaskapiTable *table, const int *columns, int n,
								 const TaskapiTable *changed, const int *changed_columns, int nchanged);
static LOCKMODE table_lock(TaskapiTablePlan kind);
static SPIPlanPtr table_plan(TaskapiTable *table, TaskapiTablePlan kind);
static int	append_table_statement(StringInfo buf, TaskapiTable *table, TaskapiTablePlan kind, Oid *argtypes);
static bool is_marked(const TaskapiDeletion *deletion);
static int	deletion_arguments(Datum *values, int n, const TaskapiDeletion *deletion);
static void key_types(const TaskapiTable *table, const TaskapiForeignKey *fk, Oid *types);

/* The types of a key's columns in the table referred to. */
static void
key_types(const TaskapiTable *table, const TaskapiForeignKey *fk, Oid *types)
{
	for (int i = 0; i < fk->nkeys; i++)
		types[i] = table->columns[fk->columns[i]].type;
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
	SPIPlanPtr	plan = table_plan(table, skip_locked ? TASKAPI_TABLE_PLAN_LOCK_FREE : TASKAPI_TABLE_PLAN_LOCK);
	TaskapiRow *row = NULL;

	/* as it is now that it is locked, with all keys that refer to it */
	table = taskapi_resource_table_again(table);
	if (taskapi_resource_run_as(table->owner, plan, unconstify(Datum *, key), NULL, 0) > 0)
	{
		TupleDesc	desc;
		HeapTuple	tuple = taskapi_resource_result_row(&desc);

		row = taskapi_row_of_tuple(table, tuple, desc);
	}
	taskapi_resource_free_result();
	return row;
}

bool
taskapi_resource_place(TaskapiTable *table, const Datum *key, Oid *tableoid, ItemPointer tid)
{
	SPIPlanPtr	plan = table_plan(table, TASKAPI_TABLE_PLAN_PLACE);
	bool		found = taskapi_resource_look_as(table->owner, plan, unconstify(Datum *, key)) > 0;
	bool		isnull;

	if (found)
	{
		taskapi_resource_require_result(place_types, lengthof(place_types));
		*tid = *(ItemPointer) DatumGetPointer(taskapi_resource_result(1, &isnull));
		*tableoid = DatumGetObjectId(taskapi_resource_result(2, &isnull));
	}
	taskapi_resource_free_result();
	return found;
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
	else if (kind == TASKAPI_TABLE_PLAN_PURGE_AT)
	{
		values[table->nkeys] = PointerGetDatum(&row->tid);
		values[table->nkeys + 1] = ObjectIdGetDatum(row->tableoid);
	}
	found = taskapi_resource_run_as(table->owner, table_plan(table, kind), values, NULL, 0);
	if (found > 0 && (deletion != NULL || kind == TASKAPI_TABLE_PLAN_RESTORE) && !is_marked(deletion))
		found = 0;
	taskapi_resource_free_result();
	return found > 0;
}

bool
taskapi_resource_purge_part(const TaskapiRow *row)
{
	TaskapiTable *table = row->table;
	Datum		values[INDEX_MAX_KEYS];
	uint64		found;

	for (int i = 0; i < table->nkeys; i++)
		values[i] = row->values[table->keys[i]];
	found = taskapi_resource_run_part(table->owner, table_plan(table, TASKAPI_TABLE_PLAN_PURGE), values);
	taskapi_resource_free_result();
	return found > 0;
}

/*
 * A trigger may have made something else of the row: is it in the deletion, or live if that is NULL?
 */
static bool
is_marked(const TaskapiDeletion *deletion)
{
	bool		live;
	bool		no_id;
	Datum		id;

	taskapi_resource_require_result(marked_types, lengthof(marked_types));
	(void) taskapi_resource_result(1, &live);
	id = taskapi_resource_result(2, &no_id);
	if (deletion == NULL)
		return live;
	return !live && !no_id && memcmp(DatumGetUUIDP(id), &deletion->id, UUID_LEN) == 0;
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

	taskapi_resource_free_result();
	return found;
}

int64
taskapi_resource_lock_live(const TaskapiRow *row, TaskapiForeignKey *fk, const Datum *values)
{
	Oid			argtypes[INDEX_MAX_KEYS];

	key_types(row->table, fk, argtypes);
	return taskapi_resource_run_into(fk->other_owner, foreign_key_plan(row->table, fk, TASKAPI_FK_PLAN_LOCK_LIVE),
									 fk->nkeys, argtypes, unconstify(Datum *, values), None_Receiver);
}

int64
taskapi_resource_key_rows(TaskapiRows *rows, const TaskapiRow *row, TaskapiForeignKey *fk, TaskapiForeignKeyPlan kind,
						  const Datum *values, const TaskapiDeletion *deletion)
{
	Datum		arguments[INDEX_MAX_KEYS + 2];
	Oid			argtypes[INDEX_MAX_KEYS + 2];
	int			n = fk->nkeys;
	SPIPlanPtr	plan = foreign_key_plan(row->table, fk, kind);
	TaskapiTable *other = taskapi_resource_table(fk->other);	/* as it is now that it is locked */
	TaskapiRowsReceiver receiver;

	key_types(row->table, fk, argtypes);
	memcpy(arguments, values, sizeof(Datum) * n);
	if (kind == TASKAPI_FK_PLAN_DELETE)
	{
		argtypes[n] = TIMESTAMPTZOID;
		argtypes[n + 1] = UUIDOID;
		n = deletion_arguments(arguments, n, deletion);
	}
	else if (kind == TASKAPI_FK_PLAN_LOCK_DELETION)
	{
		argtypes[n] = UUIDOID;
		arguments[n++] = UUIDPGetDatum(unconstify(pg_uuid_t *, &deletion->id));
	}

	if (kind == TASKAPI_FK_PLAN_DELETE && other->incoming == NIL)
		rows = NULL;
	taskapi_rows_receiver(&receiver, rows, other, kind == TASKAPI_FK_PLAN_DELETE ? deletion : NULL);
	taskapi_resource_run_into(fk->other_owner, plan, n, argtypes, arguments, &receiver.pub);
	return receiver.received;
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
taskapi_resource_old_rows_plan(TaskapiTable *table, bool last_first)
{
	return table_plan(table, last_first ? TASKAPI_TABLE_PLAN_OLD_LAST : TASKAPI_TABLE_PLAN_OLD);
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
	int			n;
	StringInfoData buf;
	const char *name;

	fk = current_key(&table, fk, foreign_key_lock(kind));
	n = fk->nkeys;
	name = fk->other_name;
	if (fk->plans[kind] != NULL)
		return fk->plans[kind];

	key_types(table, fk, argtypes);
	initStringInfo(&buf);
	switch (kind)
	{
		case TASKAPI_FK_PLAN_LOCK_LIVE:
			appendStringInfo(&buf, "SELECT FROM %s AS o WHERE %s AND o.%s IS NULL FOR UPDATE", name, fk->condition,
							 fk->other_deleted_at);
			break;
		case TASKAPI_FK_PLAN_DELETE:
			argtypes[n++] = TIMESTAMPTZOID;
			argtypes[n++] = UUIDOID;
			appendStringInfo(&buf, "UPDATE %s AS o SET %s = $%d, deletion_id = $%d WHERE %s AND o.%s IS NULL RETURNING ",
							 name, fk->other_deleted_at, n - 1, n, fk->condition, fk->other_deleted_at);
			taskapi_row_list(&buf, taskapi_resource_table(fk->other), "o");
			break;
		case TASKAPI_FK_PLAN_HAS_LIVE:
		case TASKAPI_FK_PLAN_HAS_ANY:
			appendStringInfo(&buf, "SELECT 1 FROM %s AS o WHERE %s", name, fk->condition);
			if (fk->other_soft && kind == TASKAPI_FK_PLAN_HAS_LIVE)
				appendStringInfo(&buf, " AND o.%s IS NULL", fk->other_deleted_at);
			appendStringInfoString(&buf, " LIMIT 1");
			break;
		case TASKAPI_FK_PLAN_LOCK_DELETION:
		case TASKAPI_FK_PLAN_LOCK_ALL:
			if (kind == TASKAPI_FK_PLAN_LOCK_DELETION)
				argtypes[n++] = UUIDOID;
			appendStringInfoString(&buf, "SELECT ");
			taskapi_row_list(&buf, taskapi_resource_table(fk->other), "o");
			appendStringInfo(&buf, " FROM %s AS o WHERE %s", name, fk->condition);
			if (kind == TASKAPI_FK_PLAN_LOCK_DELETION)
				appendStringInfo(&buf, " AND o.deletion_id OPERATOR(pg_catalog.=) $%d", n);
			appendStringInfoString(&buf, " FOR UPDATE");
			break;
		case TASKAPI_FK_PLAN_PARENT:
			appendStringInfo(&buf, "SELECT o.%s IS NULL, o.deletion_id, o.%s FROM %s AS o WHERE %s FOR KEY SHARE",
							 fk->other_deleted_at, fk->other_deleted_at, name, fk->condition);
			break;
		case TASKAPI_FK_PLAN_COUNT:
			Assert(false);
	}
	fk->plans[kind] = taskapi_resource_expect_target(taskapi_resource_prepare(&table->entry, fk->other_owner, buf.data, n,
																			  argtypes), fk->other);
	return fk->plans[kind];
}

/*
 * How its table is locked for a plan: as the statement does, or as that which is done next to the rows that it locks does.  Then
 * no other session lets a key refer to the table, which would be missing among those that the rows are followed by: whoever
 * waits to remove a row that is to be kept for one has not seen it.
 */
static LOCKMODE
foreign_key_lock(TaskapiForeignKeyPlan kind)
{
	switch (kind)
	{
		case TASKAPI_FK_PLAN_DELETE:
		case TASKAPI_FK_PLAN_LOCK_DELETION:
		case TASKAPI_FK_PLAN_LOCK_ALL:
			return RowExclusiveLock;
		case TASKAPI_FK_PLAN_LOCK_LIVE:
		case TASKAPI_FK_PLAN_PARENT:
			return RowShareLock;
		case TASKAPI_FK_PLAN_HAS_LIVE:
		case TASKAPI_FK_PLAN_HAS_ANY:
		case TASKAPI_FK_PLAN_COUNT:
			break;
	}
	return AccessShareLock;
}

/*
 * The other table is locked as the statement will lock it, so that its names stay what they are, and nothing is waited for after
 * they were looked at.  Whoever had it locked until now may have changed them, or its schema's: then the same key as it is now.
 */
static TaskapiForeignKey *
current_key(TaskapiTable **table, TaskapiForeignKey *fk, LOCKMODE mode)
{
	bool		incoming = list_member_ptr((*table)->incoming, fk);
	TaskapiTable *changed;
	ListCell   *lc;

	LockRelationOid(fk->other, mode);
	if (taskapi_resource_cache_is_current(&(*table)->entry))
		return fk;
	changed = taskapi_resource_table((*table)->entry.relid);
	foreach(lc, incoming ? changed->incoming : changed->outgoing)
	{
		TaskapiForeignKey *now = lfirst(lc);

		if (now->other != fk->other || strcmp(now->name, fk->name) != 0)
			continue;
		require_same_columns(*table, fk->columns, fk->nkeys, changed, now->columns, now->nkeys);
		/* what is done to its rows was decided by that */
		if (now->other_soft != fk->other_soft)
			taskapi_resource_refuse_changed();
		*table = changed;
		return now;
	}
	return fk;
}

/*
 * What has changed takes the values of a row that was read before: they are of the same columns and types, or it is an error.
 */
static void
require_same_columns(const TaskapiTable *table, const int *columns, int n,
					 const TaskapiTable *changed, const int *changed_columns, int nchanged)
{
	bool		same = (n == nchanged);

	for (int i = 0; same && i < n; i++)
	{
		const TaskapiTableColumn *was = &table->columns[columns[i]];
		const TaskapiTableColumn *is = &changed->columns[changed_columns[i]];

		same = was->attno == is->attno && was->type == is->type;
	}
	if (!same)
		taskapi_resource_refuse_changed();
}

/* As foreign_key_lock(). */
static LOCKMODE
table_lock(TaskapiTablePlan kind)
{
	switch (kind)
	{
		case TASKAPI_TABLE_PLAN_DELETE:
		case TASKAPI_TABLE_PLAN_HAND_OVER:
		case TASKAPI_TABLE_PLAN_RESTORE:
		case TASKAPI_TABLE_PLAN_PURGE:
		case TASKAPI_TABLE_PLAN_PURGE_AT:
		case TASKAPI_TABLE_PLAN_LOCK:
		case TASKAPI_TABLE_PLAN_LOCK_FREE:
			return RowExclusiveLock;
		case TASKAPI_TABLE_PLAN_EXISTS:
		case TASKAPI_TABLE_PLAN_PLACE:
		case TASKAPI_TABLE_PLAN_OLD:
		case TASKAPI_TABLE_PLAN_OLD_LAST:
		case TASKAPI_TABLE_PLAN_COUNT:
			break;
	}
	return AccessShareLock;
}

static SPIPlanPtr
table_plan(TaskapiTable *table, TaskapiTablePlan kind)
{
	Oid			argtypes[INDEX_MAX_KEYS + 2];
	StringInfoData buf;
	int			n;

	/* as in current_key() */
	LockRelationOid(table->entry.relid, table_lock(kind));
	if (!taskapi_resource_cache_is_current(&table->entry))
	{
		TaskapiTable *changed = taskapi_resource_table(table->entry.relid);

		require_same_columns(table, table->keys, table->nkeys, changed, changed->keys, changed->nkeys);
		table = changed;
	}
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
	table->plans[kind] = taskapi_resource_expect_target(taskapi_resource_prepare(&table->entry, table->owner, buf.data, n,
																				 argtypes), table->entry.relid);
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
	const char *deleted_at = table->deleted_at;

	switch (kind)
	{
		case TASKAPI_TABLE_PLAN_LOCK:
		case TASKAPI_TABLE_PLAN_LOCK_FREE:
			appendStringInfoString(buf, "SELECT ");
			taskapi_row_list(buf, table, "t");
			appendStringInfo(buf, " FROM %s AS t WHERE %s FOR UPDATE%s", table->name, key,
							 kind == TASKAPI_TABLE_PLAN_LOCK_FREE ? " SKIP LOCKED" : "");
			break;
		case TASKAPI_TABLE_PLAN_EXISTS:
			appendStringInfo(buf, "SELECT 1 FROM %s AS t WHERE %s", table->name, key);
			break;
		case TASKAPI_TABLE_PLAN_PLACE:
			appendStringInfo(buf, "SELECT t.ctid, t.tableoid FROM %s AS t WHERE %s", table->name, key);
			break;
		case TASKAPI_TABLE_PLAN_DELETE:
		case TASKAPI_TABLE_PLAN_HAND_OVER:
			argtypes[n++] = TIMESTAMPTZOID;
			argtypes[n++] = UUIDOID;
			appendStringInfo(buf, "UPDATE %s AS t SET %s = $%d, deletion_id = $%d WHERE %s AND t.%s IS %s"
							 " RETURNING t.%s, t.deletion_id",
							 table->name, deleted_at, n - 1, n, key, deleted_at,
							 kind == TASKAPI_TABLE_PLAN_DELETE ? "NULL" : "NOT NULL", deleted_at);
			break;
		case TASKAPI_TABLE_PLAN_RESTORE:
			appendStringInfo(buf, "UPDATE %s AS t SET %s = NULL, deletion_id = NULL"
							 " WHERE %s AND t.%s IS NOT NULL RETURNING t.%s, t.deletion_id",
							 table->name, deleted_at, key, deleted_at, deleted_at);
			break;
		case TASKAPI_TABLE_PLAN_PURGE:
		case TASKAPI_TABLE_PLAN_PURGE_AT:
			appendStringInfo(buf, "DELETE FROM %s AS t WHERE %s AND t.%s IS NOT NULL", table->name, key, deleted_at);
			if (kind == TASKAPI_TABLE_PLAN_PURGE)
				break;
			argtypes[n++] = TIDOID;
			argtypes[n++] = OIDOID;
			appendStringInfo(buf, " AND t.ctid OPERATOR(pg_catalog.=) $%d AND t.tableoid OPERATOR(pg_catalog.=) $%d", n - 1, n);
			break;
		case TASKAPI_TABLE_PLAN_OLD:
		case TASKAPI_TABLE_PLAN_OLD_LAST:
			n = 0;
			argtypes[n++] = TIMESTAMPTZOID;
			appendStringInfoString(buf, "SELECT t.xmin, t.deletion_id");
			for (int i = 0; i < table->nkeys; i++)
				appendStringInfo(buf, ", t.%s", table->columns[table->keys[i]].name);
			appendStringInfo(buf, " FROM %s AS t WHERE t.%s OPERATOR(pg_catalog.<) $1 ORDER BY t.%s",
							 table->name, deleted_at, deleted_at);
			if (kind == TASKAPI_TABLE_PLAN_OLD_LAST)
				appendStringInfoString(buf, " DESC, t.deletion_id DESC");
			break;
		case TASKAPI_TABLE_PLAN_COUNT:
			Assert(false);
	}
	return n;
}
