/*-------------------------------------------------------------------------
 *
 * resource_view.c
 *	  The registry of resources, and what is kept of a resource's view.
 *
 * Nothing that is in use is freed under its user: an entry that is found
 * invalid goes to a list of outdated ones, which is emptied in a later
 * transaction.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "resource/resource_view.h"

/* More plans of one view than this, and it starts anew. */
#define MAX_VIEW_PLANS 64

static TaskapiView *build_view(Oid relid);
static void find_columns(TaskapiView *view, Relation rel, Relation source);
static void find_keys(TaskapiView *view, Relation source);
static char *view_plan_text(TaskapiView *view, TaskapiViewPlanKind kind, const Bitmapset *columns,
							Oid *argtypes, int *nargs);
static void append_key_condition(TaskapiView *view, StringInfo buf, Oid *argtypes, int *nargs);
static void append_image_condition(TaskapiView *view, StringInfo buf, const Bitmapset *columns,
								   Oid *argtypes, int *nargs);
static void append_version_condition(TaskapiView *view, StringInfo buf, Oid *argtypes, int *nargs);

TaskapiView *
taskapi_view(Oid relid)
{
	TaskapiView *view;

	taskapi_registry_load();
	view = (TaskapiView *) taskapi_resource_cache_get(CACHE_VIEW, relid);
	if (view == NULL)
	{
		uint64		generation = taskapi_resource_cache_generation();

		view = build_view(relid);
		taskapi_resource_cache_put(CACHE_VIEW, &view->entry, generation);
	}
	return view;
}

static TaskapiView *
build_view(Oid relid)
{
	const TaskapiRegistration *registration = taskapi_resource_find(relid);
	MemoryContext context;
	MemoryContext oldcontext;
	TaskapiView *view;
	Relation	rel;
	Relation	source;

	if (registration == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("\"%s\" is not a resource", get_rel_name(relid)),
				 errhint("Only taskapi.expose() makes resources.")));

	context = AllocSetContextCreate(CurrentMemoryContext, "taskapi view", ALLOCSET_SMALL_SIZES);
	oldcontext = MemoryContextSwitchTo(context);
	view = palloc0(sizeof(TaskapiView));
	view->entry.relid = relid;
	view->entry.context = context;
	view->registration = *registration;
	view->deleted_rows = (relid == registration->deleted);
	view->entry.depends = list_make2_oid(relid, view->registration.source);

	rel = table_open(relid, AccessShareLock);
	source = table_open(view->registration.source, AccessShareLock);
	if (rel->rd_rel->relkind != RELKIND_VIEW)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a view", RelationGetRelationName(rel))));
	view->source_name = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(source)),
												   RelationGetRelationName(source));
	find_columns(view, rel, source);
	find_keys(view, source);
	table_close(source, NoLock);
	table_close(rel, NoLock);

	MemoryContextSwitchTo(oldcontext);
	return view;
}

/*
 * Which column of the table each column of the view is, by the view's own definition, so that columns may have been
 * renamed, dropped or reordered since.
 */
static void
find_columns(TaskapiView *view, Relation rel, Relation source)
{
	Query	   *query = get_view_query(rel);
	StringInfoData returning;
	List	   *context;
	int			rtindex = 0;
	ListCell   *lc;

	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (rte->rtekind == RTE_RELATION && rte->relid == RelationGetRelid(source))
			rtindex = foreach_current_index(lc) + 1;
	}
	if (rtindex == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("view \"%s\" no longer reads from table \"%s\"",
						RelationGetRelationName(rel), RelationGetRelationName(source)),
				 errhint("Drop the view, and call taskapi.expose() again.")));

	context = deparse_context_for("t", RelationGetRelid(source));
	initStringInfo(&returning);
	view->ncolumns = RelationGetDescr(rel)->natts;
	view->columns = palloc0(sizeof(TaskapiViewColumn) * view->ncolumns);
	view->version = -1;
	view->deleted_at = -1;
	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		TaskapiViewColumn *column;
		Var		   *var = (Var *) tle->expr;
		Node	   *expr;

		if (tle->resjunk || tle->resno > view->ncolumns)
			continue;
		column = &view->columns[tle->resno - 1];
		column->type = TupleDescAttr(RelationGetDescr(rel), tle->resno - 1)->atttypid;
		get_typlenbyval(column->type, &column->typlen, &column->typbyval);

		expr = copyObject((Node *) tle->expr);
		ChangeVarNodes(expr, rtindex, 1, 0);
		appendStringInfo(&returning, "%s%s", returning.len > 0 ? ", " : "",
						 deparse_expression(expr, context, true, false));

		if (IsA(var, Var) && var->varno == rtindex && var->varlevelsup == 0 && var->varattno > 0)
		{
			Form_pg_attribute att = TupleDescAttr(RelationGetDescr(source), var->varattno - 1);
			const char *name = NameStr(att->attname);
			bool		ours = false;

			column->source_attno = var->varattno;
			column->name = pstrdup(quote_identifier(name));
			if (view->registration.versioned && strcmp(name, "version") == 0)
			{
				view->version = tle->resno - 1;
				ours = true;
			}
			else if (view->registration.versioned && strcmp(name, "updated_at") == 0)
				ours = true;
			else if (view->registration.soft_delete && strcmp(name, "deleted_at") == 0)
			{
				view->deleted_at = tle->resno - 1;
				ours = true;
			}
			else if (view->registration.soft_delete && strcmp(name, "deletion_id") == 0)
				ours = true;
			column->written = !ours;
			column->by_server = (att->attidentity != '\0' || att->attgenerated != '\0');
			if (column->written && column->by_server)
				view->by_server = bms_add_member(view->by_server, tle->resno - 1);
			else if (column->written)
				view->insert_always = bms_add_member(view->insert_always, tle->resno - 1);
		}
	}
	view->returning = returning.data;
}

TaskapiColumnIO *
taskapi_view_io(TaskapiView *view)
{
	TaskapiColumnIO *io;

	if (view->io != NULL)
		return view->io;

	io = MemoryContextAllocZero(view->entry.context, sizeof(TaskapiColumnIO) * Max(view->ncolumns, 1));
	for (int i = 0; i < view->ncolumns; i++)
	{
		Oid			type = view->columns[i].type;
		Oid			function;
		bool		is_varlena;
		char		typtype;
		int16		len;
		bool		byval;
		char		align;
		char		delim;

		if (!OidIsValid(type))
			continue;
		io[i].basetype = getBaseType(type);
		typtype = get_typtype(io[i].basetype);
		io[i].scalar = typtype != TYPTYPE_COMPOSITE && typtype != TYPTYPE_PSEUDO &&
			io[i].basetype != JSONOID && io[i].basetype != JSONBOID && !type_is_array(io[i].basetype);

		get_type_io_data(type, IOFunc_send, &len, &byval, &align, &delim, &io[i].ioparam, &function);
		io[i].binary = OidIsValid(function);
		if (!io[i].binary)
			getTypeOutputInfo(type, &function, &is_varlena);
		fmgr_info_cxt(function, &io[i].send, view->entry.context);

		getTypeInputInfo(type, &function, &io[i].ioparam);
		fmgr_info_cxt(function, &io[i].input, view->entry.context);
	}
	view->io = io;
	return io;
}

static void
find_keys(TaskapiView *view, Relation source)
{
	Relation	index;

	list_free(RelationGetIndexList(source));
	if (!OidIsValid(source->rd_pkindex))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" has no primary key", RelationGetRelationName(source))));

	index = index_open(source->rd_pkindex, AccessShareLock);
	view->nkeys = IndexRelationGetNumberOfKeyAttributes(index);
	view->keys = palloc0(sizeof(TaskapiViewKey) * view->nkeys);
	for (int i = 0; i < view->nkeys; i++)
	{
		view->keys[i].column = -1;
		for (int j = 0; j < view->ncolumns; j++)
		{
			if (view->columns[j].source_attno == index->rd_index->indkey.values[i])
				view->keys[i].column = j;
		}
		view->keys[i].eq_operator = get_opfamily_member(index->rd_opfamily[i], index->rd_opcintype[i],
														index->rd_opcintype[i], BTEqualStrategyNumber);
		if (view->keys[i].column < 0 || !OidIsValid(view->keys[i].eq_operator))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("resource \"%s\" does not have all columns of the primary key of table \"%s\"",
							get_rel_name(view->entry.relid), RelationGetRelationName(source)),
					 errhint("Call taskapi.expose() again.")));
	}
	index_close(index, AccessShareLock);
}

SPIPlanPtr
taskapi_view_plan(TaskapiView *view, TaskapiViewPlanKind kind, const Bitmapset *columns)
{
	ListCell   *lc;
	TaskapiViewPlan *plan;
	MemoryContext oldcontext;
	SPIPlanPtr	prepared;
	char	   *query;
	Oid		   *argtypes;
	int			nargs = 0;

	foreach(lc, view->view_plans)
	{
		plan = lfirst(lc);
		if (plan->kind == kind && bms_equal(plan->columns, columns))
			return plan->plan;
	}

	argtypes = palloc(sizeof(Oid) * (2 * view->ncolumns + view->nkeys + 1));
	query = view_plan_text(view, kind, columns, argtypes, &nargs);
	prepared = taskapi_prepare_as(&view->entry, GetUserId(), query, nargs, argtypes);

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

/*
 * The parameters are, in this order: the values of "columns" to write, the key, then for ..._VERSION the version (as
 * int8), for ..._IMAGE the former values of "columns".
 */
static char *
view_plan_text(TaskapiView *view, TaskapiViewPlanKind kind, const Bitmapset *columns, Oid *argtypes, int *nargs)
{
	StringInfoData buf;
	const char *live = "";
	const char *separator = "";
	int			i = -1;

	initStringInfo(&buf);
	if (view->registration.soft_delete)
		live = view->deleted_rows ? " AND t.deleted_at IS NOT NULL" : " AND t.deleted_at IS NULL";

	switch (kind)
	{
		case VIEW_PLAN_INSERT:
		case VIEW_PLAN_INSERT_ONLY:
			appendStringInfo(&buf, "INSERT INTO %s AS t ", view->source_name);
			if (bms_is_empty(columns))
				appendStringInfoString(&buf, "DEFAULT VALUES");
			else
			{
				StringInfoData values;

				initStringInfo(&values);
				while ((i = bms_next_member(columns, i)) >= 0)
				{
					argtypes[(*nargs)++] = view->columns[i].type;
					appendStringInfo(&buf, "%s%s", *nargs == 1 ? "(" : ", ", view->columns[i].name);
					appendStringInfo(&values, "%s$%d", *nargs == 1 ? "" : ", ", *nargs);
				}
				appendStringInfo(&buf, ") VALUES (%s)", values.data);
			}
			if (kind == VIEW_PLAN_INSERT)
				appendStringInfo(&buf, " RETURNING %s", view->returning);
			break;

		case VIEW_PLAN_UPDATE_VERSION:
		case VIEW_PLAN_UPDATE_IMAGE:
			appendStringInfo(&buf, "UPDATE %s AS t SET ", view->source_name);
			while ((i = bms_next_member(columns, i)) >= 0)
			{
				argtypes[(*nargs)++] = view->columns[i].type;
				appendStringInfo(&buf, "%s%s = $%d", separator, view->columns[i].name, *nargs);
				separator = ", ";
			}
			append_key_condition(view, &buf, argtypes, nargs);
			appendStringInfoString(&buf, live);
			if (kind == VIEW_PLAN_UPDATE_VERSION)
				append_version_condition(view, &buf, argtypes, nargs);
			else
				append_image_condition(view, &buf, columns, argtypes, nargs);
			appendStringInfo(&buf, " RETURNING %s", view->returning);
			break;

		case VIEW_PLAN_DELETE:
		case VIEW_PLAN_DELETE_VERSION:
			appendStringInfo(&buf, "DELETE FROM %s AS t", view->source_name);
			append_key_condition(view, &buf, argtypes, nargs);
			appendStringInfoString(&buf, live);
			if (kind == VIEW_PLAN_DELETE_VERSION)
				append_version_condition(view, &buf, argtypes, nargs);
			break;

		case VIEW_PLAN_SELECT:
			appendStringInfo(&buf, "SELECT %s FROM %s AS t", view->returning, view->source_name);
			append_key_condition(view, &buf, argtypes, nargs);
			break;

		case VIEW_PLAN_PROBE:
			appendStringInfo(&buf, "SELECT %s, %s FROM %s AS t",
							 view->registration.soft_delete ? "t.deleted_at IS NULL" : "true",
							 view->version >= 0 ? "t.version::pg_catalog.int8" : "NULL::pg_catalog.int8",
							 view->source_name);
			append_key_condition(view, &buf, argtypes, nargs);
			break;

		case VIEW_PLAN_LOCK:
		case VIEW_PLAN_LOCK_IMAGE:
			appendStringInfo(&buf, "SELECT 1 FROM %s AS t", view->source_name);
			append_key_condition(view, &buf, argtypes, nargs);
			appendStringInfoString(&buf, live);
			if (kind == VIEW_PLAN_LOCK_IMAGE)
				append_image_condition(view, &buf, columns, argtypes, nargs);
			/* a restored row must not change before its children are restored as well */
			appendStringInfoString(&buf, view->deleted_rows ? " FOR UPDATE" : " FOR NO KEY UPDATE");
			break;
	}
	return buf.data;
}

bool
taskapi_may_read(TaskapiView *view)
{
	Oid			source = view->registration.source;

	if (pg_class_aclcheck(source, GetUserId(), ACL_SELECT) == ACLCHECK_OK)
		return true;
	for (int i = 0; i < view->ncolumns; i++)
	{
		if (view->columns[i].source_attno != 0 &&
			pg_attribute_aclcheck(source, view->columns[i].source_attno, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
			return false;
	}
	return true;
}

static void
append_key_condition(TaskapiView *view, StringInfo buf, Oid *argtypes, int *nargs)
{
	for (int i = 0; i < view->nkeys; i++)
	{
		TaskapiViewColumn *column = &view->columns[view->keys[i].column];
		char	   *left = psprintf("t.%s", column->name);
		char	   *right;

		argtypes[(*nargs)++] = column->type;
		right = psprintf("$%d", *nargs);
		appendStringInfoString(buf, i == 0 ? " WHERE " : " AND ");
		generate_operator_clause(buf, left, column->type, view->keys[i].eq_operator, right, column->type);
	}
}

/*
 * By image: every type has one, not every type has an equality.
 */
static void
append_image_condition(TaskapiView *view, StringInfo buf, const Bitmapset *columns, Oid *argtypes, int *nargs)
{
	StringInfoData values;
	const char *separator = "";
	int			i = -1;

	initStringInfo(&values);
	/* the casts keep the parser from comparing column by column, with an operator that they do not have */
	appendStringInfoString(buf, " AND ROW(");
	while ((i = bms_next_member(columns, i)) >= 0)
	{
		argtypes[(*nargs)++] = view->columns[i].type;
		appendStringInfo(buf, "%st.%s", separator, view->columns[i].name);
		appendStringInfo(&values, "%s$%d", separator, *nargs);
		separator = ", ";
	}
	appendStringInfo(buf, ")::pg_catalog.record OPERATOR(pg_catalog.*=) ROW(%s)::pg_catalog.record", values.data);
}

static void
append_version_condition(TaskapiView *view, StringInfo buf, Oid *argtypes, int *nargs)
{
	argtypes[(*nargs)++] = INT8OID;
	appendStringInfo(buf, " AND t.version OPERATOR(pg_catalog.=) $%d", *nargs);
}
