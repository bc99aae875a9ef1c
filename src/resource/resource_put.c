/*-------------------------------------------------------------------------
 *
 * resource_put.c
 *	  PUT of one row (resource_put.h).
 *
 * A row that is there is replaced as PATCH changes one: only columns that differ
 * are written, and the preconditions are checked.  A row that is not there is
 * created by an INSERT that does nothing to a row which came in between; then
 * that one is replaced.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "commands/comment.h"
#include "executor/executor.h"
#include "nodes/params.h"
#include "utils/lsyscache.h"

#include "base/compat.h"
#include "resource/resource_default.h"
#include "resource/resource_put.h"
#include "resource/resource_upsert.h"
#include "resource/resource_write.h"

static void lock(const TaskapiWrite *write);
static HeapTuple create(const TaskapiWrite *write, const TaskapiConflict *clause, bool *met);
static Bitmapset *kept_columns(const TaskapiWrite *write);
static HeapTuple replacing_row(const TaskapiWrite *write, HeapTuple old);
static bool condition_holds(const TaskapiWrite *write, const TaskapiConflict *clause);

HeapTuple
taskapi_resource_put(const TaskapiWrite *write, const TaskapiConflict *clause)
{
	TaskapiWrite replacement = *write;
	TaskapiVersion version;
	HeapTuple	row;
	bool		met = true;

	write->statement->version_sent = write->version_given;
	for (int attempt = 1;; attempt++)
	{
		switch (taskapi_resource_probe(write, write->new, &version))
		{
			case TASKAPI_ROW_LIVE:
				lock(write);
				replacement.old = taskapi_resource_current_row(write, write->new);
				if (replacement.old == NULL)
					break;		/* gone meanwhile */
				replacement.new = replacing_row(write, replacement.old);
				if (!condition_holds(write, clause))
					return NULL;
				row = taskapi_resource_update(&replacement);
				if (row != NULL || taskapi_resource_probe(write, write->new, &version) == TASKAPI_ROW_LIVE)
					return row;
				break;
			case TASKAPI_ROW_DELETED:
				taskapi_resource_refuse_deleted(write, write->new);
				break;			/* restored meanwhile */
			case TASKAPI_ROW_ABSENT:
				row = create(write, clause, &met);
				if (row != NULL || !met)
					return row;
				break;
		}
		/* a row that is in the way, and that the caller does not see */
		if (attempt == TASKAPI_RESOURCE_ATTEMPTS)
			taskapi_resource_forbidden(write->statement);
	}
}

/*
 * Two that replace the same row both succeed, each with all of its own row: the second starts from what the first has made of it.
 * A row that the caller may not change is not locked, which the update finds out.
 */
static void
lock(const TaskapiWrite *write)
{
	Datum		values[INDEX_MAX_KEYS];
	char		nulls[INDEX_MAX_KEYS];

	taskapi_resource_key_arguments(write, write->new, values, nulls);
	taskapi_resource_run(taskapi_resource_view_plan(write->view, TASKAPI_VIEW_PLAN_LOCK, NULL), values, nulls);
	taskapi_resource_free_result();
}

static HeapTuple
create(const TaskapiWrite *write, const TaskapiConflict *clause, bool *met)
{
	TaskapiVersion sent = {0};

	if (write->version_given)
		sent = taskapi_resource_version_sent(write, (TaskapiVersion) {.known = true});
	if (write->statement->if_match != NULL || sent.known)
		taskapi_resource_version_conflict((TaskapiVersion) {0});
	return taskapi_resource_insert_unless_there(write, clause->create, met);
}

/*
 * The columns that keep their value.
 */
static Bitmapset *
kept_columns(const TaskapiWrite *write)
{
	const TaskapiView *view = write->view;
	Bitmapset  *kept = bms_copy(view->by_server);
	Bitmapset  *left_out = bms_difference(view->writable, write->given);
	int			i = -1;

	while ((i = bms_next_member(left_out, i)) >= 0)
	{
		const char *comment;

		if (!bms_is_member(i, view->changing_defaults))
		{
			/* asked each time: a comment that changes invalidates nothing */
			comment = GetComment(view->registration.source, RelationRelationId, view->columns[i].source_attno);
			if (comment == NULL || strncmp(comment, "@kept", strlen("@kept")) != 0)
				continue;
		}
		kept = bms_add_member(kept, i);
	}
	return kept;
}

/*
 * The new row, with what the body left out, and with what only the server writes as it is in the old one.
 */
static HeapTuple
replacing_row(const TaskapiWrite *write, HeapTuple old)
{
	HeapTuple	new = taskapi_resource_fill_defaults(write);
	Bitmapset  *kept = kept_columns(write);
	int			n = 0;
	int			i = -1;
	int		   *columns;
	Datum	   *values;
	bool	   *nulls;

	if (bms_is_empty(kept))
		return new;
	columns = palloc(sizeof(int) * bms_num_members(kept));
	values = palloc(sizeof(Datum) * bms_num_members(kept));
	nulls = palloc(bms_num_members(kept));
	while ((i = bms_next_member(kept, i)) >= 0)
	{
		columns[n] = i + 1;
		values[n] = heap_getattr(old, i + 1, write->desc, &nulls[n]);
		n++;
	}
	return heap_modify_tuple_by_cols(new, write->desc, n, columns, values, nulls);
}

/*
 * A condition without a column in it.  PostgREST counts the rows by one that are replaced, to answer with 200 or 201.
 */
static bool
condition_holds(const TaskapiWrite *write, const TaskapiConflict *clause)
{
	List	   *arguments;
	EState	   *estate;
	ExprContext *econtext;
	Datum		value;
	bool		isnull;
	ListCell   *lc;

	if (clause->where == NULL)
		return true;
	arguments = taskapi_conflict_arguments(clause, write->conflict);
	estate = CreateExecutorState();
	econtext = GetPerTupleExprContext(estate);
	if (arguments != NIL)
		econtext->ecxt_param_list_info = makeParamList(list_length(arguments));
	foreach(lc, arguments)
	{
		const Const *argument = lfirst_node(Const, lc);
		ParamExternData *param = &econtext->ecxt_param_list_info->params[foreach_current_index(lc)];

		param->value = argument->constvalue;
		param->isnull = argument->constisnull;
		param->pflags = PARAM_FLAG_CONST;
		param->ptype = argument->consttype;
	}
	value = ExecEvalExprSwitchContext(ExecPrepareExpr(copyObject((Expr *) clause->where), estate), econtext, &isnull);
	FreeExecutorState(estate);
	return !isnull && DatumGetBool(value);
}
