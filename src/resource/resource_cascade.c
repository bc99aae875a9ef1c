/*-------------------------------------------------------------------------
 *
 * resource_cascade.c
 *	  Soft deletion and restore along the foreign keys (resource_cascade.h).
 *
 * The invariant: no live row refers to a deleted one through a foreign key ON
 * DELETE CASCADE, RESTRICT or NO ACTION.  (SET NULL and SET DEFAULT have their
 * effect when the row is purged; until then the reference stays, so that a
 * restore brings everything back.)  What keeps it, also under concurrency:
 *
 * - A row is locked FOR UPDATE before anybody looks for rows that refer to it.
 *	 Whoever writes such a reference holds FOR KEY SHARE on the row until its
 *	 transaction ends, and then looks whether the row is live
 *	 (resource_source.c).  The two locks conflict: one of both comes first, and
 *	 the other sees it.
 * - Rows are looked for with the newest state in view, in every isolation level.
 * - A row goes along before its children do, so cycles end, and triggers of the
 *	 children see that their parent is gone.
 *
 * All rows of one deletion, the root and what went along, have one deletion_id
 * and one deleted_at.  Restoring takes the same way with the same deletion_id.  A
 * row whose other parent, ON DELETE CASCADE too, was deleted since would have gone
 * along with that one: it is handed over to that deletion, with all below it, and
 * comes back when that parent does.  In the end every restored row is asked
 * whether what it refers to is live.  So restoring a row that itself went along
 * with another one is refused, unless the same statement restores that one too.
 *
 * Everything is done row by row, as referential integrity does it, with the
 * rights of each table's owner.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "nodes/parsenodes.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "http/problem.h"
#include "resource/resource_cascade.h"
#include "resource/resource_source.h"

extern Datum taskapi_uuidv7(PG_FUNCTION_ARGS);

static TaskapiForeignKey *find_dependents(const TaskapiRow *row);
static TaskapiForeignKey *find_deleted_parent(const TaskapiRow *row);
static List *ask_again(TaskapiResourceStatement *statement, List *rows, const TaskapiRow *row);
static bool restore_row(const TaskapiRow *row);
pg_noreturn static void refuse_restore(const TaskapiTable *table);
static bool other_deletion(const TaskapiRow *row, const TaskapiRow *parent, const TaskapiForeignKey *via,
						   TaskapiDeletion *heir);
static void hand_over(const TaskapiRow *top, const TaskapiDeletion *heir);
static TaskapiRows *lock_taken_along(const TaskapiRow *row, TaskapiForeignKey *fk, const TaskapiDeletion *deletion);

bool
taskapi_cascade_is_strict(const TaskapiForeignKey *fk)
{
	return fk->on_delete != FKCONSTR_ACTION_SETNULL && fk->on_delete != FKCONSTR_ACTION_SETDEFAULT;
}

bool
taskapi_cascade_goes_along(const TaskapiForeignKey *fk)
{
	return fk->on_delete == FKCONSTR_ACTION_CASCADE && fk->other_soft;
}

void
taskapi_cascade_delete(TaskapiResourceStatement *statement, TaskapiRow *root)
{
	TaskapiRows *rows;
	TaskapiRow *row;
	TaskapiDeletion deletion;
	Datum		values[INDEX_MAX_KEYS];
	ListCell   *lc;

	deletion.at = GetCurrentTransactionStartTimestamp();
	deletion.id = *DatumGetUUIDP(DirectFunctionCall1(taskapi_uuidv7, (Datum) 0));
	if (!taskapi_resource_run_row(root, TASKAPI_TABLE_PLAN_DELETE, &deletion))
		taskapi_problem(PROBLEM_FORBIDDEN, NIL, NULL,
						"A trigger keeps rows of %s from being deleted.", get_rel_name(root->table->entry.relid));
	if (root->table->incoming == NIL)
		return;					/* nothing can refer to it */
	rows = taskapi_rows_create();
	taskapi_rows_add(rows, root);

	/* the queue grows as we go */
	while ((row = taskapi_rows_next(rows)) != NULL)
	{
		foreach(lc, row->table->incoming)
		{
			TaskapiForeignKey *fk = lfirst(lc);
			int64		locked;

			if (!taskapi_cascade_goes_along(fk) || !taskapi_resource_reference_of(row, fk, values))
				continue;
			locked = taskapi_resource_lock_live(row, fk, values);
			if (locked > 0 &&
				taskapi_resource_key_rows(rows, row, fk, TASKAPI_FK_PLAN_DELETE, values, &deletion) != locked)
				taskapi_problem(PROBLEM_HAS_DEPENDENTS, NIL, NULL,
								"Rows of %s refer to it by \"%s\", and a trigger keeps them from being deleted with it.",
								fk->other_relname, fk->name);
		}
	}

	/* when all that goes is gone: who is left? */
	taskapi_rows_rewind(rows);
	while ((row = taskapi_rows_next(rows)) != NULL)
	{
		if (find_dependents(row) != NULL)
			statement->deleted = ask_again(statement, statement->deleted, row);
	}
	taskapi_rows_free(rows);
}

void
taskapi_cascade_end_statement(TaskapiResourceStatement *statement)
{
	ListCell   *lc;

	foreach(lc, statement->deleted)
	{
		TaskapiForeignKey *fk = find_dependents(lfirst(lc));

		if (fk != NULL)
			taskapi_problem(PROBLEM_HAS_DEPENDENTS, NIL, NULL,
							"Live rows of %s refer to it by \"%s\".", fk->other_relname, fk->name);
	}
	foreach(lc, statement->restored)
	{
		TaskapiForeignKey *fk = find_deleted_parent(lfirst(lc));

		if (fk != NULL)
			taskapi_problem(PROBLEM_PARENT_DELETED, NIL, "Restore that one first.",
							"A row of %s that it belongs to by \"%s\" is deleted.", fk->other_relname, fk->name);
	}
	statement->deleted = statement->restored = NIL;
}

/*
 * Other rows of the statement may set right what is wrong with this one; so it is looked at again at the end.
 */
static List *
ask_again(TaskapiResourceStatement *statement, List *rows, const TaskapiRow *row)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(statement->context);

	rows = lappend(rows, taskapi_row_copy(row));
	MemoryContextSwitchTo(oldcontext);
	return rows;
}

/*
 * A key by which live rows refer to a deleted one.
 */
static TaskapiForeignKey *
find_dependents(const TaskapiRow *row)
{
	Datum		values[INDEX_MAX_KEYS];
	ListCell   *lc;

	foreach(lc, row->table->incoming)
	{
		TaskapiForeignKey *fk = lfirst(lc);

		if (taskapi_cascade_is_strict(fk) && taskapi_resource_reference_of(row, fk, values) &&
			taskapi_resource_run_key(row, fk, TASKAPI_FK_PLAN_HAS_LIVE, values) > 0)
			return fk;
	}
	return NULL;
}

/*
 * The rows that a deletion took along with this one by that foreign key, locked; NULL if the key takes none along.
 */
static TaskapiRows *
lock_taken_along(const TaskapiRow *row, TaskapiForeignKey *fk, const TaskapiDeletion *deletion)
{
	TaskapiRows *children;
	Datum		values[INDEX_MAX_KEYS];

	if (!taskapi_cascade_goes_along(fk) || !taskapi_resource_reference_of(row, fk, values))
		return NULL;
	children = taskapi_rows_create();
	taskapi_resource_key_rows(children, row, fk, TASKAPI_FK_PLAN_LOCK_DELETION, values, deletion);
	return children;
}

void
taskapi_cascade_restore(TaskapiResourceStatement *statement, TaskapiRow *root)
{
	TaskapiRows *rows = taskapi_rows_create();
	TaskapiRow *row;
	ListCell   *lc;

	if (!restore_row(root))
		refuse_restore(root->table);
	taskapi_rows_add(rows, root);

	/* a row that was not deleted through a resource has no deletion_id, and took nothing along */
	while (root->in_deletion && (row = taskapi_rows_next(rows)) != NULL)
	{
		foreach(lc, row->table->incoming)
		{
			TaskapiForeignKey *fk = lfirst(lc);
			TaskapiRows *children = lock_taken_along(row, fk, &root->deletion);
			TaskapiRow *child;

			if (children == NULL)
				continue;
			while ((child = taskapi_rows_next(children)) != NULL)
			{
				TaskapiDeletion heir;

				if (other_deletion(child, row, fk, &heir))
					hand_over(child, &heir);
				else if (restore_row(child))
					taskapi_rows_add(rows, child);
				else
					refuse_restore(child->table);
			}
			taskapi_rows_free(children);
		}
	}

	taskapi_rows_rewind(rows);
	while ((row = taskapi_rows_next(rows)) != NULL)
	{
		if (find_deleted_parent(row) != NULL)
			statement->restored = ask_again(statement, statement->restored, row);
	}
	taskapi_rows_free(rows);
}

static bool
restore_row(const TaskapiRow *row)
{
	const TaskapiRow *outer = taskapi_restoring;
	bool		restored;

	PG_TRY();
	{
		taskapi_restoring = row;
		restored = taskapi_resource_run_row(row, TASKAPI_TABLE_PLAN_RESTORE, NULL);
	}
	PG_FINALLY();
	{
		taskapi_restoring = outer;
	}
	PG_END_TRY();
	return restored;
}

static void
refuse_restore(const TaskapiTable *table)
{
	taskapi_problem(PROBLEM_FORBIDDEN, NIL, NULL,
					"A trigger keeps rows of %s from being restored.", get_rel_name(table->entry.relid));
}

/*
 * The deletion of another parent of the row than the one that it is being restored with, if there is one.
 */
static bool
other_deletion(const TaskapiRow *row, const TaskapiRow *parent, const TaskapiForeignKey *via, TaskapiDeletion *heir)
{
	Datum		values[INDEX_MAX_KEYS];
	ListCell   *lc;

	foreach(lc, row->table->outgoing)
	{
		TaskapiForeignKey *fk = lfirst(lc);
		TaskapiParent other;

		if (!taskapi_cascade_goes_along(fk) || !taskapi_resource_reference_of(row, fk, values) ||
			(fk->other == parent->table->entry.relid && strcmp(fk->name, via->name) == 0))
			continue;
		if (!taskapi_resource_parent(row->table, fk, values, &other) || other.live || !other.in_deletion ||
			memcmp(&other.deletion.id, &row->deletion.id, UUID_LEN) == 0)
			continue;
		*heir = other.deletion;
		return true;
	}
	return false;
}

/*
 * A deleted row, with all that went along below it, becomes part of another deletion, and has its date: it is kept as
 * long as that one is.
 */
static void
hand_over(const TaskapiRow *top, const TaskapiDeletion *heir)
{
	TaskapiRows *rows = taskapi_rows_create();
	TaskapiRow *row;
	ListCell   *lc;

	if (!taskapi_resource_run_row(top, TASKAPI_TABLE_PLAN_HAND_OVER, heir))
		refuse_restore(top->table);
	taskapi_rows_add(rows, top);
	while ((row = taskapi_rows_next(rows)) != NULL)
	{
		foreach(lc, row->table->incoming)
		{
			TaskapiRows *children = lock_taken_along(row, lfirst(lc), &top->deletion);
			TaskapiRow *child;

			if (children == NULL)
				continue;
			while ((child = taskapi_rows_next(children)) != NULL)
			{
				if (!taskapi_resource_run_row(child, TASKAPI_TABLE_PLAN_HAND_OVER, heir))
					refuse_restore(child->table);
				taskapi_rows_add(rows, child);
			}
			taskapi_rows_free(children);
		}
	}
	taskapi_rows_free(rows);
}

/*
 * A key by which a row refers to a deleted one.
 */
static TaskapiForeignKey *
find_deleted_parent(const TaskapiRow *row)
{
	Datum		values[INDEX_MAX_KEYS];
	ListCell   *lc;

	foreach(lc, row->table->outgoing)
	{
		TaskapiForeignKey *fk = lfirst(lc);
		TaskapiParent parent;

		if (taskapi_cascade_is_strict(fk) && taskapi_resource_reference_of(row, fk, values) &&
			taskapi_resource_parent(row->table, fk, values, &parent) && !parent.live)
			return fk;
	}
	return NULL;
}
