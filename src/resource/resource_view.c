/*-------------------------------------------------------------------------
 *
 * resource_view.c
 *	  What is kept of a resource's view, and whether it still is one
 *	  (resource_view.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "base/citus.h"
#include "base/compat.h"
#include "base/simple_view.h"
#include "base/own_objects.h"
#include "base/primary_key.h"
#include "base/table_cache.h"
#include "resource/resource_error.h"
#include "resource/resource_table.h"
#include "resource/resource_trash_hint.h"
#include "resource/resource_view.h"

static void lock_source(Oid relid, LOCKMODE mode);
static void require_same_row(const TaskapiView *view, const TaskapiView *changed);
static TaskapiView *build_view(Oid relid);
static int	find_source(Relation rel, const Query *query, Oid source);
static void find_columns(TaskapiView *view, Relation rel, Relation source, Query *query, int rtindex);
static void describe_column(TaskapiView *view, int index, Relation source, AttrNumber attno);
static bool has_changing_default(Relation source, AttrNumber attno);
static void find_own_defaults(TaskapiView *view, Relation rel);
static void deparse_columns(TaskapiView *view, Relation source, Query *query, int rtindex);
static bool append_qualified(StringInfo buf, const Node *node, Relation source);
static const char *find_fault(TaskapiView *view, Relation source, const Query *query);
static bool has_condition(const Query *query, AttrNumber deleted_at, NullTestType type);
static const char *find_keys(TaskapiView *view, Relation source);

TaskapiView *
taskapi_resource_view_as_is(Oid relid)
{
	TaskapiView *view;

	taskapi_registry_load();
	view = (TaskapiView *) taskapi_resource_cache_get(TASKAPI_CACHE_VIEW, relid);
	if (view != NULL)
	{
		lock_source(view->registration.source, AccessShareLock);
		view = (TaskapiView *) taskapi_resource_cache_get(TASKAPI_CACHE_VIEW, relid);
	}
	if (view != NULL && view->search_path != NULL && strcmp(view->search_path, namespace_search_path) != 0)
	{
		view->entry.valid = false;
		view = (TaskapiView *) taskapi_resource_cache_get(TASKAPI_CACHE_VIEW, relid);
	}
	if (view == NULL)
	{
		uint64		since = taskapi_relation_generation();

		view = build_view(relid);
		taskapi_resource_cache_put(TASKAPI_CACHE_VIEW, &view->entry, since);
	}
	return view;
}

/*
 * The name of the source stands in the texts, and an INSERT on the view has not locked it yet.
 */
static void
lock_source(Oid relid, LOCKMODE mode)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		LockRelationOid(relid, mode);
	}
	PG_CATCH();
	{
		taskapi_resource_rethrow(context, CMD_UTILITY, GetUserId());
	}
	PG_END_TRY();
}

TaskapiView *
taskapi_resource_view(Oid relid)
{
	TaskapiView *view = taskapi_resource_view_as_is(relid);

	if (view->fault)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("view \"%s\" cannot be used as a resource", get_rel_name(relid)),
				 errdetail_internal("%s", view->fault),
				 errhint("Call taskapi.expose() again.")));
	return view;
}

TaskapiView *
taskapi_resource_view_to_write(Oid relid)
{
	TaskapiView *view = taskapi_resource_view(relid);

	lock_source(view->registration.source, RowExclusiveLock);
	return taskapi_resource_cache_is_current(&view->entry) ? view : taskapi_resource_view(relid);
}

TaskapiView *
taskapi_resource_view_now(TaskapiView *view)
{
	TaskapiView *changed;

	if (taskapi_resource_cache_is_current(&view->entry))
		return view;
	changed = taskapi_resource_view(view->entry.relid);
	require_same_row(view, changed);
	return changed;
}

/*
 * What was read of a row by the one entry is written, and found by its key, by a statement of the other.
 */
static void
require_same_row(const TaskapiView *view, const TaskapiView *changed)
{
	bool		same = (view->ncolumns == changed->ncolumns && view->nkeys == changed->nkeys &&
						view->version == changed->version && view->registration.source == changed->registration.source);

	for (int i = 0; same && i < view->ncolumns; i++)
		same = view->columns[i].type == changed->columns[i].type &&
			view->columns[i].source_attno == changed->columns[i].source_attno;
	for (int i = 0; same && i < view->nkeys; i++)
		same = view->keys[i].column == changed->keys[i].column;
	if (!same)
		taskapi_resource_refuse_changed();
}

TaskapiView *
taskapi_resource_view_again(TaskapiView *view)
{
	taskapi_registry_load();
	if (taskapi_resource_cache_is_current(&view->entry) &&
		(view->search_path == NULL || strcmp(view->search_path, namespace_search_path) == 0))
		return view;
	return taskapi_resource_view_to_write(view->entry.relid);
}

static TaskapiView *
build_view(Oid relid)
{
	const TaskapiRegistration *registration = taskapi_resource_find(relid);
	MemoryContext oldcontext;
	TaskapiView *view;
	Relation	rel;
	Relation	source;
	Query	   *query;
	int			rtindex;

	if (registration == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("\"%s\" is not a resource", get_rel_name(relid)),
				 errhint("Only taskapi.expose() makes resources.")));

	view = (TaskapiView *) taskapi_resource_cache_new(relid, sizeof(TaskapiView), "view");
	oldcontext = MemoryContextSwitchTo(view->entry.context);
	view->registration = *registration;
	if (registration->scope != NULL)
		view->registration.scope = pstrdup(registration->scope);
	if (registration->publish != NULL)
		view->registration.publish = pstrdup(registration->publish);
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
	view->source_owner = source->rd_rel->relowner;
	query = get_view_query(rel);
	rtindex = find_source(rel, query, RelationGetRelid(source));
	find_columns(view, rel, source, query, rtindex);
	find_own_defaults(view, rel);
	deparse_columns(view, source, query, rtindex);
	if (view->registration.soft_delete)
		view->taken = taskapi_trash_taken(source, NameStr(view->registration.deleted_at_column));
	view->fault = find_fault(view, source, query);
	view->distributed = taskapi_citus_keeps(RelationGetRelid(source));
	table_close(source, NoLock);
	table_close(rel, NoLock);

	MemoryContextSwitchTo(oldcontext);
	return view;
}

/*
 * The range table index of the source, if the view reads from it and from nothing else.  Then every Var in it is one of
 * the source's, and its rows are the source's.
 */
static int
find_source(Relation rel, const Query *query, Oid source)
{
	List	   *from = query->jointree->fromlist;

	if (list_length(from) == 1 && IsA(linitial(from), RangeTblRef) && query->commandType == CMD_SELECT &&
		!query->setOperations && !query->cteList && !query->hasAggs && !query->hasWindowFuncs && !query->hasSubLinks &&
		!query->hasTargetSRFs && !query->distinctClause && !query->groupClause && !query->groupingSets &&
		!query->havingQual && !query->limitOffset && !query->limitCount && !query->rowMarks)
	{
		int			rtindex = linitial_node(RangeTblRef, from)->rtindex;
		RangeTblEntry *rte = list_nth_node(RangeTblEntry, query->rtable, rtindex - 1);

		if (rte->rtekind == RTE_RELATION && rte->relid == source && rte->tablesample == NULL && rte->inh)
			return rtindex;
	}
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("view \"%s\" cannot be used as a resource", RelationGetRelationName(rel)),
			 errdetail("It does not read from table \"%s\" and nothing else.", get_rel_name(source)),
			 errhint("Drop the view, and call taskapi.expose() again.")));
}

/*
 * Which column of the table each column of the view is, by the view's own definition, so that columns may have been
 * renamed, dropped or reordered since.
 */
static void
find_columns(TaskapiView *view, Relation rel, Relation source, Query *query, int rtindex)
{
	TupleDesc	desc = RelationGetDescr(rel);
	Oid			cursor = taskapi_type_oid("cursor");
	ListCell   *lc;

	view->ncolumns = desc->natts;
	view->columns = palloc0(sizeof(TaskapiViewColumn) * view->ncolumns);
	view->version = -1;
	view->cursor = -1;
	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		TaskapiViewColumn *column;
		const Var  *var = taskapi_simple_view_column((Node *) tle->expr, rtindex);

		if (tle->resjunk || tle->resno > view->ncolumns)
			continue;
		column = &view->columns[tle->resno - 1];
		column->type = TupleDescAttr(desc, tle->resno - 1)->atttypid;
		get_typlenbyval(column->type, &column->typlen, &column->typbyval);
		if (column->type >= FirstNormalObjectId)
			view->entry.user_types = true;

		/* a virtual generated column is computed, as far as rows are concerned */
		if (var)
			describe_column(view, tle->resno - 1, source, var->varattno);
		else if (column->type == cursor)
			view->cursor = tle->resno - 1;
	}
}

/*
 * A column that is the table's.
 */
static void
describe_column(TaskapiView *view, int index, Relation source, AttrNumber attno)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(source), attno - 1);
	TaskapiViewColumn *column = &view->columns[index];
	const TaskapiRegistration *registration = &view->registration;
	const char *name = NameStr(att->attname);

	column->source_attno = attno;
	column->name = pstrdup(quote_identifier(name));
	column->written = true;
	if (registration->versioned && strcmp(name, "version") == 0)
	{
		view->version = index;
		column->written = false;
	}
	else if (registration->versioned && strcmp(name, "updated_at") == 0)
		column->written = false;
	else if (registration->soft_delete && strcmp(name, NameStr(registration->deleted_at_column)) == 0)
	{
		view->deleted_at = bms_add_member(view->deleted_at, index);
		column->written = false;
	}
	else if (registration->soft_delete && strcmp(name, "deletion_id") == 0)
		column->written = false;

	column->by_server = (att->attidentity != '\0' || att->attgenerated != '\0');
	if (column->written && column->by_server)
		view->by_server = bms_add_member(view->by_server, index);
	if (column->written)
		view->writable = bms_add_member(view->writable, index);
	if (column->written && !column->by_server && has_changing_default(source, attno))
		view->changing_defaults = bms_add_member(view->changing_defaults, index);
}

/*
 * A default that is made for each row says something of its creation.
 */
static bool
has_changing_default(Relation source, AttrNumber attno)
{
	Node	   *expr = build_column_default(source, attno);

	return expr != NULL && contain_mutable_functions(expr);
}

static void
find_own_defaults(TaskapiView *view, Relation rel)
{
	for (int i = 0; i < view->ncolumns; i++)
	{
		const Node *expr = TupleDescAttr(RelationGetDescr(rel), i)->atthasdef ? build_column_default(rel, i + 1) : NULL;

		if (expr != NULL && (taskapi_is_own_call(expr, "table_default") || taskapi_is_own_call(expr, "insert_columns")))
			view->own_defaults = bms_add_member(view->own_defaults, i);
	}
}

/*
 * The view's row in terms of the table, as t.
 *
 * The text is parsed again whenever the plan is made again, and under any search_path, a hostile one too.  So every name
 * in it is qualified, which the server's own deparser does not do for what is visible at the moment.  It is asked only
 * for expressions that expose() does not make, and then the text holds for the search_path of the moment.
 */
static void
deparse_columns(TaskapiView *view, Relation source, Query *query, int rtindex)
{
	List	   *context = deparse_context_for("t", RelationGetRelid(source));
	StringInfoData returning;
	ListCell   *lc;

	initStringInfo(&returning);
	view->expressions = palloc0(sizeof(char *) * Max(view->ncolumns, 1));
	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		const Node *column = (const Node *) taskapi_simple_view_column((Node *) tle->expr, rtindex);
		int			start;

		if (tle->resjunk)
			continue;
		appendStringInfoString(&returning, returning.len > 0 ? ", " : "");
		start = returning.len;
		if (!append_qualified(&returning, column ? column : (const Node *) tle->expr, source))
		{
			Node	   *expr = copyObject((Node *) tle->expr);

			returning.len = start;
			ChangeVarNodes(expr, rtindex, 1, 0);
			appendStringInfoString(&returning, deparse_expression(expr, context, true, false));
			view->entry.user_types = true;
			view->search_path = pstrdup(namespace_search_path);
		}
		if (tle->resno <= view->ncolumns)
			view->expressions[tle->resno - 1] = pstrdup(returning.data + start);
	}
	view->returning = returning.data;
}

/*
 * Append a column, a constant or a call of a function with every name qualified.  False for anything else.
 */
static bool
append_qualified(StringInfo buf, const Node *node, Relation source)
{
	check_stack_depth();
	if (IsA(node, Var))
	{
		const Var  *var = (const Var *) node;

		if (var->varlevelsup > 0 || var->varattno <= 0)
			return false;
		appendStringInfo(buf, "t.%s", quote_identifier(NameStr(TupleDescAttr(RelationGetDescr(source),
																			 var->varattno - 1)->attname)));
		return true;
	}
	if (IsA(node, Const))
	{
		const Const *value = (const Const *) node;
		Oid			output;
		bool		is_varlena;

		if (value->constisnull)
			appendStringInfoString(buf, "NULL");
		else
		{
			getTypeOutputInfo(value->consttype, &output, &is_varlena);
			appendStringInfoString(buf, quote_literal_cstr(OidOutputFunctionCall(output, value->constvalue)));
		}
		appendStringInfo(buf, "::%s", format_type_extended(value->consttype, value->consttypmod,
														   FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY));
		return true;
	}
	if (IsA(node, FuncExpr))
	{
		const FuncExpr *call = (const FuncExpr *) node;
		const char *separator = "";
		ListCell   *lc;

		if (call->funcformat != COERCE_EXPLICIT_CALL || call->funcretset || call->funcvariadic)
			return false;
		appendStringInfo(buf, "%s(", quote_qualified_identifier(get_namespace_name(get_func_namespace(call->funcid)),
																get_func_name(call->funcid)));
		foreach(lc, call->args)
		{
			appendStringInfoString(buf, separator);
			separator = ", ";
			if (IsA(lfirst(lc), NamedArgExpr) || !append_qualified(buf, lfirst(lc), source))
				return false;
		}
		appendStringInfoChar(buf, ')');
		return true;
	}
	return false;
}

/*
 * What does not hold that the code relies on; NULL if all does.
 */
static const char *
find_fault(TaskapiView *view, Relation source, const Query *query)
{
	const TaskapiRegistration *registration = &view->registration;
	const char *deleted_at = registration->soft_delete ? NameStr(registration->deleted_at_column) : NULL;
	const char *fault = taskapi_resource_table_fault(source, deleted_at, registration->versioned);

	if (fault != NULL)
		return fault;
	for (int i = 0; i < view->ncolumns; i++)
	{
		AttrNumber	attno = view->columns[i].source_attno;

		if (!OidIsValid(view->columns[i].type) ||
			(attno > 0 && (TupleDescAttr(RelationGetDescr(source), attno - 1)->attisdropped ||
						   TupleDescAttr(RelationGetDescr(source), attno - 1)->atttypid != view->columns[i].type)))
			return psprintf("Its column %d is of another type than in table \"%s\".",
							i + 1, RelationGetRelationName(source));
	}
	if (view->deleted_rows && view->deleted_at == NULL)
		return psprintf("It has no column \"%s\".", deleted_at);
	if (deleted_at != NULL)
	{
		if (!has_condition(query, get_attnum(RelationGetRelid(source), deleted_at), view->deleted_rows ? IS_NOT_NULL : IS_NULL))
			return view->deleted_rows ? "It does not show the deleted rows, all of them and no others." :
				"It does not show the rows that are not deleted, all of them and no others.";
	}
	else if (query->jointree->quals != NULL)
		return "It does not show all rows of its table.";
	return find_keys(view, source);
}

static bool
has_condition(const Query *query, AttrNumber deleted_at, NullTestType type)
{
	const NullTest *test = (const NullTest *) query->jointree->quals;
	const Var  *var;

	if (test == NULL || !IsA(test, NullTest) || test->nulltesttype != type || test->argisrow)
		return false;
	var = (const Var *) test->arg;
	return IsA(var, Var) && var->varlevelsup == 0 && var->varattno == deleted_at;
}

static const char *
find_keys(TaskapiView *view, Relation source)
{
	TaskapiKeyColumn key[INDEX_MAX_KEYS];

	view->nkeys = taskapi_primary_key(source, key);
	if (view->nkeys == 0)
		return psprintf("Table \"%s\" has no primary key that names one row.", RelationGetRelationName(source));

	view->keys = palloc0(sizeof(TaskapiViewKey) * view->nkeys);
	for (int i = 0; i < view->nkeys; i++)
	{
		view->keys[i].column = -1;
		view->keys[i].eq_operator = key[i].eq_operator;
		if (key[i].eq_operator >= FirstNormalObjectId)
			view->entry.user_types = true;
		for (int j = 0; j < view->ncolumns; j++)
		{
			if (view->columns[j].source_attno == key[i].attno)
				view->keys[i].column = j;
		}
		if (view->keys[i].column >= 0)
			view->key_columns = bms_add_member(view->key_columns, view->keys[i].column);
		else
			return psprintf("It does not have all columns of the primary key of table \"%s\".",
							RelationGetRelationName(source));
	}
	return NULL;
}

void
taskapi_resource_require_row_type(const TaskapiView *view, TupleDesc desc)
{
	bool		same = (desc->natts == view->ncolumns);

	for (int i = 0; same && i < desc->natts; i++)
		same = !TupleDescAttr(desc, i)->attisdropped && TupleDescAttr(desc, i)->atttypid == view->columns[i].type;
	if (!same)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("resource \"%s\" changed while a row of it was being written", get_rel_name(view->entry.relid)),
				 errhint("Send the request again.")));
}

TaskapiValueIO *
taskapi_resource_view_io(TaskapiView *view)
{
	if (view->io == NULL)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(view->entry.context);
		TaskapiValueIO *io = palloc0(sizeof(TaskapiValueIO) * Max(view->ncolumns, 1));

		for (int i = 0; i < view->ncolumns; i++)
			taskapi_value_io(&io[i], view->columns[i].type);
		MemoryContextSwitchTo(oldcontext);
		view->io = io;
	}
	return view->io;
}

bool
taskapi_resource_may_read(const TaskapiView *view)
{
	return pg_class_aclcheck(view->registration.source, GetUserId(), ACL_SELECT) == ACLCHECK_OK ||
		taskapi_resource_may_read_columns(view, NULL);
}

/*
 * A computed column may need any.
 */
bool
taskapi_resource_may_read_columns(const TaskapiView *view, const Bitmapset *columns)
{
	Oid			source = view->registration.source;
	bool		all = columns == NULL || (view->cursor >= 0 && bms_is_member(view->cursor, columns));

	if (pg_class_aclcheck(source, GetUserId(), ACL_SELECT) == ACLCHECK_OK)
		return true;
	for (int i = 0; i < view->ncolumns; i++)
	{
		if ((all || bms_is_member(i, columns)) && view->columns[i].source_attno != 0 &&
			pg_attribute_aclcheck(source, view->columns[i].source_attno, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
			return false;
	}
	return true;
}
