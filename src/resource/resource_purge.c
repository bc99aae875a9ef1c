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

#include "base/compat.h"
#include "http/problem.h"
#include "resource/resource_cascade.h"
#include "resource/resource_purge.h"

/* A row's place, which does not change while it is locked. */
typedef struct RowPlace
{
	Oid			tableoid;
	ItemPointerData tid;
} RowPlace;

typedef struct VisitedRow
{
	RowPlace	place;
	TaskapiRow *row;			/* NULL: has to be among the rows in the end */
} VisitedRow;

static void collect_above(TaskapiDoomed *doomed, TaskapiRow *row, bool required);
static void collect_below(TaskapiDoomed *doomed, TaskapiRow *row);
static bool visit(TaskapiDoomed *doomed, TaskapiRow *row, bool required);
static bool same_deletion(const TaskapiRow *a, const TaskapiRow *b);
static void require_gone(const TaskapiDoomed *doomed);

static bool
same_deletion(const TaskapiRow *a, const TaskapiRow *b)
{
	return a->in_deletion && b->in_deletion && memcmp(&a->deletion.id, &b->deletion.id, UUID_LEN) == 0;
}

/*
 * True if the row is new, and has been added.  One that is only required may turn up later on another way.
 */
static bool
visit(TaskapiDoomed *doomed, TaskapiRow *row, bool required)
{
	RowPlace	place;
	VisitedRow *visited;
	bool		found;

	memset(&place, 0, sizeof(place));
	place.tableoid = row->tableoid;
	place.tid = row->tid;
	visited = hash_search(doomed->visited, &place, HASH_ENTER, &found);
	if (!found)
		visited->row = NULL;
	if (visited->row != NULL)
	{
		visited->row->below |= row->below;
		return false;
	}
	if (required)
		return false;
	visited->row = row;
	doomed->rows = lappend(doomed->rows, row);
	return true;
}

void
taskapi_purge_collect(TaskapiDoomed *doomed, TaskapiRow *first)
{
	HASHCTL		ctl = {0};
	HASH_SEQ_STATUS seq;
	VisitedRow *visited;

	ctl.keysize = sizeof(RowPlace);
	ctl.entrysize = sizeof(VisitedRow);
	ctl.hcxt = CurrentMemoryContext;
	doomed->visited = hash_create("taskapi purge", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	visit(doomed, first, false);

	/* the list grows as we go */
	for (int at = 0; at < list_length(doomed->rows) && doomed->obstacle == NULL; at++)
	{
		TaskapiRow *row = list_nth(doomed->rows, at);

		/* below a row that a client names, another deletion must have all its rows */
		if (doomed->whole || !(row == first || same_deletion(row, first)))
			collect_above(doomed, row, !doomed->whole);
		collect_below(doomed, row);
	}
	if (doomed->obstacle != NULL)
		return;

	hash_seq_init(&seq, doomed->visited);
	while ((visited = hash_seq_search(&seq)) != NULL)
	{
		if (visited->row == NULL)
			doomed->obstacle = "Rows of another deletion, which has more rows than these, refer to it.";
	}
}

/*
 * The rows that it went along with.
 */
static void
collect_above(TaskapiDoomed *doomed, TaskapiRow *row, bool required)
{
	Datum		values[INDEX_MAX_KEYS];
	ListCell   *lc;

	if (!row->in_deletion)
		return;
	foreach(lc, row->table->outgoing)
	{
		TaskapiForeignKey *fk = lfirst(lc);
		List	   *parents;
		ListCell   *lc2;

		if (!taskapi_cascade_goes_along(fk) || !taskapi_resource_reference_of(row, fk, values))
			continue;
		parents = taskapi_resource_key_rows(NIL, row, fk, TASKAPI_FK_PLAN_LOCK_DELETION, values, &row->deletion);
		foreach(lc2, parents)
		{
			row->below = true;
			visit(doomed, lfirst(lc2), required);
		}
		list_free(parents);
	}
}

/*
 * The rows that refer to it.
 */
static void
collect_below(TaskapiDoomed *doomed, TaskapiRow *row)
{
	Datum		values[INDEX_MAX_KEYS];
	ListCell   *lc;

	foreach(lc, row->table->incoming)
	{
		TaskapiForeignKey *fk = lfirst(lc);
		List	   *children;
		ListCell   *lc2;

		if (!taskapi_cascade_is_strict(fk) || !taskapi_resource_reference_of(row, fk, values))
			continue;
		if (!fk->other_soft)
		{
			if (taskapi_resource_run_key(row, fk, TASKAPI_FK_PLAN_HAS_LIVE, values) == 0)
				continue;
			doomed->obstacle = psprintf("Live rows of %s refer to it by \"%s\".", fk->other_relname, fk->name);
			return;
		}
		children = taskapi_resource_key_rows(NIL, row, fk, TASKAPI_FK_PLAN_LOCK_ALL, values, NULL);
		foreach(lc2, children)
		{
			TaskapiRow *child = lfirst(lc2);

			if (child->live || (fk->on_delete != FKCONSTR_ACTION_CASCADE && !same_deletion(child, row)))
			{
				doomed->obstacle = psprintf("%s rows of %s refer to it by \"%s\".", child->live ? "Live" : "Deleted",
											fk->other_relname, fk->name);
				return;
			}
			child->below = (fk->on_delete == FKCONSTR_ACTION_CASCADE);
			visit(doomed, child, false);
		}
		list_free(children);
	}
}

/*
 * Delete those that nothing else takes along.  False if a trigger keeps one of them.
 */
bool
taskapi_purge_remove(const TaskapiDoomed *doomed)
{
	ListCell   *lc;
	bool		found = false;

	foreach(lc, doomed->rows)
	{
		TaskapiRow *row = lfirst(lc);

		if (row->below)
			continue;
		found = true;
		if (!taskapi_resource_run_row(row, TASKAPI_TABLE_PLAN_PURGE, NULL) &&
			taskapi_resource_run_row(row, TASKAPI_TABLE_PLAN_EXISTS, NULL))
			return false;
	}
	/* a cycle has no beginning: any of its rows takes the others along */
	if (!found && !taskapi_resource_run_row(linitial(doomed->rows), TASKAPI_TABLE_PLAN_PURGE, NULL))
		return false;
	require_gone(doomed);
	return true;
}

/*
 * Referential integrity does not look whether a trigger has kept a row that it deleted.
 */
static void
require_gone(const TaskapiDoomed *doomed)
{
	Datum		values[INDEX_MAX_KEYS];
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, doomed->rows)
	{
		TaskapiRow *row = lfirst(lc);

		foreach(lc2, row->table->incoming)
		{
			TaskapiForeignKey *fk = lfirst(lc2);

			if (taskapi_cascade_is_strict(fk) && taskapi_resource_reference_of(row, fk, values) &&
				taskapi_resource_run_key(row, fk, TASKAPI_FK_PLAN_HAS_ANY, values) > 0)
				taskapi_problem(PROBLEM_FORBIDDEN, NIL, NULL,
								"A trigger keeps rows of %s from being purged.", fk->other_relname);
		}
	}
}

bool
taskapi_purge_row(TaskapiRow *row)
{
	TaskapiDoomed		doomed = {0};

	row->below = false;
	taskapi_purge_collect(&doomed, row);
	row->below = false;			/* it is the one that was named, also in a cycle */
	if (doomed.obstacle != NULL)
		taskapi_problem(PROBLEM_HAS_DEPENDENTS, NIL, NULL, "%s", doomed.obstacle);
	return taskapi_purge_remove(&doomed);
}
