/*-------------------------------------------------------------------------
 *
 * resource_purge.c
 *	  Removing a deleted row for good, with all that goes with it
 *	  (resource_purge.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/parsenodes.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"

#include "base/compat.h"
#include "base/table_cache.h"
#include "http/problem.h"
#include "resource/resource_cascade.h"
#include "resource/resource_purge.h"
#include "resource/resource_stranger.h"

/* A row's place, which does not change while it is locked. */
typedef struct RowPlace
{
	Oid			tableoid;
	ItemPointerData tid;
} RowPlace;

typedef struct VisitedRow
{
	RowPlace	place;
	bool		present;		/* is among the rows; false: has to be in the end */
	bool		below;			/* goes when another row does */
} VisitedRow;

static VisitedRow *look_up(const TaskapiDoomed *doomed, const TaskapiRow *row);
static void visit(TaskapiDoomed *doomed, const TaskapiRow *row, bool required, bool below);
static void collect_above(TaskapiDoomed *doomed, const TaskapiRow *row, bool required);
static void collect_below(TaskapiDoomed *doomed, const TaskapiRow *row);
static void collect_children(TaskapiDoomed *doomed, const TaskapiRow *row, TaskapiForeignKey *fk, const Datum *values);
static bool same_deletion(const TaskapiRow *a, const TaskapiRow *b);
static void require_gone(const TaskapiDoomed *doomed);
static const char *try_purge(const TaskapiRow *row, bool *removed);
static TaskapiForeignKey *find_reference(const TaskapiRow *row);
static bool purge_alone(TaskapiResourceStatement *statement, const TaskapiRow *row);
static void require_no_reference(const TaskapiRow *row);
static TaskapiRow *lock_again(const TaskapiRow *row);

static bool
same_deletion(const TaskapiRow *a, const TaskapiRow *b)
{
	return a->in_deletion && b->in_deletion && memcmp(&a->deletion.id, &b->deletion.id, UUID_LEN) == 0;
}

static VisitedRow *
look_up(const TaskapiDoomed *doomed, const TaskapiRow *row)
{
	RowPlace	place;
	VisitedRow *visited;
	bool		found;

	memset(&place, 0, sizeof(place));
	place.tableoid = row->tableoid;
	place.tid = row->tid;
	visited = hash_search(doomed->visited, &place, HASH_ENTER, &found);
	if (!found)
		visited->present = visited->below = false;
	return visited;
}

/*
 * Add a row unless it is there.  One that is only required may turn up later on another way.
 */
static void
visit(TaskapiDoomed *doomed, const TaskapiRow *row, bool required, bool below)
{
	VisitedRow *visited = look_up(doomed, row);

	visited->below |= below;
	if (visited->present || required)
		return;
	visited->present = true;
	taskapi_rows_add(doomed->rows, row);
}

bool
taskapi_purge_is_below(const TaskapiDoomed *doomed, const TaskapiRow *row)
{
	return look_up(doomed, row)->below;
}

void
taskapi_purge_collect(TaskapiDoomed *doomed, const TaskapiRow *first)
{
	HASHCTL		ctl = {0};
	HASH_SEQ_STATUS seq;
	VisitedRow *visited;
	TaskapiRow *row;

	ctl.keysize = sizeof(RowPlace);
	ctl.entrysize = sizeof(VisitedRow);
	ctl.hcxt = CurrentMemoryContext;
	doomed->visited = hash_create("taskapi purge", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	doomed->rows = taskapi_rows_create();
	visit(doomed, first, false, false);

	/* the queue grows as we go */
	while (doomed->obstacle == NULL && (row = taskapi_rows_next(doomed->rows)) != NULL)
	{
		bool		is_first = row->tableoid == first->tableoid && ItemPointerEquals(&row->tid, (ItemPointer) &first->tid);

		/* below a row that a client names, another deletion must have all its rows */
		if (doomed->whole || !(is_first || same_deletion(row, first)))
			collect_above(doomed, row, !doomed->whole);
		collect_below(doomed, row);
	}
	if (doomed->obstacle != NULL)
		return;

	/* the row that a client names is the one to delete, in a cycle too */
	if (!doomed->whole)
		look_up(doomed, first)->below = false;
	hash_seq_init(&seq, doomed->visited);
	while ((visited = hash_seq_search(&seq)) != NULL)
	{
		if (!visited->present)
			doomed->obstacle = "Rows of another deletion, which has more rows than these, refer to it.";
	}
}

/*
 * The rows that it went along with.
 */
static void
collect_above(TaskapiDoomed *doomed, const TaskapiRow *row, bool required)
{
	Datum		values[INDEX_MAX_KEYS];
	ListCell   *lc;

	if (!row->in_deletion)
		return;
	foreach(lc, row->table->outgoing)
	{
		TaskapiForeignKey *fk = lfirst(lc);
		TaskapiRows *parents;
		TaskapiRow *parent;

		if (!taskapi_cascade_goes_along(fk) || !taskapi_resource_reference_of(row, fk, values))
			continue;
		parents = taskapi_rows_create();
		taskapi_resource_key_rows(parents, row, fk, TASKAPI_FK_PLAN_LOCK_DELETION, values, &row->deletion);
		while ((parent = taskapi_rows_next(parents)) != NULL)
		{
			look_up(doomed, row)->below = true;
			visit(doomed, parent, required, false);
		}
		taskapi_rows_free(parents);
	}
}

/*
 * The rows that refer to it.
 */
static void
collect_below(TaskapiDoomed *doomed, const TaskapiRow *row)
{
	Datum		values[INDEX_MAX_KEYS];
	ListCell   *lc;

	foreach(lc, row->table->incoming)
	{
		TaskapiForeignKey *fk = lfirst(lc);

		if (!taskapi_cascade_is_strict(fk) || !taskapi_resource_reference_of(row, fk, values))
			continue;
		if (fk->other_soft)
			collect_children(doomed, row, fk, values);
		else if (taskapi_resource_run_key(row, fk, TASKAPI_FK_PLAN_HAS_LIVE, values) > 0)
			doomed->obstacle = psprintf("Live rows of %s refer to it by \"%s\".", fk->other_relname, fk->name);
		if (doomed->obstacle != NULL)
			return;
	}
}

static void
collect_children(TaskapiDoomed *doomed, const TaskapiRow *row, TaskapiForeignKey *fk, const Datum *values)
{
	bool		cascades = fk->on_delete == FKCONSTR_ACTION_CASCADE;
	TaskapiRows *children = taskapi_rows_create();
	TaskapiRow *child;

	taskapi_resource_key_rows(children, row, fk, TASKAPI_FK_PLAN_LOCK_ALL, values, NULL);
	while (doomed->obstacle == NULL && (child = taskapi_rows_next(children)) != NULL)
	{
		if (child->live || (!cascades && !same_deletion(child, row)))
		{
			doomed->waits = !child->live;
			doomed->obstacle = psprintf("%s rows of %s refer to it by \"%s\".", child->live ? "Live" : "Deleted",
										fk->other_relname, fk->name);
		}
		else
			visit(doomed, child, false, cascades);
	}
	taskapi_rows_free(children);
}

/*
 * Delete those that nothing else takes along.
 */
bool
taskapi_purge_remove(const TaskapiDoomed *doomed)
{
	TaskapiRow *row;
	bool		found = false;
	Oid			checked = InvalidOid;

	taskapi_rows_rewind(doomed->rows);
	while ((row = taskapi_rows_next(doomed->rows)) != NULL)
	{
		if (taskapi_purge_is_below(doomed, row))
			continue;
		found = true;
		if (row->table->entry.relid != checked)
		{
			taskapi_resource_refuse_strangers(row->table);
			checked = row->table->entry.relid;
		}
		if (!taskapi_resource_run_row(row, TASKAPI_TABLE_PLAN_PURGE, NULL) &&
			taskapi_resource_run_row(row, TASKAPI_TABLE_PLAN_EXISTS, NULL))
			return false;
	}
	if (!found)
	{
		/* a cycle has no beginning: any of its rows takes the others along */
		taskapi_rows_rewind(doomed->rows);
		row = taskapi_rows_next(doomed->rows);
		taskapi_resource_refuse_strangers(row->table);
		if (!taskapi_resource_run_row(row, TASKAPI_TABLE_PLAN_PURGE, NULL))
			return false;
	}
	require_gone(doomed);
	return true;
}

/*
 * Referential integrity does not look whether a trigger has kept a row that it deleted.
 */
static void
require_gone(const TaskapiDoomed *doomed)
{
	TaskapiRow *row;

	taskapi_rows_rewind(doomed->rows);
	while ((row = taskapi_rows_next(doomed->rows)) != NULL)
		require_no_reference(row);
}

static void
require_no_reference(const TaskapiRow *row)
{
	TaskapiForeignKey *fk = find_reference(row);

	if (fk != NULL)
		taskapi_problem(PROBLEM_FORBIDDEN, NIL, NULL,
						"A trigger keeps rows of %s from being purged.", fk->other_relname);
}

/*
 * A key by which rows refer to it, live or deleted.
 */
static TaskapiForeignKey *
find_reference(const TaskapiRow *row)
{
	Datum		values[INDEX_MAX_KEYS];
	ListCell   *lc;

	foreach(lc, row->table->incoming)
	{
		TaskapiForeignKey *fk = lfirst(lc);

		if (taskapi_cascade_is_strict(fk) && taskapi_resource_reference_of(row, fk, values) &&
			taskapi_resource_run_key(row, fk, TASKAPI_FK_PLAN_HAS_ANY, values) > 0)
			return fk;
	}
	return NULL;
}

/*
 * Purge a row that nothing refers to, which therefore is all that goes; false if a trigger keeps it.  Nothing has been run
 * since it was locked that could have moved it.  Whose code that runs is asked once in a statement, unless any table has
 * changed since: its locks last as long as the statement does.
 */
static bool
purge_alone(TaskapiResourceStatement *statement, const TaskapiRow *row)
{
	if (statement->strangers != taskapi_relation_generation())
	{
		taskapi_resource_refuse_strangers(row->table);
		statement->strangers = taskapi_relation_generation();
	}
	if (!taskapi_resource_run_row(row, TASKAPI_TABLE_PLAN_PURGE_AT, NULL) &&
		taskapi_resource_run_row(row, TASKAPI_TABLE_PLAN_EXISTS, NULL))
		return false;
	require_no_reference(row);
	return true;
}

/*
 * What is in the way, or NULL if nothing is; then "removed" tells.
 */
static const char *
try_purge(const TaskapiRow *row, bool *removed)
{
	TaskapiDoomed doomed = {0};

	taskapi_purge_collect(&doomed, row);
	if (doomed.obstacle == NULL)
		*removed = taskapi_purge_remove(&doomed);
	taskapi_rows_free(doomed.rows);
	hash_destroy(doomed.visited);
	return doomed.obstacle;
}

bool
taskapi_purge_row(TaskapiResourceStatement *statement, const TaskapiRow *row)
{
	bool		removed = true;

	if (find_reference(row) == NULL)
		return purge_alone(statement, row);
	if (try_purge(row, &removed) != NULL)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(statement->context);

		statement->waiting = lappend(statement->waiting, taskapi_row_copy(row));
		MemoryContextSwitchTo(oldcontext);
	}
	return removed;
}

/*
 * Rows wait for others that come after them.  So they are tried backwards, and the other way round again, as long as
 * that removes any.
 */
void
taskapi_purge_end_statement(TaskapiResourceStatement *statement)
{
	List	   *waiting = statement->waiting;
	const char *obstacle = NULL;
	int			before;

	statement->waiting = NIL;
	do
	{
		List	   *left = NIL;

		before = list_length(waiting);
		for (int i = before - 1; i >= 0; i--)
		{
			const TaskapiRow *row = list_nth(waiting, i);
			TaskapiRow *current = lock_again(row);
			bool		removed = true;

			obstacle = current == NULL ? NULL : try_purge(current, &removed);
			if (obstacle != NULL)
				left = lappend(left, unconstify(TaskapiRow *, row));
			else if (!removed)
				taskapi_problem(PROBLEM_FORBIDDEN, NIL, NULL,
								"A trigger keeps rows of %s from being purged.", get_rel_name(row->table->entry.relid));
		}
		waiting = left;
	} while (waiting != NIL && list_length(waiting) < before);
	if (waiting != NIL)
		taskapi_problem(PROBLEM_HAS_DEPENDENTS, NIL, NULL, "%s", obstacle);
}

/*
 * The row as it is now; NULL if it is gone.
 */
static TaskapiRow *
lock_again(const TaskapiRow *row)
{
	Datum		key[INDEX_MAX_KEYS];

	for (int i = 0; i < row->table->nkeys; i++)
		key[i] = row->values[row->table->keys[i]];
	return taskapi_resource_lock_row(row->table, key, false);
}
