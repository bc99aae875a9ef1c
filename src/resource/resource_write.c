/*-------------------------------------------------------------------------
 *
 * resource_write.c
 *	  INSERT, UPDATE and PUT of one row of a resource, as the caller.
 *
 * The caller's own privileges and policies on the table decide: each statement
 * here runs as the caller, and asks for no more columns than it needs.
 *
 * INSERT.  The view's columns have the table's defaults, so PostgreSQL has
 * filled in what the client left out, and a NULL in the row is one that the
 * client sent.  Identity and generated columns have no such default: where the
 * client sent nothing, the table makes them.  version and updated_at are the
 * server's.
 *
 * UPDATE.  Only columns that differ from the row that the client's statement
 * saw are written.  That row is as old as the statement's snapshot, and nobody
 * recomputes "SET n = n + 1" for us as PostgreSQL does on a table when somebody
 * else was quicker.  So no update is applied blindly: it is made where the row
 * still has the version that was seen, or else where the columns to be written
 * still have the values that were seen.  Where they have not, another request
 * changed the same columns meanwhile, and the answer is try_again, or
 * version_conflict where the client named a version.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "base/compat.h"
#include "http/layer.h"
#include "http/precondition.h"
#include "http/problem.h"
#include "resource/resource_write.h"

static int	add_arguments(TaskapiView *view, TupleDesc desc, HeapTuple row, const Bitmapset *columns,
						  Datum *values, char *nulls, int n);
static Bitmapset *changed_columns(TaskapiView *view, TupleDesc desc, HeapTuple old, HeapTuple new);
static int	run(SPIPlanPtr plan, Datum *values, const char *nulls);
static bool has_row(TaskapiView *view, TaskapiViewPlanKind kind, const Bitmapset *columns,
					TupleDesc desc, HeapTuple row);
static void count_replaced(void);
static HeapTuple current_row(TaskapiView *view, TupleDesc desc, HeapTuple row);
static HeapTuple update_row(TaskapiView *view, TupleDesc desc, HeapTuple old, HeapTuple new,
							const Bitmapset *changed, bool exact);

int64
taskapi_row_version(TaskapiView *view, TupleDesc desc, HeapTuple row)
{
	bool		isnull;
	Datum		value;

	if (view->version < 0)
		return -1;
	value = heap_getattr(row, view->version + 1, desc, &isnull);
	if (isnull)
		return -1;
	return view->columns[view->version].type == INT8OID ? DatumGetInt64(value) : DatumGetInt32(value);
}

static int
add_arguments(TaskapiView *view, TupleDesc desc, HeapTuple row, const Bitmapset *columns,
			  Datum *values, char *nulls, int n)
{
	int			i = -1;

	while ((i = bms_next_member(columns, i)) >= 0)
	{
		bool		isnull;

		values[n] = heap_getattr(row, i + 1, desc, &isnull);
		nulls[n++] = isnull ? 'n' : ' ';
	}
	return n;
}

int
taskapi_key_arguments(TaskapiView *view, TupleDesc desc, HeapTuple row, Datum *values, char *nulls)
{
	for (int i = 0; i < view->nkeys; i++)
	{
		bool		isnull;

		values[i] = heap_getattr(row, view->keys[i].column + 1, desc, &isnull);
		nulls[i] = isnull ? 'n' : ' ';
	}
	return view->nkeys;
}

static int
run(SPIPlanPtr plan, Datum *values, const char *nulls)
{
	int			result = SPI_execute_plan(plan, values, nulls, false, 0);

	if (result < 0)
		elog(ERROR, "SPI_execute_plan returned %s", SPI_result_code_string(result));
	return (int) SPI_processed;
}

void
taskapi_resource_forbidden(TaskapiView *view)
{
	taskapi_problem(PROBLEM_FORBIDDEN, NIL, NULL,
					"The row of %s may be seen, but not changed in this way.", get_rel_name(view->entry.relid));
}

TaskapiRowState
taskapi_resource_probe(TaskapiView *view, TupleDesc desc, HeapTuple row, int64 *version)
{
	Datum		values[INDEX_MAX_KEYS];
	char		nulls[INDEX_MAX_KEYS];
	bool		live;
	bool		isnull;
	Datum		value;

	*version = -1;
	taskapi_key_arguments(view, desc, row, values, nulls);
	if (run(taskapi_view_plan(view, VIEW_PLAN_PROBE, NULL), values, nulls) == 0)
		return ROW_ABSENT;
	live = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull);
	if (!isnull)
		*version = DatumGetInt64(value);
	return live ? ROW_LIVE : ROW_DELETED;
}

/*
 * Is there a row that a LOCK plan finds?
 */
static bool
has_row(TaskapiView *view, TaskapiViewPlanKind kind, const Bitmapset *columns, TupleDesc desc, HeapTuple row)
{
	Datum	   *values = palloc(sizeof(Datum) * (view->nkeys + view->ncolumns));
	char	   *nulls = palloc(view->nkeys + view->ncolumns);
	int			n = taskapi_key_arguments(view, desc, row, values, nulls);

	add_arguments(view, desc, row, columns, values, nulls, n);
	return run(taskapi_view_plan(view, kind, columns), values, nulls) > 0;
}

/*
 * The row of that key as the view shows it now, or NULL.
 */
static HeapTuple
current_row(TaskapiView *view, TupleDesc desc, HeapTuple row)
{
	Datum		values[INDEX_MAX_KEYS];
	char		nulls[INDEX_MAX_KEYS];

	taskapi_key_arguments(view, desc, row, values, nulls);
	if (run(taskapi_view_plan(view, VIEW_PLAN_SELECT, NULL), values, nulls) == 0)
		return NULL;
	return SPI_copytuple(SPI_tuptable->vals[0]);
}

/*
 * "old" is the row in question; "new" may be NULL.  A version in the new row
 * counts only where the client sent one.
 */
bool
taskapi_check_precondition(TaskapiResourceStatement *statement, TaskapiView *view,
						   TupleDesc desc, HeapTuple old, HeapTuple new)
{
	int64		version = taskapi_row_version(view, desc, old);
	int64		sent = new ? taskapi_row_version(view, desc, new) : -1;

	if (statement->if_match == NULL && !(statement->version_sent && sent >= 0))
		return false;
	if (statement->if_match != NULL && !taskapi_if_match(statement->if_match, version))
		taskapi_version_conflict(version);
	if (statement->version_sent && sent >= 0 && sent != version)
		taskapi_version_conflict(version);

	/* "*" asks only that the row be there, which the statement sees to */
	return statement->version_sent || !taskapi_if_match_any(statement->if_match);
}

HeapTuple
taskapi_resource_insert(TaskapiResourceStatement *statement, TaskapiView *view, TupleDesc desc, HeapTuple new)
{
	Datum	   *values = palloc(sizeof(Datum) * view->ncolumns);
	char	   *nulls = palloc(view->ncolumns);
	Bitmapset  *columns = view->insert_always;
	int			i = -1;

	if (view->by_server != NULL)
	{
		columns = bms_copy(columns);
		while ((i = bms_next_member(view->by_server, i)) >= 0)
		{
			if (!heap_attisnull(new, i + 1, desc))
				columns = bms_add_member(columns, i);
		}
	}

	add_arguments(view, desc, new, columns, values, nulls, 0);
	if (run(taskapi_view_plan(view, statement->may_read ? VIEW_PLAN_INSERT : VIEW_PLAN_INSERT_ONLY, columns),
			values, nulls) == 0)
		return NULL;			/* a trigger's veto */
	if (!statement->may_read)
		return new;
	return SPI_copytuple(SPI_tuptable->vals[0]);
}

bool
taskapi_column_differs(TaskapiView *view, TupleDesc desc, int column, HeapTuple old, HeapTuple new)
{
	bool		old_null;
	bool		new_null;
	Datum		old_value = heap_getattr(old, column + 1, desc, &old_null);
	Datum		new_value = heap_getattr(new, column + 1, desc, &new_null);

	if (old_null || new_null)
		return old_null != new_null;
	return !datum_image_eq(old_value, new_value, view->columns[column].typbyval, view->columns[column].typlen);
}

static Bitmapset *
changed_columns(TaskapiView *view, TupleDesc desc, HeapTuple old, HeapTuple new)
{
	Bitmapset  *changed = NULL;

	for (int i = 0; i < view->ncolumns; i++)
	{
		if (view->columns[i].written && taskapi_column_differs(view, desc, i, old, new))
			changed = bms_add_member(changed, i);
	}
	return changed;
}

/*
 * One attempt: "exact" where the version is the one of "old", otherwise where the changed columns are as in "old".
 */
static HeapTuple
update_row(TaskapiView *view, TupleDesc desc, HeapTuple old, HeapTuple new, const Bitmapset *changed, bool exact)
{
	Datum	   *values = palloc(sizeof(Datum) * (2 * view->ncolumns + view->nkeys + 1));
	char	   *nulls = palloc(2 * view->ncolumns + view->nkeys + 1);
	int			n;

	n = add_arguments(view, desc, new, changed, values, nulls, 0);
	n += taskapi_key_arguments(view, desc, old, values + n, nulls + n);
	if (exact)
	{
		values[n] = Int64GetDatum(taskapi_row_version(view, desc, old));
		nulls[n] = ' ';
	}
	else
		add_arguments(view, desc, old, changed, values, nulls, n);

	if (run(taskapi_view_plan(view, exact ? VIEW_PLAN_UPDATE_VERSION : VIEW_PLAN_UPDATE_IMAGE, changed),
			values, nulls) == 0)
		return NULL;
	return SPI_copytuple(SPI_tuptable->vals[0]);
}

HeapTuple
taskapi_resource_update(TaskapiResourceStatement *statement, TaskapiView *view,
						TupleDesc desc, HeapTuple old, HeapTuple new)
{
	bool		guarded = taskapi_check_precondition(statement, view, desc, old, new);
	Bitmapset  *changed = changed_columns(view, desc, old, new);
	HeapTuple	result = NULL;
	int64		version;

	if (bms_is_empty(changed))
	{
		/* nothing to do, for those who might do it */
		if (has_row(view, VIEW_PLAN_LOCK, NULL, desc, old) &&
			(!guarded || (taskapi_resource_probe(view, desc, old, &version) == ROW_LIVE &&
						  version == taskapi_row_version(view, desc, old))))
		{
			result = current_row(view, desc, old);
			if (result != NULL)
				return result;
		}
	}
	else
	{
		if (view->version >= 0)
			result = update_row(view, desc, old, new, changed, true);
		if (result == NULL && !guarded)
			result = update_row(view, desc, old, new, changed, false);
		if (result != NULL)
			return result;
	}

	/* Why was nothing written? */
	for (int attempt = 1;; attempt++)
	{
		if (taskapi_resource_probe(view, desc, old, &version) != ROW_LIVE)
		{
			if (guarded)
				taskapi_version_conflict(-1);
			return NULL;		/* gone meanwhile */
		}
		if (has_row(view, VIEW_PLAN_LOCK, NULL, desc, old))
			break;
		if (attempt == TASKAPI_RESOURCE_ATTEMPTS)
			taskapi_resource_forbidden(view);
	}
	if (guarded && version != taskapi_row_version(view, desc, old))
		taskapi_version_conflict(version);
	if (!bms_is_empty(changed) && !has_row(view, VIEW_PLAN_LOCK_IMAGE, changed, desc, old))
		/* also where the values are the ones to be written: two "n + 1" are not one */
		taskapi_problem(PROBLEM_TRY_AGAIN, NIL, "Send the request again.",
						"Another request changed the same columns at the same time.");
	return NULL;				/* a trigger's veto */
}

/*
 * PostgREST answers a PUT with 201 or 200 by a count of its own, which goes up for
 * every row and down again in the DO UPDATE that resource_put.c took off.
 */
static void
count_replaced(void)
{
	const char *count = GetConfigOption("pgrst.inserted", true, false);

	if (count != NULL && *count != '\0')
		taskapi_set_local("pgrst.inserted", psprintf("%d", atoi(count) - 1));
}

/*
 * The row in "new" is the whole of it: what the body left out is at its default.
 */
HeapTuple
taskapi_resource_put(TaskapiResourceStatement *statement, TaskapiView *view, TupleDesc desc, HeapTuple new)
{
	HeapTuple	old = NULL;
	int64		version;

	if (taskapi_resource_probe(view, desc, new, &version) == ROW_LIVE)
		old = current_row(view, desc, new);
	if (old == NULL)
	{
		if (statement->if_match != NULL || taskapi_row_version(view, desc, new) >= 0)
			taskapi_version_conflict(-1);
		return taskapi_resource_insert(statement, view, desc, new);
	}

	if (statement->if_none_match != NULL && taskapi_if_match_any(statement->if_none_match))
		taskapi_version_conflict(version);
	statement->version_sent = (taskapi_row_version(view, desc, new) >= 0);
	if (taskapi_require_if_match && view->version >= 0 && statement->if_match == NULL && !statement->version_sent)
		taskapi_precondition_required();

	count_replaced();

	/* what only the server writes stays as it is */
	if (view->by_server != NULL)
	{
		int			n = bms_num_members(view->by_server);
		int		   *columns = palloc(sizeof(int) * n);
		Datum	   *replaced = palloc(sizeof(Datum) * n);
		bool	   *isnull = palloc(sizeof(bool) * n);
		int			i = -1;

		n = 0;
		while ((i = bms_next_member(view->by_server, i)) >= 0)
		{
			columns[n] = i + 1;
			replaced[n] = heap_getattr(old, i + 1, desc, &isnull[n]);
			n++;
		}
		new = heap_modify_tuple_by_cols(new, desc, n, columns, replaced, isnull);
	}
	return taskapi_resource_update(statement, view, desc, old, new);
}
