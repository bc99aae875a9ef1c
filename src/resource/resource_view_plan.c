/*-------------------------------------------------------------------------
 *
 * resource_view_plan.c
 *	  The statements behind a resource's view (resource_view_plan.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/compat.h"
#include "resource/resource_target.h"
#include "resource/resource_view_plan.h"

/* More plans of one view than this, and it starts again from none. */
#define MAX_VIEW_PLANS 64

/* A statement in the making. */
typedef struct PlanText
{
	const TaskapiView *view;
	StringInfoData buf;
	Oid		   *argtypes;
	int			nargs;
} PlanText;

static void append_statement(PlanText *text, TaskapiViewPlanKind kind, const Bitmapset *columns);
static void append_update(PlanText *text, const Bitmapset *columns);
static void append_probe(PlanText *text);
static void append_key_condition(PlanText *text);
static void append_image_condition(PlanText *text, const Bitmapset *columns);
static void append_version_condition(PlanText *text);
static void add_parameter(PlanText *text, Oid type);

SPIPlanPtr
taskapi_resource_view_plan(TaskapiView *view, TaskapiViewPlanKind kind, const Bitmapset *columns)
{
	ListCell   *lc;
	TaskapiViewPlan *plan;
	MemoryContext oldcontext;
	SPIPlanPtr	prepared;
	PlanText	text = {0};

	view = taskapi_resource_view_now(view);
	text.view = view;
	foreach(lc, view->view_plans)
	{
		plan = lfirst(lc);
		if (plan->kind == kind && bms_equal(plan->columns, columns))
			return plan->plan;
	}

	text.argtypes = palloc(sizeof(Oid) * (2 * view->ncolumns + view->nkeys + 1));
	initStringInfo(&text.buf);
	append_statement(&text, kind, columns);
	prepared = taskapi_resource_prepare(&view->entry, GetUserId(), text.buf.data, text.nargs, text.argtypes);
	(void) taskapi_resource_expect_target(prepared, view->registration.source);

	oldcontext = MemoryContextSwitchTo(view->entry.context);
	plan = palloc(sizeof(TaskapiViewPlan));
	plan->kind = kind;
	plan->columns = bms_copy(columns);
	plan->plan = prepared;
	view->view_plans = lappend(view->view_plans, plan);
	if (list_length(view->view_plans) > MAX_VIEW_PLANS)
		view->entry.valid = false;	/* for whoever looks it up next */
	MemoryContextSwitchTo(oldcontext);
	return prepared;
}

static void
append_statement(PlanText *text, TaskapiViewPlanKind kind, const Bitmapset *columns)
{
	const TaskapiView *view = text->view;
	const char *live = "";

	if (view->registration.soft_delete)
		live = psprintf(" AND t.%s IS %s", quote_identifier(NameStr(view->registration.deleted_at_column)),
						view->deleted_rows ? "NOT NULL" : "NULL");

	switch (kind)
	{
		case TASKAPI_VIEW_PLAN_UPDATE_VERSION:
		case TASKAPI_VIEW_PLAN_UPDATE_IMAGE:
		case TASKAPI_VIEW_PLAN_UPDATE_KEY:
			append_update(text, columns);
			append_key_condition(text);
			appendStringInfoString(&text->buf, live);
			if (kind == TASKAPI_VIEW_PLAN_UPDATE_VERSION)
				append_version_condition(text);
			else if (kind == TASKAPI_VIEW_PLAN_UPDATE_IMAGE)
				append_image_condition(text, columns);
			appendStringInfo(&text->buf, " RETURNING %s", view->returning);
			break;

		case TASKAPI_VIEW_PLAN_DELETE:
		case TASKAPI_VIEW_PLAN_DELETE_VERSION:
		case TASKAPI_VIEW_PLAN_DELETE_AT:
		case TASKAPI_VIEW_PLAN_SCAN:
		case TASKAPI_VIEW_PLAN_SCAN_VERSION:
			appendStringInfo(&text->buf, "DELETE FROM %s AS t", view->source_name);
			append_key_condition(text);
			appendStringInfoString(&text->buf, live);
			if (kind == TASKAPI_VIEW_PLAN_DELETE_VERSION || kind == TASKAPI_VIEW_PLAN_SCAN_VERSION)
				append_version_condition(text);
			else if (kind == TASKAPI_VIEW_PLAN_DELETE_AT)
				add_parameter(text, TIDOID);
			break;

		case TASKAPI_VIEW_PLAN_SELECT:
			appendStringInfo(&text->buf, "SELECT %s FROM %s AS t", view->returning, view->source_name);
			append_key_condition(text);
			break;

		case TASKAPI_VIEW_PLAN_PROBE:
			append_probe(text);
			break;

		case TASKAPI_VIEW_PLAN_LOCK:
		case TASKAPI_VIEW_PLAN_LOCK_IMAGE:
			appendStringInfo(&text->buf, "SELECT 1 FROM %s AS t", view->source_name);
			append_key_condition(text);
			appendStringInfoString(&text->buf, live);
			if (kind == TASKAPI_VIEW_PLAN_LOCK_IMAGE)
				append_image_condition(text, columns);
			/* a restored row must not change before its children are restored as well */
			appendStringInfoString(&text->buf, view->deleted_rows ? " FOR UPDATE" : " FOR NO KEY UPDATE");
			break;
	}
}

static void
append_update(PlanText *text, const Bitmapset *columns)
{
	const TaskapiView *view = text->view;
	const char *separator = "";
	int			i = -1;

	appendStringInfo(&text->buf, "UPDATE %s AS t SET ", view->source_name);
	while ((i = bms_next_member(columns, i)) >= 0)
	{
		add_parameter(text, view->columns[i].type);
		appendStringInfo(&text->buf, "%s%s = $%d", separator, view->columns[i].name, text->nargs);
		separator = ", ";
	}
}

/* Columns of its result: bool, int8. */
static void
append_probe(PlanText *text)
{
	const TaskapiView *view = text->view;

	if (view->registration.soft_delete)
		appendStringInfo(&text->buf, "SELECT t.%s IS NULL",
						 quote_identifier(NameStr(view->registration.deleted_at_column)));
	else
		appendStringInfoString(&text->buf, "SELECT true");
	appendStringInfo(&text->buf, ", %s FROM %s AS t",
					 view->version >= 0 ? "t.version::pg_catalog.int8" : "NULL::pg_catalog.int8",
					 view->source_name);
	append_key_condition(text);
}

static void
add_parameter(PlanText *text, Oid type)
{
	text->argtypes[text->nargs++] = type;
}

static void
append_key_condition(PlanText *text)
{
	for (int i = 0; i < text->view->nkeys; i++)
	{
		const TaskapiViewColumn *column = &text->view->columns[text->view->keys[i].column];
		char	   *left = psprintf("t.%s", column->name);
		char	   *right;

		add_parameter(text, column->type);
		right = psprintf("$%d", text->nargs);
		appendStringInfoString(&text->buf, i == 0 ? " WHERE " : " AND ");
		generate_operator_clause(&text->buf, left, column->type, text->view->keys[i].eq_operator, right, column->type);
	}
}

/*
 * By image: every type has one, not every type has an equality.
 */
static void
append_image_condition(PlanText *text, const Bitmapset *columns)
{
	StringInfoData values;
	const char *separator = "";
	int			i = -1;

	initStringInfo(&values);
	/* the casts keep the parser from comparing column by column, with an operator that they do not have */
	appendStringInfoString(&text->buf, " AND ROW(");
	while ((i = bms_next_member(columns, i)) >= 0)
	{
		add_parameter(text, text->view->columns[i].type);
		appendStringInfo(&text->buf, "%st.%s", separator, text->view->columns[i].name);
		appendStringInfo(&values, "%s$%d", separator, text->nargs);
		separator = ", ";
	}
	appendStringInfo(&text->buf, ")::pg_catalog.record OPERATOR(pg_catalog.*=) ROW(%s)::pg_catalog.record", values.data);
}

static void
append_version_condition(PlanText *text)
{
	add_parameter(text, INT8OID);
	appendStringInfo(&text->buf, " AND t.version OPERATOR(pg_catalog.=) $%d", text->nargs);
}
