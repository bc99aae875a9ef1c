/*-------------------------------------------------------------------------
 *
 * resource.c
 *	  The triggers of a resource's view: what a statement is, and which row
 *	  goes where.
 *
 * The statements that are under way form a stack, see resource_statement.h.  A statement
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
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "parser/parsetree.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/citus.h"
#include "base/compat.h"
#include "base/table_cache.h"
#include "base/trigger_check.h"
#include "http/layer.h"
#include "http/precondition.h"
#include "http/read_after.h"
#include "http/request.h"
#include "resource/resource.h"
#include "resource/resource_cascade.h"
#include "resource/resource_client.h"
#include "resource/resource_delete.h"
#include "resource/resource_delete_scan.h"
#include "resource/resource_error.h"
#include "resource/resource_insert.h"
#include "resource/resource_insert_mark.h"
#include "resource/resource_json.h"
#include "resource/resource_planner.h"
#include "resource/resource_purge.h"
#include "resource/resource_put.h"
#include "resource/resource_query.h"
#include "resource/resource_retention.h"
#include "resource/resource_stranger.h"
#include "resource/resource_trash_hint.h"
#include "resource/resource_upsert.h"
#include "resource/resource_write.h"

TaskapiResourceHooks taskapi_resource_hooks;

static bool check_deferred_constraints = true;

static TaskapiResourceStatement *statements = NULL;

/*
 * How many row writes, and ends of statements, are under way, one within the other.
 * While "ending" is set the innermost is an end, which runs the triggers that the rows of the statement have queued.
 */
static int	write_depth = 0;
static bool ending = false;

static ExecutorFinish_hook_type next_ExecutorFinish_hook = NULL;

static CmdType trigger_operation(TriggerEvent event);
static pg_noinline TaskapiResourceStatement *find_statement(Oid view, CmdType operation, int depth);
static void finish_query(QueryDesc *query);
static void finish(QueryDesc *query);
static pg_noinline TaskapiResourceStatement *statement_of_query(const PlannedStmt *query);
static void start_statement(Oid view, CmdType operation, const Bitmapset *updated);
static void end_deletions(TaskapiResourceStatement *statement);
static void end_statement(TaskapiResourceStatement *statement);
static void check_deferred(const TaskapiResourceStatement *statement);
static TaskapiRequestMethod request_method(void);
static bool clients_statement_runs(void);
static void read_preconditions(TaskapiResourceStatement *statement, const TaskapiView *view);
static void describe_write(TaskapiWrite *write, TriggerData *trigdata);
static HeapTuple write_row(const TaskapiWrite *write);
static HeapTuple shown_row(const TaskapiWrite *write, HeapTuple row);
static void answer(const TaskapiWrite *write, HeapTuple row);
static void xact_callback(XactEvent event, void *arg);
static void subxact_callback(SubXactEvent event, SubTransactionId subid, SubTransactionId parent, void *arg);

void
taskapi_resource_init(void)
{
	DefineCustomBoolVariable("taskapi.require_if_match",
							 "Refuses PATCH, PUT and DELETE on a resource without If-Match or a version in the body.",
							 NULL, &taskapi_require_if_match, false, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("taskapi.check_deferred_constraints",
							 "Checks deferred constraints at the end of a request's statement, not at COMMIT.",
							 "An error at COMMIT comes too late for a problem.",
							 &check_deferred_constraints, true, PGC_USERSET, 0, NULL, NULL, NULL);
	taskapi_retention_init();
	taskapi_registry_init();
	taskapi_resource_cache_init();
	taskapi_resource_planner_init();
	taskapi_resource_json_init();
	taskapi_delete_scan_init();
	taskapi_resource_plan_init();
	taskapi_strangers_init();
	taskapi_resource_query_init();
	next_ExecutorFinish_hook = ExecutorFinish_hook;
	ExecutorFinish_hook = finish_query;
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}

/*
 * The end of a query.  If it wrote to resources, its rows have queued the AFTER triggers of their tables, whose errors
 * are the client's problems as much as those of the rows, and in which other statements may write to resources.
 */
static void
finish_query(QueryDesc *query)
{
	TaskapiResourceStatement *statement = NULL;
	CmdType		operation;
	const List *taken;
	Oid			owner;
	MemoryContext context = CurrentMemoryContext;
	int			depth = write_depth;
	bool		was_ending = ending;
	uint64		names = taskapi_names_generation();
	TaskapiRuns runs = {query->estate->es_query_cxt, CurrentResourceOwner, query};
	TaskapiRuns *outer;

	if (query->estate->es_auxmodifytables != NIL)
		taskapi_resource_run_rest(query);
	if (statements != NULL)
		statement = statement_of_query(query->plannedstmt);
	/* rows that taskapi_resource_run_rest() has written do not know their query */
	for (TaskapiResourceStatement *s = statements; s != NULL; s = s->outer)
	{
		if (s->runs.query == query || s == statement)
			taskapi_runs_end(&s->runs);
	}
	if (statement == NULL)
	{
		finish(query);
		return;
	}
	operation = statement->operation;
	taken = statement->taken;
	owner = statement->owner;
	outer = taskapi_runs_enter(&runs);
	PG_TRY();
	{
		write_depth++;
		ending = true;
		finish(query);
		write_depth = depth;
		ending = was_ending;
		taskapi_runs_enter(outer);
		taskapi_runs_end(&runs);
	}
	PG_CATCH();
	{
		write_depth = depth;
		ending = was_ending;
		taskapi_runs_enter(outer);
		taskapi_trash_hint(context, false, taken);
		taskapi_resource_rethrow_renamed(names);
		taskapi_resource_rethrow(context, operation, owner);
	}
	PG_END_TRY();
}

static void
finish(QueryDesc *query)
{
	if (next_ExecutorFinish_hook)
		next_ExecutorFinish_hook(query);
	else
		standard_ExecutorFinish(query);
}

/*
 * A statement that the query has started.
 */
static TaskapiResourceStatement *
statement_of_query(const PlannedStmt *query)
{
	int			place = 0;
	int			rti;

	while ((rti = taskapi_next_result_relation(query, &place)) != 0)
	{
		Oid			relid = rt_fetch(rti, query->rtable)->relid;

		for (TaskapiResourceStatement *s = statements; s != NULL && s->depth == write_depth; s = s->outer)
		{
			if (s->view == relid)
				return s;
		}
	}
	return NULL;
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
find_statement(Oid view, CmdType operation, int depth)
{
	for (TaskapiResourceStatement *s = statements; s != NULL && s->depth == depth; s = s->outer)
	{
		if (s->view == view && s->operation == operation)
			return s;
	}
	return NULL;
}

static TaskapiRequestMethod
request_method(void)
{
	static const struct
	{
		const char *name;
		TaskapiRequestMethod method;
	}			methods[] = {
		{"POST", TASKAPI_METHOD_POST}, {"PUT", TASKAPI_METHOD_PUT},
		{"PATCH", TASKAPI_METHOD_PATCH}, {"DELETE", TASKAPI_METHOD_DELETE}
	};
	const char *method = taskapi_request_method();

	if (method == NULL)
		return TASKAPI_METHOD_NONE;
	for (int i = 0; i < lengthof(methods); i++)
	{
		if (strcmp(method, methods[i].name) == 0)
			return methods[i].method;
	}
	return TASKAPI_METHOD_OTHER;
}

static bool
clients_statement_runs(void)
{
	for (TaskapiResourceStatement *s = statements; s != NULL; s = s->outer)
	{
		if (s->method != TASKAPI_METHOD_NONE)
			return true;
	}
	return false;
}

static void
start_statement(Oid view, CmdType operation, const Bitmapset *updated)
{
	TaskapiView *meta = taskapi_resource_view(view);
	MemoryContext context = AllocSetContextCreate(CurTransactionContext, "taskapi statement", ALLOCSET_SMALL_SIZES);
	MemoryContext oldcontext = MemoryContextSwitchTo(context);
	TaskapiResourceStatement *s = palloc0(sizeof(TaskapiResourceStatement));

	if (meta->distributed)
		taskapi_citus_refuse(meta->registration.source);
	s->context = context;
	s->view = view;
	s->operation = operation;
	s->subid = GetCurrentSubTransactionId();
	s->depth = write_depth;
	s->taken = meta->taken;
	s->first_command = GetCurrentCommandId(false);
	s->registration = meta->registration;
	s->owner = meta->source_owner;
	s->deleted_rows = meta->deleted_rows;
	s->method = write_depth == 0 ? request_method() : TASKAPI_METHOD_NONE;
	if (s->method != TASKAPI_METHOD_NONE && !taskapi_resource_is_clients(view, clients_statement_runs()))
		s->method = TASKAPI_METHOD_NONE;
	s->updated = bms_copy(updated);
	s->may_read = (operation != CMD_INSERT || taskapi_resource_may_read(meta));
	s->version_sent = (operation == CMD_UPDATE && meta->version >= 0 &&
					   bms_is_member(meta->version + 1 - FirstLowInvalidHeapAttributeNumber, updated));
	MemoryContextSwitchTo(oldcontext);
	if (s->method == TASKAPI_METHOD_PATCH || s->method == TASKAPI_METHOD_PUT || s->method == TASKAPI_METHOD_DELETE)
		read_preconditions(s, meta);

	s->outer = statements;
	statements = s;
	if (taskapi_resource_hooks.statement_start)
		taskapi_resource_hooks.statement_start(s);
}

/*
 * Preconditions are about the resource that the client names by PATCH, PUT or
 * DELETE; those of a POST about the rows in the way, so it is asked for them only
 * if it says what to do with these.
 */
static void
read_preconditions(TaskapiResourceStatement *statement, const TaskapiView *view)
{
	const char *field = taskapi_request_header("If-Match");

	statement->preconditions_read = true;
	if (field)
		statement->if_match = MemoryContextStrdup(statement->context, field);
	field = taskapi_request_header("If-None-Match");
	if (field)
		statement->if_none_match = MemoryContextStrdup(statement->context, field);
	statement->require_if_match = taskapi_require_if_match && view->version >= 0;

	/* of a PUT, whether it changes something shows at the row; of a version that is sent, whether it is null */
	if (statement->require_if_match && !statement->if_match && !statement->version_sent &&
		statement->operation != CMD_INSERT)
		taskapi_precondition_required();
}

/*
 * What deletions, restores and purges have left for the end of the statement.
 */
static void
end_deletions(TaskapiResourceStatement *statement)
{
	if (statement->deleted == NIL && statement->restored == NIL && statement->waiting == NIL)
		return;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	taskapi_cascade_end_statement(statement);
	taskapi_purge_end_statement(statement);
	SPI_finish();
}

static void
end_statement(TaskapiResourceStatement *statement)
{
	TaskapiResourceStatement **link = &statements;

	if (statement->rows == 0 && statement->forbidden > 0)
		taskapi_resource_forbidden(statement);
	/* RFC 9110, 13.1.1: what is not there matches nothing, not even "*" */
	if (statement->rows == 0 && !statement->vetoed && statement->method != TASKAPI_METHOD_POST &&
		(statement->if_match != NULL || statement->version_sent))
		taskapi_version_conflict(-1);
	taskapi_runs_end(&statement->runs);
	end_deletions(statement);
	check_deferred(statement);
	if (taskapi_resource_hooks.statement_end)
		taskapi_resource_hooks.statement_end(statement);

	while (*link != statement)
		link = &(*link)->outer;
	*link = statement->outer;
	MemoryContextDelete(statement->context);
}

/*
 * A layer runs one statement in a request's transaction, and cannot answer an error of COMMIT with a problem.  A function under
 * /rpc may run several that are right only together.
 */
static void
check_deferred(const TaskapiResourceStatement *statement)
{
	ConstraintsSetStmt *immediate;
	const char *path;

	if (!check_deferred_constraints || statement->method == TASKAPI_METHOD_NONE)
		return;
	path = taskapi_request_path();
	if (path != NULL && strncmp(path, "/rpc/", 5) == 0)
		return;
	immediate = makeNode(ConstraintsSetStmt);
	immediate->deferred = false;
	AfterTriggerSetState(immediate);
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
		TaskapiResourceStatement *statement = find_statement(view, operation, ending ? write_depth - 1 : write_depth);

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
	TaskapiWrite write = {0};
	HeapTuple	result = NULL;
	MemoryContext context = CurrentMemoryContext;
	int			depth = write_depth;
	bool		was_ending = ending;
	TaskapiRuns *outer;

	describe_write(&write, taskapi_require_trigger(fcinfo, TASKAPI_TRIGGER_INSTEAD, "resource_write"));
	if (taskapi_resource_hooks.before_row)
		result = taskapi_resource_hooks.before_row(&write);
	if (result != NULL)
	{
		answer(&write, result);
		return PointerGetDatum(shown_row(&write, result));
	}

	taskapi_runs_init(&write.statement->runs, write.statement->context);
	outer = taskapi_runs_enter(&write.statement->runs);
	PG_TRY();
	{
		write_depth++;
		ending = false;
		if (SPI_connect() != SPI_OK_CONNECT)
			elog(ERROR, "SPI_connect failed");
		result = write_row(&write);
		SPI_finish();
		write_depth = depth;
		ending = was_ending;
		taskapi_runs_enter(outer);
	}
	PG_CATCH();
	{
		write_depth = depth;
		ending = was_ending;
		taskapi_runs_enter(outer);
		taskapi_resource_join(NULL);
		taskapi_trash_hint(context, write.statement->key_in_trash, write.statement->taken);
		taskapi_resource_rethrow_renamed(write.view->entry.names);
		taskapi_resource_rethrow(context, write.statement->operation, write.statement->owner);
	}
	PG_END_TRY();

	if (result != NULL)
	{
		answer(&write, result);
		if (taskapi_resource_hooks.row_written)
			taskapi_resource_hooks.row_written(&write, result);
		result = shown_row(&write, result);
	}
	return PointerGetDatum(result);
}

/*
 * A row of which the client's statement returns nothing is shown to nobody, not to another trigger of the view either.
 */
static HeapTuple
shown_row(const TaskapiWrite *write, HeapTuple row)
{
	return write->statement->operation == CMD_INSERT && bms_is_empty(write->returned) ? write->new : row;
}

static void
describe_write(TaskapiWrite *write, TriggerData *trigdata)
{
	Relation	rel = trigdata->tg_relation;
	CmdType		operation = trigger_operation(trigdata->tg_event);

	write->desc = RelationGetDescr(rel);
	write->statement = find_statement(RelationGetRelid(rel), operation, write_depth);
	if (write->statement == NULL)
	{
		(void) taskapi_resource_view_to_write(RelationGetRelid(rel));
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("resource \"%s\" lacks its statement triggers", RelationGetRelationName(rel)),
				 errhint("Call taskapi.expose() again.")));
	}
	write->view = write->statement->meta = write->statement->meta == NULL ?
		taskapi_resource_view_to_write(RelationGetRelid(rel)) : taskapi_resource_view_again(write->statement->meta);
	taskapi_resource_require_row_type(write->view, write->desc);
	write->old = operation == CMD_INSERT ? NULL : trigdata->tg_trigtuple;
	write->new = operation == CMD_UPDATE ? trigdata->tg_newtuple : operation == CMD_INSERT ? trigdata->tg_trigtuple : NULL;
	if (operation == CMD_INSERT)
		taskapi_insert_read_mark(write);
}

static HeapTuple
write_row(const TaskapiWrite *write)
{
	bool		deleted_rows = write->view->deleted_rows;
	const TaskapiConflict *conflict;

	switch (write->statement->operation)
	{
		case CMD_INSERT:
			conflict = taskapi_conflict(write->view, write->conflict);
			if (conflict == NULL)
				return taskapi_resource_insert(write);
			if (conflict->replaces && write->statement->method == TASKAPI_METHOD_PUT)
				return taskapi_resource_put(write, conflict);
			if (write->statement->method == TASKAPI_METHOD_POST && !write->statement->preconditions_read)
				read_preconditions(write->statement, write->view);
			return taskapi_resource_upsert(write, conflict);
		case CMD_UPDATE:
			return deleted_rows ? taskapi_resource_restore(write) : taskapi_resource_update(write);
		default:
			return deleted_rows ? taskapi_resource_purge(write) : taskapi_resource_delete(write);
	}
}

/*
 * A row goes back to the client, written now or replayed.  The first row's tag is the answer's, unless a second row follows.
 * By the first row the transaction has an id, unless nothing was written.
 */
static void
answer(const TaskapiWrite *write, HeapTuple row)
{
	TaskapiResourceStatement *statement = write->statement;
	bool		tagged = statement->operation != CMD_DELETE && statement->method != TASKAPI_METHOD_NONE &&
		write->view->version >= 0;

	statement->rows++;
	if (statement->rows == 1 && tagged)
	{
		TaskapiVersion version = taskapi_resource_version(write, row);

		taskapi_answer_write(version.known ? version.number : -1, taskapi_read_after_token());
	}
	else if (statement->rows == 1)
		taskapi_read_after_announce();
	else if (statement->rows == 2 && tagged)
		taskapi_unset_etag();
}

static void
xact_callback(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE)
	{
		/* what was left for the end of a statement must not be left out because its trigger is gone */
		for (TaskapiResourceStatement *s = statements; s != NULL; s = s->outer)
		{
			if (s->deleted != NIL || s->restored != NIL || s->waiting != NIL)
				ereport(ERROR,
						(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						 errmsg("resource \"%s\" lacks its statement triggers", get_rel_name(s->view)),
						 errhint("Call taskapi.expose() again.")));
		}
	}
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
	{
		statements = NULL;
		write_depth = 0;
		ending = false;
		taskapi_resource_join(NULL);
		taskapi_runs_enter(NULL);
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
