/*-------------------------------------------------------------------------
 *
 * resource_write.c
 *	  UPDATE of one row of a resource, as the caller.
 *
 * The caller's own privileges and policies on the table decide: each statement
 * here runs as the caller.
 *
 * UPDATE.  Only columns that differ from the row that the client's statement
 * saw are written.  That row is as old as the statement's snapshot, and nobody
 * recomputes "SET n = n + 1" here as PostgreSQL does on a table when another
 * transaction was quicker.  So no update is applied blindly: it is made if the row
 * still has the version that was seen, or else if the columns to be written still
 * have the values that were seen.  If they have not, another request changed the
 * same columns meanwhile, and the answer is try_again, or version_conflict if the
 * client named a version.
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
#include "resource/resource_own_change.h"
#include "resource/resource_table.h"
#include "resource/resource_write.h"

static int	add_arguments(const TaskapiWrite *write, HeapTuple row, const Bitmapset *columns, Datum *values, char *nulls);
static Bitmapset *changed_columns(const TaskapiWrite *write);
static bool has_row(const TaskapiWrite *write, TaskapiViewPlanKind kind, const Bitmapset *columns);
static HeapTuple update_row(const TaskapiWrite *write, const Bitmapset *changed, TaskapiViewPlanKind kind);
static HeapTuple write_changes(const TaskapiWrite *write, const Bitmapset *changed, bool guarded, bool *settled);
static HeapTuple keep_row(const TaskapiWrite *write, bool guarded, bool *settled);
static bool explain_update(const TaskapiWrite *write, const Bitmapset *changed, bool guarded);

TaskapiVersion
taskapi_resource_version(const TaskapiWrite *write, HeapTuple row)
{
	const TaskapiView *view = write->view;
	TaskapiVersion version = {0};
	bool		isnull;
	Datum		value;

	if (view->version < 0)
		return version;
	value = heap_getattr(row, view->version + 1, write->desc, &isnull);
	if (!isnull)
	{
		version.known = true;
		version.number = taskapi_version_number(value, view->columns[view->version].type);
	}
	return version;
}

static int
add_arguments(const TaskapiWrite *write, HeapTuple row, const Bitmapset *columns, Datum *values, char *nulls)
{
	int			n = 0;
	int			i = -1;

	while ((i = bms_next_member(columns, i)) >= 0)
	{
		bool		isnull;

		values[n] = heap_getattr(row, i + 1, write->desc, &isnull);
		nulls[n++] = isnull ? 'n' : ' ';
	}
	return n;
}

int
taskapi_resource_key_arguments(const TaskapiWrite *write, HeapTuple row, Datum *values, char *nulls)
{
	const TaskapiView *view = write->view;

	for (int i = 0; i < view->nkeys; i++)
	{
		bool		isnull;

		values[i] = heap_getattr(row, view->keys[i].column + 1, write->desc, &isnull);
		nulls[i] = isnull ? 'n' : ' ';
	}
	return view->nkeys;
}

void
taskapi_resource_table_key(const TaskapiWrite *write, const TaskapiTable *table, HeapTuple row, Datum *values)
{
	const TaskapiView *view = write->view;
	char		nulls[INDEX_MAX_KEYS];
	bool		same = (table->nkeys == view->nkeys);

	for (int i = 0; same && i < view->nkeys; i++)
	{
		const TaskapiViewColumn *shown = &view->columns[view->keys[i].column];
		const TaskapiTableColumn *column = &table->columns[table->keys[i]];

		/* the columns of a table above it may have other numbers */
		same = shown->type == column->type &&
			(shown->source_attno == column->attno || table->entry.relid != view->registration.source);
	}
	if (!same)
		taskapi_resource_refuse_changed();
	taskapi_resource_key_arguments(write, row, values, nulls);
}

HeapTuple
taskapi_resource_take_row(const TaskapiWrite *write)
{
	TupleDesc	desc;
	HeapTuple	row = taskapi_resource_result_row(&desc);

	taskapi_resource_require_row_type(write->view, desc);
	row = SPI_copytuple(row);
	taskapi_resource_free_result();
	return row;
}

void
taskapi_resource_leave_out(const TaskapiWrite *write)
{
	write->statement->forbidden++;
	if (write->statement->operation == CMD_INSERT)
		taskapi_resource_forbidden(write->statement);
}

void
taskapi_resource_forbidden(const TaskapiResourceStatement *statement)
{
	if (statement->forbidden > 1)
		taskapi_problem(PROBLEM_FORBIDDEN, NIL, NULL, "The caller may see these rows of %s, but not change them in this way.",
						get_rel_name(statement->view));
	taskapi_problem(PROBLEM_FORBIDDEN, NIL, NULL, "The caller may see this row of %s, but not change it in this way.",
					get_rel_name(statement->view));
}

TaskapiRowState
taskapi_resource_probe(const TaskapiWrite *write, HeapTuple row, TaskapiVersion *version)
{
	static const Oid types[] = {BOOLOID, INT8OID};
	Datum		values[INDEX_MAX_KEYS];
	char		nulls[INDEX_MAX_KEYS];
	bool		live;
	bool		isnull;
	Datum		value;

	*version = (TaskapiVersion) {0};
	taskapi_resource_key_arguments(write, row, values, nulls);
	if (taskapi_resource_run(taskapi_resource_view_plan(write->view, TASKAPI_VIEW_PLAN_PROBE, NULL), values, nulls) == 0)
		return TASKAPI_ROW_ABSENT;
	taskapi_resource_require_result(types, lengthof(types));
	live = DatumGetBool(taskapi_resource_result(1, &isnull));
	value = taskapi_resource_result(2, &isnull);
	if (!isnull)
	{
		version->known = true;
		version->number = DatumGetInt64(value);
	}
	taskapi_resource_free_result();
	return live ? TASKAPI_ROW_LIVE : TASKAPI_ROW_DELETED;
}

/*
 * Is there a row that a LOCK plan finds by the old row's key, and by its values in "columns"?
 */
static bool
has_row(const TaskapiWrite *write, TaskapiViewPlanKind kind, const Bitmapset *columns)
{
	TaskapiView *view = write->view;
	Datum	   *values = palloc(sizeof(Datum) * (view->nkeys + view->ncolumns));
	char	   *nulls = palloc(view->nkeys + view->ncolumns);
	int			n = taskapi_resource_key_arguments(write, write->old, values, nulls);
	uint64		found;

	add_arguments(write, write->old, columns, values + n, nulls + n);
	found = taskapi_resource_run(taskapi_resource_view_plan(view, kind, columns), values, nulls);
	taskapi_resource_free_result();
	return found > 0;
}

HeapTuple
taskapi_resource_current_row(const TaskapiWrite *write, HeapTuple row)
{
	Datum		values[INDEX_MAX_KEYS];
	char		nulls[INDEX_MAX_KEYS];

	taskapi_resource_key_arguments(write, row, values, nulls);
	if (taskapi_resource_run(taskapi_resource_view_plan(write->view, TASKAPI_VIEW_PLAN_SELECT, NULL), values, nulls) == 0)
		return NULL;
	return taskapi_resource_take_row(write);
}

void
taskapi_resource_version_conflict(TaskapiVersion current)
{
	taskapi_version_conflict(current.known ? current.number : -1);
}

/*
 * The version in the new row, which the client has sent: NULL is none, for a row that has none.
 */
TaskapiVersion
taskapi_resource_version_sent(const TaskapiWrite *write, TaskapiVersion current)
{
	TaskapiVersion sent = taskapi_resource_version(write, write->new);

	if (sent.known ? sent.number < 0 : current.known)
		taskapi_problem(PROBLEM_INVALID_VALUE, NIL, "Send the version that you read, or leave it out.",
						"No row has a version that is null or negative.");
	return sent;
}

TaskapiTable *
taskapi_statement_table(TaskapiResourceStatement *statement)
{
	statement->table = statement->table == NULL ? taskapi_resource_table(statement->registration.source) :
		taskapi_resource_table_again(statement->table);
	return statement->table;
}

/*
 * "old" is the row in question.  The version in the new row counts only if the client sent one.
 */
bool
taskapi_resource_check_precondition(const TaskapiWrite *write, HeapTuple old)
{
	const TaskapiResourceStatement *statement = write->statement;
	TaskapiVersion version;
	int64		current;
	TaskapiVersion sent = {0};

	if (statement->if_match == NULL && statement->if_none_match == NULL && !statement->require_if_match &&
		!statement->version_sent)
		return false;
	version = taskapi_resource_version(write, old);
	current = version.known ? version.number : -1;
	if (statement->version_sent && write->new != NULL)
		sent = taskapi_resource_version_sent(write, version);
	if (statement->if_match == NULL && !sent.known && statement->require_if_match)
		taskapi_precondition_required();
	if (statement->if_match != NULL && !taskapi_if_match(statement->if_match, current))
		taskapi_if_match_failed(statement->if_match, current);
	if (sent.known && !taskapi_same_version(sent, version))
		taskapi_resource_version_conflict(version);
	if (statement->if_none_match != NULL && !taskapi_if_none_match(statement->if_none_match, current))
		taskapi_if_none_match_failed(statement->if_none_match, current);

	/* "*" asks only that the row be there, which the statement sees to */
	return sent.known || (statement->if_match != NULL && !taskapi_any_tag(statement->if_match));
}

bool
taskapi_resource_column_differs(const TaskapiWrite *write, int column, HeapTuple a, HeapTuple b)
{
	bool		a_null;
	bool		b_null;
	Datum		a_value = heap_getattr(a, column + 1, write->desc, &a_null);
	Datum		b_value = heap_getattr(b, column + 1, write->desc, &b_null);

	if (a_null || b_null)
		return a_null != b_null;
	return !datum_image_eq(a_value, b_value, write->view->columns[column].typbyval, write->view->columns[column].typlen);
}

static Bitmapset *
changed_columns(const TaskapiWrite *write)
{
	Bitmapset  *changed = NULL;

	for (int i = 0; i < write->view->ncolumns; i++)
	{
		if (write->view->columns[i].written && taskapi_resource_column_differs(write, i, write->old, write->new))
			changed = bms_add_member(changed, i);
	}
	return changed;
}

/*
 * One attempt, by a plan of an UPDATE: if the version is the one of the old row, if the changed columns are as in it, or
 * in any case.
 */
static HeapTuple
update_row(const TaskapiWrite *write, const Bitmapset *changed, TaskapiViewPlanKind kind)
{
	TaskapiView *view = write->view;
	Datum	   *values = palloc(sizeof(Datum) * (2 * view->ncolumns + view->nkeys + 1));
	char	   *nulls = palloc(2 * view->ncolumns + view->nkeys + 1);
	CommandId	command;
	int			n;

	n = add_arguments(write, write->new, changed, values, nulls);
	n += taskapi_resource_key_arguments(write, write->old, values + n, nulls + n);
	if (kind == TASKAPI_VIEW_PLAN_UPDATE_VERSION)
	{
		values[n] = Int64GetDatum(taskapi_resource_version(write, write->old).number);
		nulls[n] = ' ';
	}
	else if (kind == TASKAPI_VIEW_PLAN_UPDATE_IMAGE)
		add_arguments(write, write->old, changed, values + n, nulls + n);

	command = taskapi_next_command();
	if (taskapi_resource_run(taskapi_resource_view_plan(view, kind, changed), values, nulls) == 0)
		return NULL;
	taskapi_own_change_written(write->statement, command);
	return taskapi_resource_take_row(write);
}

/*
 * Write the changes unless somebody else has made others meanwhile; NULL if nothing was written, and "settled" if that
 * is all right.  A trigger of the table that has seen the row is not run again: what it did to the row, or that it vetoed
 * the change, is not another's doing.
 */
static HeapTuple
write_changes(const TaskapiWrite *write, const Bitmapset *changed, bool guarded, bool *settled)
{
	bool		versioned = taskapi_resource_version(write, write->old).known;
	CommandId	attempt = versioned ? taskapi_next_command() : InvalidCommandId;
	CommandId	command;
	HeapTuple	result = versioned ? update_row(write, changed, TASKAPI_VIEW_PLAN_UPDATE_VERSION) : NULL;

	if (result != NULL)
		return result;
	switch (taskapi_own_change(write, &command))
	{
		case TASKAPI_CHANGE_STATEMENT:
			/* a statement writes a row once, as on a table */
			*settled = true;
			return NULL;
		case TASKAPI_CHANGE_TRIGGER:
			*settled = true;
			return command >= attempt ? NULL : update_row(write, changed, TASKAPI_VIEW_PLAN_UPDATE_KEY);
		case TASKAPI_CHANGE_NONE:
			if (versioned)
				return NULL;
			break;
		case TASKAPI_CHANGE_OTHER:
			break;
	}
	return guarded ? NULL : update_row(write, changed, TASKAPI_VIEW_PLAN_UPDATE_IMAGE);
}

/*
 * Nothing to do, for those who might do it.
 */
static HeapTuple
keep_row(const TaskapiWrite *write, bool guarded, bool *settled)
{
	TaskapiChange change = TASKAPI_CHANGE_OTHER;
	TaskapiVersion version;
	CommandId	command;

	if (guarded || write->statement->written != NULL)
		change = taskapi_own_change(write, &command);
	*settled = (change == TASKAPI_CHANGE_STATEMENT);
	if (*settled || !has_row(write, TASKAPI_VIEW_PLAN_LOCK, NULL))
		return NULL;
	if (guarded && change != TASKAPI_CHANGE_TRIGGER &&
		!(taskapi_resource_probe(write, write->old, &version) == TASKAPI_ROW_LIVE &&
		  taskapi_same_version(version, taskapi_resource_version(write, write->old))))
		return NULL;
	return taskapi_resource_current_row(write, write->old);
}

HeapTuple
taskapi_resource_update(const TaskapiWrite *write)
{
	bool		guarded = taskapi_resource_check_precondition(write, write->old);
	Bitmapset  *changed = changed_columns(write);
	bool		settled = false;
	HeapTuple	result;

	if (bms_is_empty(changed))
		result = keep_row(write, guarded, &settled);
	else
	{
		taskapi_resource_require_triggers(taskapi_statement_table(write->statement),
										  write->view->registration.versioned);
		result = write_changes(write, changed, guarded, &settled);
	}
	if (result == NULL && (settled || explain_update(write, changed, guarded)))
		write->statement->vetoed = true;
	return result;
}

/*
 * Why was nothing written?  A problem; or true if a trigger has vetoed it, false if the row is gone or a policy leaves it
 * out.
 */
static bool
explain_update(const TaskapiWrite *write, const Bitmapset *changed, bool guarded)
{
	TaskapiVersion version;

	for (int attempt = 1;; attempt++)
	{
		if (taskapi_resource_probe(write, write->old, &version) != TASKAPI_ROW_LIVE)
		{
			if (guarded)
				taskapi_resource_version_conflict((TaskapiVersion) {0});
			return false;		/* gone meanwhile */
		}
		if (has_row(write, TASKAPI_VIEW_PLAN_LOCK, NULL))
			break;
		if (attempt == TASKAPI_RESOURCE_ATTEMPTS)
		{
			taskapi_resource_leave_out(write);
			return false;
		}
	}
	if (guarded && !taskapi_same_version(version, taskapi_resource_version(write, write->old)))
		taskapi_resource_version_conflict(version);
	if (!bms_is_empty(changed) && !has_row(write, TASKAPI_VIEW_PLAN_LOCK_IMAGE, changed))
		/* also if the values are the ones to be written: two "n + 1" are not one */
		taskapi_problem(PROBLEM_TRY_AGAIN, NIL, "Send the request again.",
						"Another request changed the same columns at the same time.");
	return true;
}
