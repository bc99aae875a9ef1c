/*-------------------------------------------------------------------------
 *
 * resource_delete.c
 *	  DELETE of one row of a resource, and what becomes of deleted rows: restore
 *	  and purge.
 *
 * Whether the caller may delete a row is for the table to say, so a soft delete
 * begins with the scan of a DELETE by the caller, which passes privileges and
 * DELETE policies, and locks the row FOR UPDATE (resource_delete_scan.h).  What
 * follows, marking the row and its children, is done with the owners' rights, as
 * referential integrity does.  A purge is permitted in the same way, unless it
 * can be the caller's own DELETE, which runs nothing and reaches no other table.  So the
 * table's triggers see an UPDATE when a row is deleted softly, and a DELETE when
 * it is purged.
 *
 * Whether the caller may restore a row is asked by SELECT ... FOR UPDATE, which
 * needs the UPDATE privilege and passes the UPDATE policies.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"

#include "base/compat.h"
#include "http/problem.h"
#include "resource/resource_cascade.h"
#include "resource/resource_delete.h"
#include "resource/resource_delete_scan.h"
#include "resource/resource_own_change.h"
#include "resource/resource_purge.h"
#include "resource/resource_scan_place.h"
#include "resource/resource_write.h"

static SPIPlanPtr delete_plan(const TaskapiWrite *write, TaskapiViewPlanKind kind, Datum *values, char *nulls);
static uint64 run_delete(const TaskapiWrite *write, TaskapiViewPlanKind kind);
static bool run_delete_at_place(const TaskapiWrite *write);
static bool shown(const TaskapiWrite *write, TaskapiVersion *version);
static bool changed_by_us(const TaskapiWrite *write);
static bool find_deletable(const TaskapiWrite *write, TaskapiTable *table, TaskapiRow **row, bool *by_us);
static bool delete_hard(const TaskapiWrite *write);
static bool purge_plain(const TaskapiWrite *write);
static TaskapiRow *lock_deletable(const TaskapiWrite *write, bool *by_us);
static bool lock_restorable(const TaskapiWrite *write, bool guarded, bool *by_us);
static void refuse_changes(const TaskapiWrite *write);

/*
 * The plan of a DELETE as the caller, or of the scan of one, and its arguments.
 */
static SPIPlanPtr
delete_plan(const TaskapiWrite *write, TaskapiViewPlanKind kind, Datum *values, char *nulls)
{
	int			n = taskapi_resource_key_arguments(write, write->old, values, nulls);

	if (kind == TASKAPI_VIEW_PLAN_DELETE_VERSION || kind == TASKAPI_VIEW_PLAN_SCAN_VERSION)
	{
		TaskapiVersion version = taskapi_resource_version(write, write->old);

		values[n] = Int64GetDatum(version.number);
		nulls[n] = version.known ? ' ' : 'n';
	}
	return taskapi_resource_view_plan(write->view, kind, NULL);
}

/*
 * The number of rows that it has deleted.
 */
static uint64
run_delete(const TaskapiWrite *write, TaskapiViewPlanKind kind)
{
	Datum		values[INDEX_MAX_KEYS + 1];
	char		nulls[INDEX_MAX_KEYS + 1];

	return taskapi_resource_run(delete_plan(write, kind, values, nulls), values, nulls);
}

/*
 * The same DELETE of a row that is still where the client's statement has read it.  What is not deleted may have moved, and is
 * looked for by its key alone.
 */
static bool
run_delete_at_place(const TaskapiWrite *write)
{
	Datum		values[INDEX_MAX_KEYS + 1];
	char		nulls[INDEX_MAX_KEYS + 1];
	ItemPointerData place;
	SPIPlanPtr	plan;

	if (!taskapi_scan_place(write, &place))
		return false;
	plan = delete_plan(write, TASKAPI_VIEW_PLAN_DELETE_AT, values, nulls);
	values[write->view->nkeys] = PointerGetDatum(&place);
	nulls[write->view->nkeys] = ' ';
	if (taskapi_delete_at(plan, write->view->registration.source, values, nulls) > 0)
		return true;
	write->statement->misplaced++;
	return false;
}

/*
 * Is the row there as this view shows rows?
 */
static bool
shown(const TaskapiWrite *write, TaskapiVersion *version)
{
	const TaskapiView *view = write->view;
	TaskapiRowState state = taskapi_resource_probe(write, write->old, version);

	if (!view->registration.soft_delete)
		return state != TASKAPI_ROW_ABSENT;
	return state == (view->deleted_rows ? TASKAPI_ROW_DELETED : TASKAPI_ROW_LIVE);
}

/*
 * Has the statement, or a trigger within it, changed the row before it comes to it?
 */
static bool
changed_by_us(const TaskapiWrite *write)
{
	CommandId	command;
	TaskapiChange change = taskapi_own_change(write, &command);

	return change == TASKAPI_CHANGE_STATEMENT || change == TASKAPI_CHANGE_TRIGGER;
}

/*
 * Find and lock the row, if the caller may delete it; with a table, "row" is set.  False if it is gone: another row of the
 * statement has taken it along ("by_us"), or another transaction.  A row that is there all the same is one that a policy
 * leaves out, or that came back since.
 */
static bool
find_deletable(const TaskapiWrite *write, TaskapiTable *table, TaskapiRow **row, bool *by_us)
{
	bool		guarded = taskapi_resource_check_precondition(write, write->old);
	TaskapiVersion version;

	*by_us = false;
	for (int attempt = 1;; attempt++)
	{
		Datum		values[INDEX_MAX_KEYS + 1];
		char		nulls[INDEX_MAX_KEYS + 1];
		SPIPlanPtr	plan = delete_plan(write, guarded && !*by_us ? TASKAPI_VIEW_PLAN_SCAN_VERSION : TASKAPI_VIEW_PLAN_SCAN,
									   values, nulls);

		if (taskapi_delete_scan(plan, table, values, nulls, row))
			return true;
		*by_us = changed_by_us(write);
		if (!shown(write, &version))
		{
			if (guarded && !*by_us)
				taskapi_resource_version_conflict((TaskapiVersion) {0});
			return false;
		}
		if (guarded && !*by_us && !taskapi_same_version(version, taskapi_resource_version(write, write->old)))
			taskapi_resource_version_conflict(version);
		if (attempt == TASKAPI_RESOURCE_ATTEMPTS)
		{
			*by_us = false;
			taskapi_resource_leave_out(write);
			return false;
		}
	}
}

/*
 * The row, if the caller may delete it, locked; NULL if it is gone, or a policy leaves it out.
 */
static TaskapiRow *
lock_deletable(const TaskapiWrite *write, bool *by_us)
{
	TaskapiTable *table = taskapi_statement_table(write->statement);
	TaskapiRow *row;

	if (!write->view->deleted_rows)
		taskapi_resource_require_triggers(table, write->view->registration.versioned);
	return find_deletable(write, table, &row, by_us) ? row : NULL;
}

/*
 * Delete the row of a resource without soft deletion.  A trigger of the table that has vetoed it is not asked again.
 */
static bool
delete_hard(const TaskapiWrite *write)
{
	bool		guarded = taskapi_resource_check_precondition(write, write->old);
	bool		by_us;
	CommandId	command;

	if (run_delete(write, guarded ? TASKAPI_VIEW_PLAN_DELETE_VERSION : TASKAPI_VIEW_PLAN_DELETE) > 0)
		return true;
	if (!find_deletable(write, NULL, NULL, &by_us))
		return by_us;
	if (taskapi_own_change(write, &command) == TASKAPI_CHANGE_OTHER && run_delete(write, TASKAPI_VIEW_PLAN_DELETE) > 0)
		return true;
	write->statement->vetoed = true;
	return false;
}

HeapTuple
taskapi_resource_delete(const TaskapiWrite *write)
{
	TaskapiRow *row;
	bool		by_us;

	if (!write->view->registration.soft_delete)
		return delete_hard(write) ? write->old : NULL;
	row = lock_deletable(write, &by_us);
	if (row == NULL)
		return by_us ? write->old : NULL;
	if (!row->live)
		return NULL;
	taskapi_cascade_delete(write->statement, row);
	return write->old;
}

/*
 * If a DELETE runs nothing, the caller's own is the purge: nobody else's rights are needed.  What it does not find is asked about
 * as if it had not been tried.
 */
static bool
purge_plain(const TaskapiWrite *write)
{
	if (!taskapi_statement_table(write->statement)->plain_delete)
		return false;
	if (taskapi_resource_check_precondition(write, write->old))
		return run_delete(write, TASKAPI_VIEW_PLAN_DELETE_VERSION) > 0;
	return run_delete_at_place(write) || run_delete(write, TASKAPI_VIEW_PLAN_DELETE) > 0;
}

HeapTuple
taskapi_resource_purge(const TaskapiWrite *write)
{
	bool		by_us;
	TaskapiRow *row;

	if (purge_plain(write))
		return write->old;
	row = lock_deletable(write, &by_us);
	if (row == NULL)
		return by_us ? write->old : NULL;
	if (row->live)
		return NULL;
	if (taskapi_purge_row(write->statement, row))
		return write->old;
	write->statement->vetoed = true;
	return NULL;
}

/*
 * PATCH of a deleted row can set deleted_at to null, and nothing else.
 */
static void
refuse_changes(const TaskapiWrite *write)
{
	const TaskapiView *view = write->view;
	bool		restored = false;
	int			i = -1;

	/* one of the columns that show it is set to null, the others are as they were */
	while ((i = bms_next_member(view->deleted_at, i)) >= 0)
	{
		if (heap_attisnull(write->new, i + 1, write->desc))
			restored = true;
		else if (taskapi_resource_column_differs(write, i, write->old, write->new))
			break;
	}
	if (i >= 0 || !restored)
		taskapi_problem_sqlstate(PROBLEM_INVALID_VALUE, ERRCODE_CHECK_VIOLATION, NIL,
								 "Send {\"deleted_at\": null} to restore it.",
								 "Of a deleted row only deleted_at can be changed, to null.");
	for (i = 0; i < view->ncolumns; i++)
	{
		if (view->columns[i].written && taskapi_resource_column_differs(write, i, write->old, write->new))
			taskapi_problem_sqlstate(PROBLEM_INVALID_VALUE, ERRCODE_CHECK_VIOLATION, NIL,
									 "Restore the row, then change it.",
									 "Of a deleted row only deleted_at can be changed, to null.");
	}
}

/*
 * May the caller restore the row?  False if it is gone, or a policy leaves it out, or "by_us": another row of the
 * statement has restored it.
 */
static bool
lock_restorable(const TaskapiWrite *write, bool guarded, bool *by_us)
{
	Datum		key[INDEX_MAX_KEYS];
	char		nulls[INDEX_MAX_KEYS];
	SPIPlanPtr	plan = taskapi_resource_view_plan(write->view, TASKAPI_VIEW_PLAN_LOCK, NULL);
	TaskapiVersion version;

	taskapi_resource_key_arguments(write, write->old, key, nulls);
	for (int attempt = 1; taskapi_resource_run(plan, key, nulls) == 0; attempt++)
	{
		switch (taskapi_resource_probe(write, write->old, &version))
		{
			case TASKAPI_ROW_LIVE:
				*by_us = changed_by_us(write);
				if (*by_us)
					return false;
				taskapi_problem(PROBLEM_ALREADY_LIVE, NIL, NULL, "It has been restored already.");
			case TASKAPI_ROW_DELETED:
				if (attempt == TASKAPI_RESOURCE_ATTEMPTS)
				{
					taskapi_resource_leave_out(write);
					return false;
				}
				break;
			case TASKAPI_ROW_ABSENT:
				if (guarded)
					taskapi_resource_version_conflict((TaskapiVersion) {0});
				return false;
		}
	}
	taskapi_resource_free_result();
	if (guarded && taskapi_resource_probe(write, write->old, &version) == TASKAPI_ROW_DELETED &&
		!taskapi_same_version(version, taskapi_resource_version(write, write->old)) && !changed_by_us(write))
		taskapi_resource_version_conflict(version);
	return true;
}

HeapTuple
taskapi_resource_restore(const TaskapiWrite *write)
{
	bool		guarded = taskapi_resource_check_precondition(write, write->old);
	TaskapiTable *table = taskapi_statement_table(write->statement);
	Datum		key[INDEX_MAX_KEYS];
	TaskapiRow *row;
	bool		by_us = false;

	refuse_changes(write);
	taskapi_resource_require_triggers(table, write->view->registration.versioned);
	if (!lock_restorable(write, guarded, &by_us))
		return by_us ? taskapi_resource_current_row(write, write->old) : NULL;
	taskapi_resource_table_key(write, table, write->old, key);
	row = taskapi_resource_lock_row(table, key, false);
	if (row == NULL || row->live)
		return NULL;
	taskapi_cascade_restore(write->statement, row);
	return taskapi_resource_current_row(write, write->old);
}
