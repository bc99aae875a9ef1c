/*-------------------------------------------------------------------------
 *
 * resource_delete.c
 *	  DELETE of one row of a resource, and what becomes of deleted rows: restore
 *	  and purge.
 *
 * Whether the caller may delete a row is for the table to say, so a soft delete
 * begins with a real DELETE by the caller, which passes privileges, DELETE
 * policies and triggers, locks the row FOR UPDATE, and then stops in the table's
 * last BEFORE DELETE trigger (taskapi_delete_request).  What follows, marking
 * the row and its children, is done with the owners' rights, as referential
 * integrity does.  A purge is permitted in the same way.
 *
 * Whether the caller may restore a row is asked by SELECT ... FOR UPDATE, which
 * needs the UPDATE privilege and passes the UPDATE policies.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "utils/lsyscache.h"

#include "base/compat.h"
#include "http/precondition.h"
#include "http/problem.h"
#include "resource/resource_cascade.h"
#include "resource/resource_delete.h"
#include "resource/resource_source.h"
#include "resource/resource_write.h"

static int	run_delete(TaskapiView *view, TupleDesc desc, HeapTuple old, bool exact);
static bool may_delete(TaskapiView *view, TaskapiTable *table, TupleDesc desc, HeapTuple old, bool exact);
static bool still_there(TaskapiView *view, TupleDesc desc, HeapTuple old, bool guarded);

/*
 * The DELETE as the caller; the number of rows that it deleted.
 */
static int
run_delete(TaskapiView *view, TupleDesc desc, HeapTuple old, bool exact)
{
	Datum		values[INDEX_MAX_KEYS + 1];
	char		nulls[INDEX_MAX_KEYS + 1];
	int			n = taskapi_key_arguments(view, desc, old, values, nulls);
	int			result;

	values[n] = Int64GetDatum(taskapi_row_version(view, desc, old));
	nulls[n] = ' ';
	result = SPI_execute_plan(taskapi_view_plan(view, exact ? VIEW_PLAN_DELETE_VERSION : VIEW_PLAN_DELETE, NULL),
							  values, nulls, false, 0);
	if (result < 0)
		elog(ERROR, "SPI_execute_plan returned %s", SPI_result_code_string(result));
	return (int) SPI_processed;
}

/*
 * Run the DELETE so that it stops in the trigger: true where it came so far.
 */
static bool
may_delete(TaskapiView *view, TaskapiTable *table, TupleDesc desc, HeapTuple old, bool exact)
{
	TaskapiDeleteRequest request = {0};
	Datum		key[INDEX_MAX_KEYS];
	char		nulls[INDEX_MAX_KEYS];
	int			deleted;

	taskapi_key_arguments(view, desc, old, key, nulls);
	request.meta = table;
	request.key = key;
	request.outer = taskapi_delete_request;
	taskapi_delete_request = &request;
	PG_TRY();
	{
		deleted = run_delete(view, desc, old, exact);
	}
	PG_FINALLY();
	{
		taskapi_delete_request = request.outer;
	}
	PG_END_TRY();

	if (deleted > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" lacks the trigger that resource \"%s\" needs to delete softly",
						get_rel_name(table->entry.relid), get_rel_name(view->entry.relid)),
				 errhint("Call taskapi.expose() again, or enable the trigger.")));
	return request.passed;
}

/*
 * After a DELETE that found nothing: is the row there all the same, as this view shows rows?  Then the caller may not
 * delete it, or it came back since.
 */
static bool
still_there(TaskapiView *view, TupleDesc desc, HeapTuple old, bool guarded)
{
	int64		version;
	TaskapiRowState state = taskapi_resource_probe(view, desc, old, &version);

	if (view->registration.soft_delete ? state == (view->deleted_rows ? ROW_DELETED : ROW_LIVE) : state != ROW_ABSENT)
	{
		if (guarded && version != taskapi_row_version(view, desc, old))
			taskapi_version_conflict(version);
		return true;
	}
	if (guarded)
		taskapi_version_conflict(-1);
	return false;
}

HeapTuple
taskapi_resource_delete(TaskapiResourceStatement *statement, TaskapiView *view, TupleDesc desc, HeapTuple old)
{
	bool		guarded = taskapi_check_precondition(statement, view, desc, old, NULL);
	TaskapiTable *table;
	Datum		key[INDEX_MAX_KEYS];
	char		nulls[INDEX_MAX_KEYS];
	TaskapiRow *row;

	if (!view->registration.soft_delete)
	{
		for (int attempt = 1; run_delete(view, desc, old, guarded) == 0; attempt++)
		{
			if (!still_there(view, desc, old, guarded))
				return NULL;
			if (attempt == TASKAPI_RESOURCE_ATTEMPTS)
				taskapi_resource_forbidden(view);
		}
		return old;
	}

	table = taskapi_table(view->registration.source);
	for (int attempt = 1; !may_delete(view, table, desc, old, guarded); attempt++)
	{
		if (!still_there(view, desc, old, guarded))
			return NULL;
		if (attempt == TASKAPI_RESOURCE_ATTEMPTS)
			taskapi_resource_forbidden(view);
	}
	taskapi_key_arguments(view, desc, old, key, nulls);
	row = taskapi_lock_row(table, key, false);
	if (row == NULL || !row->live)
		return NULL;
	taskapi_cascade_delete(row);
	return old;
}

HeapTuple
taskapi_resource_purge(TaskapiResourceStatement *statement, TaskapiView *view, TupleDesc desc, HeapTuple old)
{
	bool		guarded = taskapi_check_precondition(statement, view, desc, old, NULL);
	TaskapiTable *table = taskapi_table(view->registration.source);
	Datum		key[INDEX_MAX_KEYS];
	char		nulls[INDEX_MAX_KEYS];
	TaskapiRow *row;
	const char *obstacle;

	for (int attempt = 1; !may_delete(view, table, desc, old, guarded); attempt++)
	{
		if (!still_there(view, desc, old, guarded))
			return NULL;
		if (attempt == TASKAPI_RESOURCE_ATTEMPTS)
			taskapi_resource_forbidden(view);
	}
	taskapi_key_arguments(view, desc, old, key, nulls);
	row = taskapi_lock_row(table, key, false);
	if (row == NULL || row->live)
		return NULL;
	obstacle = taskapi_cascade_purge_obstacle(row);
	if (obstacle != NULL)
		taskapi_problem(PROBLEM_HAS_DEPENDENTS, NIL, NULL, "%s", obstacle);
	return taskapi_purge_row(row) ? old : NULL;
}

/*
 * PATCH of a deleted row can set deleted_at to null, and nothing else.
 */
HeapTuple
taskapi_resource_restore(TaskapiResourceStatement *statement, TaskapiView *view,
						 TupleDesc desc, HeapTuple old, HeapTuple new)
{
	bool		guarded = taskapi_check_precondition(statement, view, desc, old, new);
	TaskapiTable *table = taskapi_table(view->registration.source);
	Datum		key[INDEX_MAX_KEYS];
	char		nulls[INDEX_MAX_KEYS];
	TaskapiRow *row;
	int64		version;

	if (!heap_attisnull(new, view->deleted_at + 1, desc))
		taskapi_problem_sqlstate(PROBLEM_INVALID_VALUE, ERRCODE_CHECK_VIOLATION, NIL,
								 "Send {\"deleted_at\": null} to restore it.",
								 "Of a deleted row only deleted_at can be changed, to null.");
	for (int i = 0; i < view->ncolumns; i++)
	{
		if (view->columns[i].written && taskapi_column_differs(view, desc, i, old, new))
			taskapi_problem_sqlstate(PROBLEM_INVALID_VALUE, ERRCODE_CHECK_VIOLATION, NIL,
									 "Restore it first, and change it then.",
									 "Of a deleted row only deleted_at can be changed, to null.");
	}

	taskapi_key_arguments(view, desc, old, key, nulls);
	for (int attempt = 1;; attempt++)
	{
		if (SPI_execute_plan(taskapi_view_plan(view, VIEW_PLAN_LOCK, NULL), key, nulls, false, 0) < 0)
			elog(ERROR, "SPI_execute_plan failed");
		if (SPI_processed > 0)
			break;
		switch (taskapi_resource_probe(view, desc, old, &version))
		{
			case ROW_LIVE:
				taskapi_problem(PROBLEM_ALREADY_LIVE, NIL, NULL, "It has been restored already.");
			case ROW_DELETED:
				if (attempt == TASKAPI_RESOURCE_ATTEMPTS)
					taskapi_resource_forbidden(view);
				break;
			case ROW_ABSENT:
				if (guarded)
					taskapi_version_conflict(-1);
				return NULL;
		}
	}
	if (guarded && taskapi_resource_probe(view, desc, old, &version) == ROW_DELETED &&
		version != taskapi_row_version(view, desc, old))
		taskapi_version_conflict(version);

	row = taskapi_lock_row(table, key, false);
	if (row == NULL || row->live)
		return NULL;
	taskapi_cascade_restore(row);

	if (SPI_execute_plan(taskapi_view_plan(view, VIEW_PLAN_SELECT, NULL), key, nulls, false, 0) < 0)
		elog(ERROR, "SPI_execute_plan failed");
	return SPI_processed == 0 ? NULL : SPI_copytuple(SPI_tuptable->vals[0]);
}
