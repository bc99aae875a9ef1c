/*-------------------------------------------------------------------------
 *
 * resource_purge.c
 *	  Removing a deleted row for good, with all that goes with it
 *	  (resource_purge.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"

#include "base/compat.h"
#include "base/table_cache.h"
#include "http/problem.h"
#include "resource/resource_cascade.h"
#include "resource/resource_plan.h"
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
	bool		first;			/* was there from the start */

	/* only with allies: */
	struct VisitedRow *from;	/* the row that needs this one to go */
	pg_uuid_t	deletion;
} VisitedRow;

/* A removal that is under way. */
typedef struct Removal
{
	TaskapiStrangers strangers;
	const VisitedRow *at;		/* the row that is being removed, of those that are tied */
} Removal;

static VisitedRow *look_up(const TaskapiDoomed *doomed, const TaskapiRow *row);
static void begin(TaskapiDoomed *doomed);
static void free_doomed(TaskapiDoomed *doomed);
static void visit(TaskapiDoomed *doomed, const TaskapiRow *row, bool required, bool below);
static void visit_from(TaskapiDoomed *doomed, const TaskapiRow *from, const TaskapiRow *row, bool required, bool below);
static void visit_first(TaskapiDoomed *doomed, const TaskapiRow *row);
static void collect(TaskapiDoomed *doomed, const TaskapiRow *first);
static bool stays(TaskapiDoomed *doomed, const TaskapiRow *row);
static void keep_path(const TaskapiDoomed *doomed, const VisitedRow *visited);
static void collect_above(TaskapiDoomed *doomed, const TaskapiRow *row, bool required);
static void collect_below(TaskapiDoomed *doomed, const TaskapiRow *row);
static void collect_children(TaskapiDoomed *doomed, const TaskapiRow *row, TaskapiForeignKey *fk, const Datum *values);
static bool same_deletion(const TaskapiRow *a, const TaskapiRow *b);
static bool same_row(const TaskapiRow *a, const TaskapiRow *b);
static bool remove_tied(const TaskapiDoomed *doomed, Removal *removal);
static bool remove_part(const TaskapiDoomed *doomed, TaskapiStrangers *strangers, const TaskapiRow *row);
static bool remove_tops(const TaskapiDoomed *doomed, TaskapiStrangers *strangers);
static void require_gone(const TaskapiDoomed *doomed);
static const char *try_purge(const TaskapiRow *row, bool *removed);
static bool try_purge_together(const List *waiting);
static TaskapiForeignKey *find_reference(const TaskapiRow *row);
static bool purge_alone(TaskapiResourceStatement *statement, const TaskapiRow *row);
static void require_no_reference(const TaskapiRow *row);
static TaskapiRow *lock_again(const TaskapiRow *row);

static bool
same_deletion(const TaskapiRow *a, const TaskapiRow *b)
{
	return a->in_deletion && b->in_deletion && memcmp(&a->deletion.id, &b->deletion.id, UUID_LEN) == 0;
}

static bool
same_row(const TaskapiRow *a, const TaskapiRow *b)
{
	return a->tableoid == b->tableoid && ItemPointerEquals((ItemPointer) &a->tid, (ItemPointer) &b->tid);
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
	{
		visited->present = visited->below = visited->first = false;
		if (doomed->allies != NULL)
		{
			visited->from = NULL;
			visited->deletion = taskapi_row_deletion(row);
		}
	}
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

/*
 * A row that has to go because another one does.
 */
static void
visit_from(TaskapiDoomed *doomed, const TaskapiRow *from, const TaskapiRow *row, bool required, bool below)
{
	if (doomed->allies != NULL)
	{
		VisitedRow *needs = look_up(doomed, from);
		VisitedRow *visited = look_up(doomed, row);

		if (!visited->present && !visited->first)
			visited->from = needs;
	}
	visit(doomed, row, required, below);
}

static void
visit_first(TaskapiDoomed *doomed, const TaskapiRow *row)
{
	look_up(doomed, row)->first = true;
	visit(doomed, row, false, false);
}

bool
taskapi_purge_is_below(const TaskapiDoomed *doomed, const TaskapiRow *row)
{
	return look_up(doomed, row)->below;
}

static void
begin(TaskapiDoomed *doomed)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(RowPlace);
	ctl.entrysize = doomed->allies != NULL ? sizeof(VisitedRow) : offsetof(VisitedRow, from);
	ctl.hcxt = CurrentMemoryContext;
	doomed->visited = hash_create("taskapi purge", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	doomed->rows = taskapi_rows_create();
}

static void
free_doomed(TaskapiDoomed *doomed)
{
	taskapi_rows_free(doomed->rows);
	hash_destroy(doomed->visited);
}

void
taskapi_purge_collect(TaskapiDoomed *doomed, const TaskapiRow *first)
{
	begin(doomed);
	visit_first(doomed, first);
	collect(doomed, first);
}

/*
 * From the first rows on; "first" is the only one, or NULL.
 */
static void
collect(TaskapiDoomed *doomed, const TaskapiRow *first)
{
	HASH_SEQ_STATUS seq;
	VisitedRow *visited;
	TaskapiRow *row;

	/* the queue grows as we go */
	while (doomed->obstacle == NULL && (row = taskapi_rows_next(doomed->rows)) != NULL)
	{
		/* below a row that a client names, another deletion must have all its rows */
		if (stays(doomed, row))
			doomed->obstacle = "What has to go with it is not old enough, or has to stay.";
		else
		{
			if (doomed->whole || !(look_up(doomed, row)->first || (first != NULL && same_deletion(row, first))))
				collect_above(doomed, row, !doomed->whole);
			collect_below(doomed, row);
		}
		if (doomed->obstacle != NULL)
			keep_path(doomed, look_up(doomed, row));
	}
	if (doomed->obstacle != NULL)
		return;

	hash_seq_init(&seq, doomed->visited);
	while ((visited = hash_seq_search(&seq)) != NULL)
	{
		/* the row that a client names is the one to delete, in a cycle too */
		if (visited->first && !doomed->whole)
			visited->below = false;
		if (!visited->present)
			doomed->obstacle = "Rows of another deletion, which has more rows than these, refer to it.";
	}
}

static bool
stays(TaskapiDoomed *doomed, const TaskapiRow *row)
{
	return doomed->allies != NULL && doomed->allies->stays(doomed->allies->arg, row);
}

/*
 * What needs a row to go that stays, stays.
 */
static void
keep_path(const TaskapiDoomed *doomed, const VisitedRow *visited)
{
	for (; doomed->allies != NULL && visited != NULL; visited = visited->from)
		doomed->allies->keep(doomed->allies->arg, &visited->deletion);
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
			visit_from(doomed, row, parent, required, false);
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
		bool		other = !cascades && !same_deletion(child, row);

		if (same_row(child, row))
			continue;
		if (child->live || (other && !doomed->named && doomed->allies == NULL))
		{
			doomed->waits = !child->live;
			doomed->obstacle = psprintf("%s rows of %s refer to it by \"%s\".", child->live ? "Live" : "Deleted",
										fk->other_relname, fk->name);
			continue;
		}
		doomed->tied |= !cascades;
		visit_from(doomed, row, child, other && doomed->named, cascades);
	}
	taskapi_rows_free(children);
}

/*
 * Delete all of them, in any order, as one statement: what one row still refers to when it ends is looked at only then.  The
 * triggers of tables of several owners run with the rights of the first row's.  Of tables without a key to name their rows by
 * those go that others take along.
 */
static bool
remove_tied(const TaskapiDoomed *doomed, Removal *removal)
{
	TaskapiStrangers *strangers = &removal->strangers;
	bool		removed = true;
	TaskapiRow *row;

	taskapi_rows_rewind(doomed->rows);
	taskapi_resource_parts_begin();
	for (; removed && (row = taskapi_rows_next(doomed->rows)) != NULL; removed = remove_part(doomed, strangers, row))
		removal->at = look_up(doomed, row);
	taskapi_strangers_refuse(strangers, NULL);
	taskapi_resource_parts_end(OidIsValid(strangers->fired_by) ? strangers->fired_by : GetUserId());
	return removed;
}

/*
 * False if it is the first row, and a trigger keeps it.
 */
static bool
remove_part(const TaskapiDoomed *doomed, TaskapiStrangers *strangers, const TaskapiRow *row)
{
	bool		is_first = !OidIsValid(strangers->fired_by);

	if (is_first)
		strangers->fired_by = row->table->owner;
	if (taskapi_purge_is_below(doomed, row) && row->table->nkeys == 0)
		return true;
	taskapi_strangers_refuse(strangers, row->table);
	if (taskapi_resource_purge_part(row) || !taskapi_resource_run_row(row, TASKAPI_TABLE_PLAN_EXISTS, NULL))
		return true;
	if (!is_first)
		taskapi_problem(PROBLEM_FORBIDDEN, NIL, NULL,
						"A trigger keeps rows of %s from being purged.", get_rel_name(row->table->entry.relid));
	return false;
}

/*
 * Delete those that nothing else takes along.
 */
static bool
remove_tops(const TaskapiDoomed *doomed, TaskapiStrangers *strangers)
{
	TaskapiRow *row;
	bool		found = false;

	taskapi_rows_rewind(doomed->rows);
	while ((row = taskapi_rows_next(doomed->rows)) != NULL)
	{
		if (taskapi_purge_is_below(doomed, row))
			continue;
		found = true;
		taskapi_strangers_fire(strangers, row->table);
		if (!taskapi_resource_run_row(row, TASKAPI_TABLE_PLAN_PURGE, NULL) &&
			taskapi_resource_run_row(row, TASKAPI_TABLE_PLAN_EXISTS, NULL))
			return false;
	}
	if (found)
		return true;
	/* a cycle has no beginning: any of its rows takes the others along */
	taskapi_rows_rewind(doomed->rows);
	row = taskapi_rows_next(doomed->rows);
	taskapi_strangers_fire(strangers, row->table);
	return taskapi_resource_run_row(row, TASKAPI_TABLE_PLAN_PURGE, NULL);
}

/*
 * What runs meanwhile is watched: a trigger that is made between two statements would run with rights that its owner has not.
 */
bool
taskapi_purge_remove(const TaskapiDoomed *doomed)
{
	Removal    *removal = palloc0(sizeof(Removal));
	volatile bool removed = false;

	taskapi_strangers_watch(&removal->strangers);
	PG_TRY();
	{
		removed = doomed->tied ? remove_tied(doomed, removal) : remove_tops(doomed, &removal->strangers);
		taskapi_strangers_refuse(&removal->strangers, NULL);
		if (removed)
			require_gone(doomed);
	}
	PG_CATCH();
	{
		taskapi_strangers_unwatch(&removal->strangers);
		/* the row at which it failed; of what triggers find in the end the last one */
		if (doomed->allies != NULL && doomed->allies->alone)
			keep_path(doomed, removal->at);
		PG_RE_THROW();
	}
	PG_END_TRY();
	taskapi_strangers_unwatch(&removal->strangers);
	return removed;
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
	TaskapiStrangers strangers = {.fired_by = row->table->owner, .relids = list_make1_oid(row->table->entry.relid)};
	volatile bool removed = false;

	strangers.generation = statement->strangers;
	taskapi_strangers_watch(&strangers);
	PG_TRY();
	{
		taskapi_strangers_refuse(&strangers, NULL);
		statement->strangers = strangers.generation;
		removed = taskapi_resource_run_row(row, TASKAPI_TABLE_PLAN_PURGE_AT, NULL) ||
			!taskapi_resource_run_row(row, TASKAPI_TABLE_PLAN_EXISTS, NULL);
		taskapi_strangers_refuse(&strangers, NULL);
	}
	PG_FINALLY();
	{
		taskapi_strangers_unwatch(&strangers);
	}
	PG_END_TRY();
	list_free(strangers.relids);
	if (removed)
		require_no_reference(row);
	return removed;
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
	free_doomed(&doomed);
	return doomed.obstacle;
}

/*
 * Purge rows that wait for each other, or else say no.
 */
static bool
try_purge_together(const List *waiting)
{
	TaskapiDoomed doomed = {.named = true, .tied = true};
	ListCell   *lc;

	begin(&doomed);
	foreach(lc, waiting)
	{
		TaskapiRow *current = lock_again(lfirst(lc));

		if (current != NULL)
			visit_first(&doomed, current);
	}
	collect(&doomed, NULL);
	if (doomed.obstacle == NULL && !taskapi_purge_remove(&doomed))
		taskapi_problem(PROBLEM_FORBIDDEN, NIL, NULL, "A trigger keeps rows of %s from being purged.",
						get_rel_name(((const TaskapiRow *) linitial(waiting))->table->entry.relid));
	free_doomed(&doomed);
	return doomed.obstacle == NULL;
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
 * that removes any; those that are left then go together, or not at all.
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
	if (waiting != NIL && !try_purge_together(waiting))
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
