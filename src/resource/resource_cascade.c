/*-------------------------------------------------------------------------
 *
 * resource_cascade.c
 *	  Soft deletion, restore and purge along the foreign keys.
 *
 * The invariant: no live row refers to a deleted one through a foreign key ON
 * DELETE CASCADE, RESTRICT or NO ACTION.  (SET NULL and SET DEFAULT have their
 * effect when the row is purged; until then the reference stays, so that a
 * restore brings everything back.)  What keeps it, also under concurrency:
 *
 * - A row is locked FOR UPDATE before anybody looks for rows that refer to it.
 *	 Whoever writes such a reference holds FOR KEY SHARE on the row until its
 *	 transaction ends, and then looks whether the row is live (resource_table.c).
 *	 The two locks conflict: one of both comes first, and the other sees it.
 * - Rows are looked for with the newest state in view, in every isolation level.
 * - A row goes along before its children do, so cycles end, and triggers of the
 *	 children see that their parent is gone.
 *
 * All rows of one deletion, the root and what went along, have one deletion_id.
 * Restoring takes the same way with the same deletion_id.  A row whose other
 * parent, ON DELETE CASCADE too, was deleted since would have gone along with
 * that one: it is handed over to that deletion, with all below it, and comes back
 * when that parent does.  In the end every restored row is asked whether what it
 * refers to is live.  So restoring a row that itself went along with another one
 * is refused.
 *
 * Everything is done row by row, as referential integrity does it, with the
 * rights of each table's owner.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/itemptr.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "base/compat.h"
#include "http/problem.h"
#include "resource/resource_cascade.h"

/* A row's place, which does not change while it is locked */
typedef struct RowPlace
{
	Oid			tableoid;
	ItemPointerData tid;
} RowPlace;

extern Datum taskapi_uuidv7(PG_FUNCTION_ARGS);

static List *append_rows(List *rows, TaskapiTable *table);
static bool key_of_row(TaskapiRow *row, TaskapiForeignKey *fk, Datum *values);
static int	run_foreign_key(TaskapiRow *row, TaskapiForeignKey *fk, TaskapiForeignKeyPlan kind,
							Datum *values, long limit);
static void refuse_dependents(TaskapiRow *row);
static void refuse_deleted_parents(TaskapiRow *row);
static void refuse_restore(TaskapiTable *table);
static Datum other_deletion(TaskapiRow *row, TaskapiRow *parent, TaskapiForeignKey *via, Datum deletion_id);
static void hand_over(TaskapiRow *top, Datum deletion_id);
static List *lock_taken_along(TaskapiRow *row, TaskapiForeignKey *fk, Datum deletion_id);
static bool run_table(TaskapiRow *row, TaskapiTablePlan kind, Datum argument);
static bool is_strict(const TaskapiForeignKey *fk);
static bool goes_along(const TaskapiForeignKey *fk);

/*
 * Does the reference have to hold between live rows?
 */
static bool
is_strict(const TaskapiForeignKey *fk)
{
	return fk->on_delete != FKCONSTR_ACTION_SETNULL && fk->on_delete != FKCONSTR_ACTION_SETDEFAULT;
}

/*
 * Do rows at the other end go along, or take along, softly?
 */
static bool
goes_along(const TaskapiForeignKey *fk)
{
	return fk->on_delete == FKCONSTR_ACTION_CASCADE && fk->other_soft;
}

TaskapiRow *
taskapi_copy_row(TaskapiTable *table, HeapTuple tuple, TupleDesc desc)
{
	TaskapiRow *row = palloc0(sizeof(TaskapiRow));
	bool		isnull;
	Datum		value;

	row->table = table;
	value = SPI_getbinval(tuple, desc, 1, &isnull);
	row->tid = *(ItemPointer) DatumGetPointer(value);
	row->tableoid = DatumGetObjectId(SPI_getbinval(tuple, desc, 2, &isnull));
	row->live = DatumGetBool(SPI_getbinval(tuple, desc, 3, &isnull));
	value = SPI_getbinval(tuple, desc, 4, &row->deletion_id_null);
	if (!row->deletion_id_null)
		row->deletion_id = datumCopy(value, false, UUID_LEN);
	row->values = palloc(sizeof(Datum) * table->ncolumns);
	row->nulls = palloc(sizeof(bool) * table->ncolumns);
	for (int i = 0; i < table->ncolumns; i++)
	{
		value = SPI_getbinval(tuple, desc, 5 + i, &row->nulls[i]);
		row->values[i] = row->nulls[i] ? (Datum) 0 :
			datumCopy(value, table->columns[i].typbyval, table->columns[i].typlen);
	}
	return row;
}

/*
 * Copy what the last statement returned, which was about "table".
 */
static List *
append_rows(List *rows, TaskapiTable *table)
{
	for (uint64 i = 0; i < SPI_processed; i++)
		rows = lappend(rows, taskapi_copy_row(table, SPI_tuptable->vals[i], SPI_tuptable->tupdesc));
	SPI_freetuptable(SPI_tuptable);
	return rows;
}

/*
 * The values that a foreign key has in a row; false where one is null, so that it is no reference.
 */
static bool
key_of_row(TaskapiRow *row, TaskapiForeignKey *fk, Datum *values)
{
	for (int i = 0; i < fk->nkeys; i++)
	{
		if (row->nulls[fk->columns[i]])
			return false;
		values[i] = row->values[fk->columns[i]];
	}
	return true;
}

static int
run_foreign_key(TaskapiRow *row, TaskapiForeignKey *fk, TaskapiForeignKeyPlan kind, Datum *values, long limit)
{
	CHECK_FOR_INTERRUPTS();
	taskapi_run_as_owner(fk->other_owner, taskapi_foreign_key_plan(row->table, fk, kind), values, NULL, limit);
	return (int) SPI_processed;
}

/*
 * Run a plan of the row's own table on it, with one more argument where the plan has one; was it there?
 */
static bool
run_table(TaskapiRow *row, TaskapiTablePlan kind, Datum argument)
{
	TaskapiTable *table = row->table;
	Datum		values[INDEX_MAX_KEYS + 1];

	CHECK_FOR_INTERRUPTS();
	for (int i = 0; i < table->nkeys; i++)
		values[i] = row->values[table->keys[i]];
	values[table->nkeys] = argument;
	taskapi_run_as_owner(table->owner, taskapi_table_plan(table, kind), values, NULL, 0);
	return SPI_processed > 0;
}

TaskapiRow *
taskapi_lock_row(TaskapiTable *table, const Datum *key, bool skip_locked)
{
	SPIPlanPtr	plan = taskapi_table_plan(table, skip_locked ? TABLE_PLAN_LOCK_FREE : TABLE_PLAN_LOCK);

	taskapi_run_as_owner(table->owner, plan, unconstify(Datum *, key), NULL, 0);
	if (SPI_processed == 0)
		return NULL;
	return taskapi_copy_row(table, SPI_tuptable->vals[0], SPI_tuptable->tupdesc);
}

void
taskapi_cascade_delete(TaskapiRow *root)
{
	Datum		deleted_at = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
	Datum		deletion_id = DirectFunctionCall1(taskapi_uuidv7, (Datum) 0);
	List	   *rows = list_make1(root);
	Datum		values[INDEX_MAX_KEYS + 2];
	TaskapiTable *table = root->table;

	for (int i = 0; i < table->nkeys; i++)
		values[i] = root->values[table->keys[i]];
	values[table->nkeys] = deleted_at;
	values[table->nkeys + 1] = deletion_id;
	taskapi_run_as_owner(table->owner, taskapi_table_plan(table, TABLE_PLAN_DELETE), values, NULL, 0);

	/* the list grows as we go */
	for (int at = 0; at < list_length(rows); at++)
	{
		TaskapiRow *row = list_nth(rows, at);
		ListCell   *lc;

		foreach(lc, row->table->incoming)
		{
			TaskapiForeignKey *fk = lfirst(lc);
			int			locked;

			if (!goes_along(fk) || !key_of_row(row, fk, values))
				continue;
			locked = run_foreign_key(row, fk, FK_PLAN_LOCK_LIVE, values, 0);
			if (locked == 0)
				continue;
			values[fk->nkeys] = deleted_at;
			values[fk->nkeys + 1] = deletion_id;
			if (run_foreign_key(row, fk, FK_PLAN_DELETE, values, 0) != locked)
				taskapi_problem(PROBLEM_HAS_DEPENDENTS, NIL, NULL,
								"Rows of %s refer to it by \"%s\", and a trigger keeps them from going along.",
								fk->other_relname, fk->name);
			rows = append_rows(rows, taskapi_table(fk->other));
		}
	}

	/* when all that goes is gone: who is left? */
	for (int at = 0; at < list_length(rows); at++)
		refuse_dependents(list_nth(rows, at));
}

static void
refuse_dependents(TaskapiRow *row)
{
	Datum		values[INDEX_MAX_KEYS];
	ListCell   *lc;

	foreach(lc, row->table->incoming)
	{
		TaskapiForeignKey *fk = lfirst(lc);

		if (!is_strict(fk) || goes_along(fk) ||
			!key_of_row(row, fk, values))
			continue;
		if (run_foreign_key(row, fk, FK_PLAN_HAS_LIVE, values, 1) > 0)
			taskapi_problem(PROBLEM_HAS_DEPENDENTS, NIL, NULL,
							"Live rows of %s refer to it by \"%s\".", fk->other_relname, fk->name);
	}
}

/*
 * The rows that a deletion took along with this one by that foreign key, locked.
 */
static List *
lock_taken_along(TaskapiRow *row, TaskapiForeignKey *fk, Datum deletion_id)
{
	Datum		values[INDEX_MAX_KEYS + 1];

	if (!goes_along(fk) || !key_of_row(row, fk, values))
		return NIL;
	values[fk->nkeys] = deletion_id;
	if (run_foreign_key(row, fk, FK_PLAN_LOCK_DELETION, values, 0) == 0)
		return NIL;
	return append_rows(NIL, taskapi_table(fk->other));
}

void
taskapi_cascade_restore(TaskapiRow *root)
{
	List	   *rows = list_make1(root);

	if (!run_table(root, TABLE_PLAN_RESTORE, (Datum) 0))
		refuse_restore(root->table);

	/* a row that was not deleted through a resource has no deletion_id, and took nothing along */
	for (int at = 0; at < list_length(rows) && !root->deletion_id_null; at++)
	{
		TaskapiRow *row = list_nth(rows, at);
		ListCell   *lc;

		foreach(lc, row->table->incoming)
		{
			TaskapiForeignKey *fk = lfirst(lc);
			List	   *children = lock_taken_along(row, fk, root->deletion_id);
			ListCell   *lc2;

			foreach(lc2, children)
			{
				TaskapiRow *child = lfirst(lc2);
				Datum		heir = other_deletion(child, row, fk, root->deletion_id);

				if (heir != (Datum) 0)
					hand_over(child, heir);
				else if (run_table(child, TABLE_PLAN_RESTORE, (Datum) 0))
					rows = lappend(rows, child);
				else
					refuse_restore(child->table);
			}
		}
	}

	for (int at = 0; at < list_length(rows); at++)
		refuse_deleted_parents(list_nth(rows, at));
}

static void
refuse_restore(TaskapiTable *table)
{
	taskapi_problem(PROBLEM_FORBIDDEN, NIL, NULL,
					"A trigger keeps rows of %s from being restored.", get_rel_name(table->entry.relid));
}

/*
 * The deletion of another parent of the row than the one that it is being restored with; (Datum) 0 where there is none.
 */
static Datum
other_deletion(TaskapiRow *row, TaskapiRow *parent, TaskapiForeignKey *via, Datum deletion_id)
{
	Datum		values[INDEX_MAX_KEYS];
	ListCell   *lc;

	foreach(lc, row->table->outgoing)
	{
		TaskapiForeignKey *fk = lfirst(lc);
		bool		isnull;
		Datum		other;

		if (!goes_along(fk) || !key_of_row(row, fk, values) ||
			(fk->other == parent->table->entry.relid && strcmp(fk->name, via->name) == 0))
			continue;
		if (run_foreign_key(row, fk, FK_PLAN_PARENT, values, 1) == 0 ||
			DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull)))
			continue;
		other = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull);
		if (!isnull && memcmp(DatumGetPointer(other), DatumGetPointer(deletion_id), UUID_LEN) != 0)
			return datumCopy(other, false, UUID_LEN);
	}
	return (Datum) 0;
}

/*
 * A deleted row, with all that went along below it, becomes part of another deletion.
 */
static void
hand_over(TaskapiRow *top, Datum deletion_id)
{
	List	   *rows = list_make1(top);

	run_table(top, TABLE_PLAN_HAND_OVER, deletion_id);
	for (int at = 0; at < list_length(rows); at++)
	{
		TaskapiRow *row = list_nth(rows, at);
		ListCell   *lc;

		foreach(lc, row->table->incoming)
		{
			List	   *children = lock_taken_along(row, lfirst(lc), top->deletion_id);
			ListCell   *lc2;

			foreach(lc2, children)
				run_table(lfirst(lc2), TABLE_PLAN_HAND_OVER, deletion_id);
			rows = list_concat(rows, children);
		}
	}
}

static void
refuse_deleted_parents(TaskapiRow *row)
{
	Datum		values[INDEX_MAX_KEYS];
	ListCell   *lc;

	foreach(lc, row->table->outgoing)
	{
		TaskapiForeignKey *fk = lfirst(lc);
		bool		isnull;

		if (!is_strict(fk) || !key_of_row(row, fk, values))
			continue;
		if (run_foreign_key(row, fk, FK_PLAN_PARENT, values, 1) > 0 &&
			!DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull)))
			taskapi_problem(PROBLEM_PARENT_DELETED, NIL, "Restore that one first.",
							"A row of %s that it belongs to by \"%s\" is deleted.", fk->other_relname, fk->name);
	}
}

const char *
taskapi_cascade_purge_obstacle(TaskapiRow *root)
{
	List	   *rows = list_make1(root);
	HASHCTL		ctl = {0};
	HTAB	   *visited;
	const char *obstacle = NULL;
	RowPlace	place;
	bool		found;

	ctl.keysize = sizeof(RowPlace);
	ctl.entrysize = sizeof(RowPlace);
	ctl.hcxt = CurrentMemoryContext;
	visited = hash_create("taskapi purge", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	memset(&place, 0, sizeof(place));
	place.tableoid = root->tableoid;
	place.tid = root->tid;
	hash_search(visited, &place, HASH_ENTER, &found);

	for (int at = 0; at < list_length(rows) && obstacle == NULL; at++)
	{
		TaskapiRow *row = list_nth(rows, at);
		Datum		values[INDEX_MAX_KEYS];
		ListCell   *lc;

		foreach(lc, row->table->incoming)
		{
			TaskapiForeignKey *fk = lfirst(lc);
			List	   *children;
			ListCell   *lc2;

			if (!is_strict(fk) || !key_of_row(row, fk, values))
				continue;
			if (run_foreign_key(row, fk, FK_PLAN_HAS_LIVE, values, 1) > 0)
			{
				obstacle = psprintf("Live rows of %s refer to it by \"%s\".", fk->other_relname, fk->name);
				break;
			}
			if (!fk->other_soft)
				continue;
			run_foreign_key(row, fk, FK_PLAN_LOCK_ALL, values, 0);
			children = append_rows(NIL, taskapi_table(fk->other));
			foreach(lc2, children)
			{
				TaskapiRow *child = lfirst(lc2);
				bool		same = !child->deletion_id_null && !root->deletion_id_null &&
					memcmp(DatumGetPointer(child->deletion_id), DatumGetPointer(root->deletion_id), UUID_LEN) == 0;

				if (child->live || (fk->on_delete != FKCONSTR_ACTION_CASCADE && !same))
				{
					obstacle = psprintf("%s rows of %s refer to it by \"%s\".", child->live ? "Live" : "Deleted",
										fk->other_relname, fk->name);
					break;
				}
				place.tableoid = child->tableoid;
				place.tid = child->tid;
				hash_search(visited, &place, HASH_ENTER, &found);
				if (!found)
					rows = lappend(rows, child);
			}
			if (obstacle != NULL)
				break;
		}
	}
	hash_destroy(visited);
	return obstacle;
}

bool
taskapi_purge_row(TaskapiRow *row)
{
	return run_table(row, TABLE_PLAN_PURGE, (Datum) 0);
}
