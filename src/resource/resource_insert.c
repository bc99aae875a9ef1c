/*-------------------------------------------------------------------------
 *
 * resource_insert.c
 *	  INSERT of one row of a resource (resource_insert.h).
 *
 * PostgreSQL asks for the right to read a column, and for the SELECT policies of
 * its table, if the parser has met a reference to it.  The references in RETURNING
 * that stand for columns which the client does not see are made here, by a hook of
 * the parser, and pass unnoticed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/compat.h"
#include "base/own_objects.h"
#include "resource/resource_conflict.h"
#include "resource/resource_insert.h"
#include "resource/resource_table.h"
#include "resource/resource_target.h"
#include "resource/resource_trash_hint.h"
#include "resource/resource_write.h"

/* More INSERTs of one view than this, and it starts again from none. */
#define MAX_INSERT_PLANS 64

/* In the memory of the view's entry. */
typedef struct InsertPlan
{
	Bitmapset  *columns;		/* that are written */
	Bitmapset  *returned;		/* that are read with the caller's right */
	const TaskapiView *view;
	const TaskapiConflict *conflict;	/* or NULL */
	SPIPlanPtr	plan;
	int			nargs;
	Oid		   *argtypes;		/* of the values, then of the clause's arguments */
	int			nranges;		/* of the text, in which references need no right */
	int		   *ranges;			/* start and end of each */
} InsertPlan;

static InsertPlan *insert_plan(TaskapiView *view, const Bitmapset *columns, const Bitmapset *returned,
							   const TaskapiConflict *conflict);
static void append_unread(StringInfo buf, InsertPlan *plan, const char *text);
static void append_conflict(StringInfo buf, const TaskapiView *view, InsertPlan *plan);
static HeapTuple run(const TaskapiWrite *write, const TaskapiConflict *conflict);
static char *insert_text(const TaskapiView *view, InsertPlan *plan);
static void set_up_parser(ParseState *pstate, void *arg);
static Node *parameter(ParseState *pstate, ParamRef *ref);
static Node *unread_column(ParseState *pstate, ColumnRef *ref);

static InsertPlan *
insert_plan(TaskapiView *view, const Bitmapset *columns, const Bitmapset *returned, const TaskapiConflict *conflict)
{
	InsertPlan *plan;
	char	   *text;
	MemoryContext oldcontext;
	ListCell   *lc;

	view = taskapi_resource_view_now(view);
	foreach(lc, view->insert_plans)
	{
		plan = lfirst(lc);
		if (plan->conflict == conflict && bms_equal(plan->columns, columns) && bms_equal(plan->returned, returned))
			return plan;
	}

	oldcontext = MemoryContextSwitchTo(view->entry.context);
	plan = palloc0(sizeof(InsertPlan));
	plan->columns = bms_copy(columns);
	plan->returned = bms_copy(returned);
	plan->view = view;
	plan->conflict = conflict;
	plan->argtypes = palloc(sizeof(Oid) * (Max(view->ncolumns, 1) + (conflict ? conflict->arguments : 0)));
	plan->ranges = palloc(sizeof(int) * 2 * (view->ncolumns + 2));
	text = insert_text(view, plan);
	MemoryContextSwitchTo(oldcontext);

	plan->plan = taskapi_resource_prepare_params(&view->entry, text, set_up_parser, plan);
	(void) taskapi_resource_expect_target(plan->plan, view->registration.source);

	oldcontext = MemoryContextSwitchTo(view->entry.context);
	view->insert_plans = lappend(view->insert_plans, plan);
	MemoryContextSwitchTo(oldcontext);
	if (list_length(view->insert_plans) > MAX_INSERT_PLANS)
		view->entry.valid = false;	/* for whoever looks it up next */
	return plan;
}

static char *
insert_text(const TaskapiView *view, InsertPlan *plan)
{
	StringInfoData buf;
	StringInfoData values;
	int			i = -1;

	initStringInfo(&buf);
	initStringInfo(&values);
	appendStringInfo(&buf, "INSERT INTO %s AS t ", view->source_name);
	while ((i = bms_next_member(plan->columns, i)) >= 0)
	{
		plan->argtypes[plan->nargs++] = view->columns[i].type;
		appendStringInfo(&buf, "%s%s", plan->nargs == 1 ? "(" : ", ", view->columns[i].name);
		appendStringInfo(&values, "%s$%d", plan->nargs == 1 ? "" : ", ", plan->nargs);
	}
	if (plan->nargs == 0)
		appendStringInfoString(&buf, "DEFAULT VALUES");
	else
		appendStringInfo(&buf, ") VALUES (%s)", values.data);
	pfree(values.data);
	if (plan->conflict)
		append_conflict(&buf, view, plan);

	appendStringInfoString(&buf, " RETURNING ");
	for (i = 0; i < view->ncolumns; i++)
	{
		appendStringInfoString(&buf, i > 0 ? ", " : "");
		if (bms_is_member(i, plan->returned))
			appendStringInfoString(&buf, view->expressions[i]);
		else
			append_unread(&buf, plan, view->expressions[i]);
	}
	return buf.data;
}

static void
append_unread(StringInfo buf, InsertPlan *plan, const char *text)
{
	plan->ranges[plan->nranges * 2] = buf->len;
	appendStringInfoString(buf, text);
	plan->ranges[plan->nranges * 2 + 1] = buf->len;
	plan->nranges++;
}

/*
 * What the trigger asks of the table itself needs no right of the caller.
 */
static void
append_conflict(StringInfo buf, const TaskapiView *view, InsertPlan *plan)
{
	const char *live = NULL;
	StringInfoData checks;

	if (view->registration.soft_delete)
		live = psprintf("t.%s IS NULL", quote_identifier(NameStr(view->registration.deleted_at_column)));
	appendStringInfoString(buf, " ON CONFLICT");
	taskapi_conflict_append_arbiter(plan->conflict, view, buf, plan->nargs);
	if (live != NULL && plan->conflict->arbiter != NIL)
	{
		/* a unique index may hold for live rows only; the condition rules no other index out */
		appendStringInfoString(buf, plan->conflict->has_arbiter_where ? " AND " : " WHERE ");
		append_unread(buf, plan, live);
	}
	if (!plan->conflict->update)
	{
		appendStringInfoString(buf, " DO NOTHING");
		return;
	}
	appendStringInfoString(buf, " DO UPDATE SET ");
	taskapi_conflict_append_assignments(plan->conflict, view, buf, plan->nargs);
	initStringInfo(&checks);
	appendStringInfo(&checks, TASKAPI_SCHEMA ".insert_conflict(%s, %s, ROW(", live ? live : "true",
					 view->version >= 0 ? psprintf("t.%s::pg_catalog.int8", view->columns[view->version].name) :
					 "NULL::pg_catalog.int8");
	for (int i = 0; i < view->nkeys; i++)
		appendStringInfo(&checks, "%st.%s", i > 0 ? ", " : "", view->columns[view->keys[i].column].name);
	appendStringInfoString(&checks, "))");
	appendStringInfoString(buf, " WHERE ");
	append_unread(buf, plan, checks.data);
	taskapi_conflict_append_condition(plan->conflict, buf, plan->nargs);
}

/*
 * Called whenever the text is parsed, which is again after each change that matters.
 */
static void
set_up_parser(ParseState *pstate, void *arg)
{
	pstate->p_pre_columnref_hook = unread_column;
	pstate->p_paramref_hook = parameter;
	pstate->p_ref_hook_state = arg;
}

static Node *
parameter(ParseState *pstate, ParamRef *ref)
{
	const InsertPlan *plan = pstate->p_ref_hook_state;
	Param	   *param;

	if (plan->conflict && ref->number > plan->nargs)
		return taskapi_conflict_expression(plan->conflict, plan->view, pstate, ref->number, plan->nargs);
	if (ref->number < 1 || ref->number > plan->nargs)
		elog(ERROR, "there is no parameter $%d", ref->number);
	param = makeNode(Param);
	param->paramkind = PARAM_EXTERN;
	param->paramid = ref->number;
	param->paramtype = plan->argtypes[ref->number - 1];
	param->paramtypmod = -1;
	param->paramcollid = get_typcollation(param->paramtype);
	param->location = ref->location;
	return (Node *) param;
}

/*
 * NULL leaves a reference to the parser, which notes the right that it needs.
 */
static Node *
unread_column(ParseState *pstate, ColumnRef *ref)
{
	const InsertPlan *plan = pstate->p_ref_hook_state;
	bool		unread = false;
	AttrNumber	attno;
	Form_pg_attribute att;

	for (int i = 0; i < plan->nranges && !unread; i++)
		unread = ref->location >= plan->ranges[2 * i] && ref->location < plan->ranges[2 * i + 1];
	if (!unread || list_length(ref->fields) != 2 || !IsA(lsecond(ref->fields), String))
		return NULL;
	attno = attnameAttNum(pstate->p_target_relation, strVal(lsecond(ref->fields)), false);
	if (attno == InvalidAttrNumber)
		return NULL;
	att = TupleDescAttr(RelationGetDescr(pstate->p_target_relation), attno - 1);
	return (Node *) makeVar(pstate->p_target_nsitem->p_rtindex, attno, att->atttypid, att->atttypmod, att->attcollation, 0);
}

HeapTuple
taskapi_resource_insert(const TaskapiWrite *write)
{
	return run(write, NULL);
}

HeapTuple
taskapi_resource_insert_on_conflict(const TaskapiWrite *write, const TaskapiConflict *conflict)
{
	return run(write, conflict);
}

static HeapTuple
run(const TaskapiWrite *write, const TaskapiConflict *conflict)
{
	TaskapiView *view = write->view;
	const Bitmapset *returned = write->returned;
	List	   *arguments = conflict ? taskapi_conflict_arguments(conflict, write->conflict) : NIL;
	InsertPlan *plan;
	Datum	   *values = palloc(sizeof(Datum) * (view->ncolumns + list_length(arguments) + 1));
	bool	   *nulls = palloc(view->ncolumns + list_length(arguments) + 1);
	int			n = 0;
	int			i = -1;
	ListCell   *lc;

	taskapi_resource_require_triggers(taskapi_statement_table(write->statement), conflict && conflict->update &&
									  view->registration.versioned);
	/* for whoever may read all of them, one plan will do */
	if (!bms_is_empty(returned) && write->statement->may_read)
		returned = bms_add_range(NULL, 0, view->ncolumns - 1);
	while ((i = bms_next_member(write->given, i)) >= 0)
	{
		values[n] = heap_getattr(write->new, i + 1, write->desc, &nulls[n]);
		n++;
	}
	taskapi_trash_look(write);
	plan = insert_plan(view, write->given, returned, conflict);
	foreach(lc, arguments)
	{
		const Const *argument = lfirst_node(Const, lc);

		plan->argtypes[n] = argument->consttype;
		values[n] = argument->constvalue;
		nulls[n] = argument->constisnull;
		n++;
	}
	if (taskapi_resource_run_params(plan->plan, n, plan->argtypes, values, nulls) == 0)
		return NULL;			/* a trigger's veto, or the clause */
	return taskapi_resource_take_row(write);
}
