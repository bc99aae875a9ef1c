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
#include "utils/lsyscache.h"

#include "base/compat.h"
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
	SPIPlanPtr	plan;
	int			nargs;
	Oid		   *argtypes;
	int			nranges;		/* of the text, in which references need no right */
	int		   *ranges;			/* start and end of each */
} InsertPlan;

static InsertPlan *insert_plan(TaskapiView *view, const Bitmapset *columns, const Bitmapset *returned);
static char *insert_text(const TaskapiView *view, InsertPlan *plan);
static void set_up_parser(ParseState *pstate, void *arg);
static Node *parameter(ParseState *pstate, ParamRef *ref);
static Node *unread_column(ParseState *pstate, ColumnRef *ref);

static InsertPlan *
insert_plan(TaskapiView *view, const Bitmapset *columns, const Bitmapset *returned)
{
	InsertPlan *plan;
	char	   *text;
	MemoryContext oldcontext;
	ListCell   *lc;

	foreach(lc, view->insert_plans)
	{
		plan = lfirst(lc);
		if (bms_equal(plan->columns, columns) && bms_equal(plan->returned, returned))
			return plan;
	}

	oldcontext = MemoryContextSwitchTo(view->entry.context);
	plan = palloc0(sizeof(InsertPlan));
	plan->columns = bms_copy(columns);
	plan->returned = bms_copy(returned);
	plan->argtypes = palloc(sizeof(Oid) * Max(view->ncolumns, 1));
	plan->ranges = palloc(sizeof(int) * 2 * Max(view->ncolumns, 1));
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

	appendStringInfoString(&buf, " RETURNING ");
	for (i = 0; i < view->ncolumns; i++)
	{
		appendStringInfoString(&buf, i > 0 ? ", " : "");
		if (!bms_is_member(i, plan->returned))
		{
			plan->ranges[plan->nranges * 2] = buf.len;
			plan->ranges[plan->nranges * 2 + 1] = buf.len + strlen(view->expressions[i]);
			plan->nranges++;
		}
		appendStringInfoString(&buf, view->expressions[i]);
	}
	return buf.data;
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
	Param	   *param = makeNode(Param);

	if (ref->number < 1 || ref->number > plan->nargs)
		elog(ERROR, "there is no parameter $%d", ref->number);
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
	TaskapiView *view = write->view;
	const Bitmapset *returned = write->returned;
	InsertPlan *plan;
	Datum	   *values = palloc(sizeof(Datum) * Max(view->ncolumns, 1));
	bool	   *nulls = palloc(Max(view->ncolumns, 1));
	int			n = 0;
	int			i = -1;

	taskapi_resource_require_triggers(taskapi_resource_table(view->registration.source), false);
	/* for whoever may read all of them, one plan will do */
	if (!bms_is_empty(returned) && write->statement->may_read)
		returned = bms_add_range(NULL, 0, view->ncolumns - 1);
	while ((i = bms_next_member(write->given, i)) >= 0)
	{
		values[n] = heap_getattr(write->new, i + 1, write->desc, &nulls[n]);
		n++;
	}
	taskapi_trash_look(write);
	plan = insert_plan(view, write->given, returned);
	if (taskapi_resource_run_params(plan->plan, n, plan->argtypes, values, nulls) == 0)
		return NULL;			/* a trigger's veto */
	return taskapi_resource_take_row(write);
}
