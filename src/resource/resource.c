/*-------------------------------------------------------------------------
 *
 * resource.c
 *	  The triggers of a resource's view: what a statement is, and which row
 *	  goes where.
 *
 * The statements that are under way form a stack, see resource.h.  A statement
 * is found by its view and command from the top, and ends in its AFTER
 * STATEMENT trigger; the rollback of a subtransaction takes along the
 * statements that started in it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "base/trigger_check.h"
#include "http/layer.h"
#include "http/precondition.h"
#include "http/request.h"
#include "resource/resource.h"
#include "resource/resource_put.h"
#include "resource/resource_delete.h"
#include "resource/resource_error.h"
#include "resource/resource_source.h"
#include "resource/resource_write.h"

TaskapiResourceHooks taskapi_resource_hooks;

static int	deleted_retention = 30 * 24 * 60 * 60;

static TaskapiResourceStatement *statements = NULL;

/* How many row writes are under way, one within the other */
static int	write_depth = 0;

static CmdType trigger_operation(TriggerEvent event);
static pg_noinline TaskapiResourceStatement *find_statement(Oid view, CmdType operation);
static TaskapiResourceStatement *start_statement(Oid view, CmdType operation, const Bitmapset *updated);
static void end_statement(TaskapiResourceStatement *statement);
static bool precondition_applies(void);
static HeapTuple write_row(TaskapiResourceStatement *statement, TaskapiView *view, TriggerData *trigdata);
static void row_written(TaskapiResourceStatement *statement, TaskapiView *view, TupleDesc desc, HeapTuple row);
static void xact_callback(XactEvent event, void *arg);
static void subxact_callback(SubXactEvent event, SubTransactionId subid, SubTransactionId parent, void *arg);

void
taskapi_resource_init(void)
{
	DefineCustomBoolVariable("taskapi.require_if_match",
							 "Refuses PATCH, PUT and DELETE on a resource that do not say which version they are made from.",
							 NULL, &taskapi_require_if_match, false, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("taskapi.deleted_retention",
							"How long a soft-deleted row is kept before maintain() purges it.",
							"-1 keeps them for ever.",
							&deleted_retention,
							30 * 24 * 60 * 60, -1, INT_MAX,
							PGC_USERSET,
							GUC_UNIT_S,
							NULL, NULL, NULL);
	taskapi_resource_cache_init();
	taskapi_resource_put_init();
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}

static CmdType
trigger_operation(TriggerEvent event)
{
	if (TRIGGER_FIRED_BY_INSERT(event))
		return CMD_INSERT;
	if (TRIGGER_FIRED_BY_UPDATE(event))
		return CMD_UPDATE;
	return CMD_DELETE;
}

/*
 * Statements below the one that is writing a row wait for it: they are other
 * executions, even of the same view and command.
 *
 * Inlined beside a PG_TRY, gcc warns that a longjmp might clobber the loop's
 * variable.
 */
static TaskapiResourceStatement *
find_statement(Oid view, CmdType operation)
{
	for (TaskapiResourceStatement *s = statements; s != NULL && s->depth == write_depth; s = s->outer)
	{
		if (s->view == view && s->operation == operation)
			return s;
	}
	return NULL;
}

/*
 * Preconditions are the client's, about the resource that it names by PATCH, PUT
 * or DELETE; not about what a function that it called does on the way.
 */
static bool
precondition_applies(void)
{
	const char *method = taskapi_request_method();

	return method != NULL &&
		(strcmp(method, "PATCH") == 0 || strcmp(method, "PUT") == 0 || strcmp(method, "DELETE") == 0);
}

static TaskapiResourceStatement *
start_statement(Oid view, CmdType operation, const Bitmapset *updated)
{
	TaskapiView *meta = taskapi_view(view);
	MemoryContext oldcontext = MemoryContextSwitchTo(CurTransactionContext);
	TaskapiResourceStatement *s = palloc0(sizeof(TaskapiResourceStatement));

	s->view = view;
	s->operation = operation;
	s->subid = GetCurrentSubTransactionId();
	s->depth = write_depth;
	s->registration = meta->registration;
	s->deleted_rows = meta->deleted_rows;
	s->client = (write_depth == 0 && taskapi_in_request());
	s->updated = bms_copy(updated);
	s->may_read = (operation != CMD_INSERT || taskapi_may_read(meta));
	s->version_sent = (operation == CMD_UPDATE && meta->version >= 0 &&
					   bms_is_member(meta->version + 1 - FirstLowInvalidHeapAttributeNumber, updated));
	if (s->client && precondition_applies())
	{
		const char *field = taskapi_request_header("If-Match");

		if (field)
			s->if_match = pstrdup(field);
		field = taskapi_request_header("If-None-Match");
		if (field)
			s->if_none_match = pstrdup(field);
		/* of a PUT, whether it changes something shows at the row */
		if (taskapi_require_if_match && meta->version >= 0 && !s->if_match && !s->version_sent && operation != CMD_INSERT)
			taskapi_precondition_required();
	}
	MemoryContextSwitchTo(oldcontext);

	s->outer = statements;
	statements = s;
	if (taskapi_resource_hooks.statement_start)
		taskapi_resource_hooks.statement_start(s);
	return s;
}

static void
end_statement(TaskapiResourceStatement *statement)
{
	TaskapiResourceStatement **link = &statements;

	/* RFC 9110, 13.1.1: what is not there matches nothing, not even "*" */
	if (statement->rows == 0 &&
		(statement->if_match != NULL || statement->version_sent))
		taskapi_version_conflict(-1);
	if (taskapi_resource_hooks.statement_end)
		taskapi_resource_hooks.statement_end(statement);

	while (*link != statement)
		link = &(*link)->outer;
	*link = statement->outer;
	pfree(statement);
}

/*
 * resource_statement() -> trigger: BEFORE and AFTER each statement on a resource
 */
PG_FUNCTION_INFO_V1(taskapi_resource_statement);
Datum
taskapi_resource_statement(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata;
	CmdType		operation;
	Oid			view;

	trigdata = taskapi_require_trigger(fcinfo, TASKAPI_TRIGGER_STATEMENT | TASKAPI_TRIGGER_INSERT |
									   TASKAPI_TRIGGER_UPDATE | TASKAPI_TRIGGER_DELETE, "resource_statement");
	operation = trigger_operation(trigdata->tg_event);
	view = RelationGetRelid(trigdata->tg_relation);
	if (TRIGGER_FIRED_BEFORE(trigdata->tg_event))
		start_statement(view, operation, trigdata->tg_updatedcols);
	else
	{
		TaskapiResourceStatement *statement = find_statement(view, operation);

		if (statement != NULL)
			end_statement(statement);
	}
	return PointerGetDatum(NULL);
}

/*
 * resource_write() -> trigger: INSTEAD OF INSERT, UPDATE or DELETE on a resource
 *
 * Runs as the caller.  The row comes back as the view shows it.
 */
PG_FUNCTION_INFO_V1(taskapi_resource_write);
Datum
taskapi_resource_write(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata;
	TupleDesc	desc;
	TaskapiResourceStatement *statement;
	TaskapiView *view;
	CmdType		operation;
	HeapTuple	old;
	HeapTuple	new;
	HeapTuple	result = NULL;
	MemoryContext context = CurrentMemoryContext;
	int			depth = write_depth;

	trigdata = taskapi_require_trigger(fcinfo, TASKAPI_TRIGGER_INSTEAD, "resource_write");
	desc = RelationGetDescr(trigdata->tg_relation);
	operation = trigger_operation(trigdata->tg_event);
	view = taskapi_view(RelationGetRelid(trigdata->tg_relation));
	statement = find_statement(view->entry.relid, operation);
	if (statement == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("resource \"%s\" lacks its statement triggers", RelationGetRelationName(trigdata->tg_relation)),
				 errhint("Call taskapi.expose() again.")));

	old = operation == CMD_INSERT ? NULL : trigdata->tg_trigtuple;
	new = operation == CMD_UPDATE ? trigdata->tg_newtuple : operation == CMD_INSERT ? trigdata->tg_trigtuple : NULL;
	if (taskapi_resource_hooks.before_row)
	{
		result = taskapi_resource_hooks.before_row(statement, desc, old, new);
		if (result != NULL)
		{
			statement->rows++;
			return PointerGetDatum(result);
		}
	}

	PG_TRY();
	{
		write_depth++;
		if (SPI_connect() != SPI_OK_CONNECT)
			elog(ERROR, "SPI_connect failed");
		result = write_row(statement, view, trigdata);
		SPI_finish();
		write_depth = depth;
	}
	PG_CATCH();
	{
		write_depth = depth;
		taskapi_resource_rethrow(context, operation);
	}
	PG_END_TRY();

	if (result != NULL)
		row_written(statement, view, desc, result);
	return PointerGetDatum(result);
}

static HeapTuple
write_row(TaskapiResourceStatement *statement, TaskapiView *view, TriggerData *trigdata)
{
	TupleDesc	desc = RelationGetDescr(trigdata->tg_relation);
	HeapTuple	row = trigdata->tg_trigtuple;

	switch (statement->operation)
	{
		case CMD_INSERT:
			if (statement->client && strcmp(taskapi_request_method(), "PUT") == 0)
				return taskapi_resource_put(statement, view, desc, row);
			return taskapi_resource_insert(statement, view, desc, row);
		case CMD_UPDATE:
			if (view->deleted_rows)
				return taskapi_resource_restore(statement, view, desc, row, trigdata->tg_newtuple);
			return taskapi_resource_update(statement, view, desc, row, trigdata->tg_newtuple);
		default:
			if (view->deleted_rows)
				return taskapi_resource_purge(statement, view, desc, row);
			return taskapi_resource_delete(statement, view, desc, row);
	}
}

/*
 * The first row's tag is the answer's, unless a second row follows.
 */
static void
row_written(TaskapiResourceStatement *statement, TaskapiView *view, TupleDesc desc, HeapTuple row)
{
	statement->rows++;
	if (statement->client && view->version >= 0 && statement->operation != CMD_DELETE)
	{
		int64		version = taskapi_row_version(view, desc, row);

		if (statement->rows == 1 && version >= 0)
			taskapi_set_etag(version);
		else if (statement->rows == 2)
			taskapi_unset_etag();
	}
	if (taskapi_resource_hooks.row_written)
		taskapi_resource_hooks.row_written(statement, desc, row);
}

static void
xact_callback(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
	{
		statements = NULL;
		write_depth = 0;
		taskapi_delete_request = NULL;
	}
}

static void
subxact_callback(SubXactEvent event, SubTransactionId subid, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		while (statements != NULL && statements->subid >= subid)
			statements = statements->outer;
	}
}
