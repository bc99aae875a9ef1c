/*-------------------------------------------------------------------------
 *
 * cursor_source.c
 *	  The constructor of cursors behind an expression of a query
 *	  (cursor_source.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "cursor/cursor_plan.h"
#include "cursor/cursor_source.h"

static bool find_column(Var *var, TaskapiCursorLevel *level, TaskapiCursorSource *source);
static bool find_output(Query *query, AttrNumber attno, TaskapiCursorLevel *up, TaskapiCursorSource *source);
static bool find_branches(Node *node, Query *query, AttrNumber attno, TaskapiCursorLevel *level, TaskapiCursorSource *source);
static bool same_class(const TaskapiCursorSource *a, const TaskapiCursorSource *b);
static FuncExpr *inline_call(Node *node, const TaskapiCursorObjects *objects);
static bool is_sql_function(Oid funcid);
static bool never_null(Node *key, TaskapiCursorLevel *level);
static bool output_never_null(Query *query, AttrNumber attno, TaskapiCursorLevel *up);
static bool column_is_not_null(RangeTblEntry *rte, AttrNumber attno);
static Query *find_cte(RangeTblEntry *rte, TaskapiCursorLevel *level, TaskapiCursorLevel **where);

bool
taskapi_cursor_find_source(Node *node, TaskapiCursorLevel *level, TaskapiCursorSource *source)
{
	char	   *error;

	if (exprType(node) != level->objects->type)
		return false;
	if (IsA(node, Var))
		return find_column((Var *) node, level, source);
	source->call = inline_call(node, level->objects);
	if (source->call == NULL)
		return false;
	source->shape = taskapi_cursor_call_shape(source->call, CurrentMemoryContext, &error);
	if (source->shape == NULL)
		return false;
	source->never_null = true;
	for (int i = 1; i < list_length(source->call->args); i++)
		source->never_null &= never_null(list_nth(source->call->args, i), level);
	return true;
}

static bool
find_column(Var *var, TaskapiCursorLevel *level, TaskapiCursorSource *source)
{
	RangeTblEntry *rte;
	TaskapiCursorLevel *where;
	Query	   *cte;

	for (int i = var->varlevelsup; i > 0 && level; i--)
		level = level->up;
	if (level == NULL || var->varattno <= 0 || var->varno < 1 || var->varno > list_length(level->query->rtable))
		return false;
	rte = rt_fetch(var->varno, level->query->rtable);
	switch (rte->rtekind)
	{
		case RTE_SUBQUERY:
			if (!find_output(rte->subquery, var->varattno, level, source))
				return false;
			break;
		case RTE_CTE:
			cte = find_cte(rte, level, &where);
			if (cte == NULL || !find_output(cte, var->varattno, where, source))
				return false;
			break;
		default:
			{
				Node	   *alias = taskapi_rte_alias(rte, var->varattno);

				return alias && taskapi_cursor_find_source(alias, level, source);
			}
	}
	source->never_null &= level->query->groupingSets == NIL && level->query->jointree &&
		!taskapi_cursor_on_nullable_side((Node *) level->query->jointree, var->varno);
	return true;
}

static bool
find_output(Query *query, AttrNumber attno, TaskapiCursorLevel *up, TaskapiCursorSource *source)
{
	TaskapiCursorLevel level = {query, up, up->objects};
	TargetEntry *output = get_tle_by_resno(query->targetList, attno);

	if (query->setOperations)
		return find_branches(query->setOperations, query, attno, &level, source);
	return query->commandType == CMD_SELECT && output && taskapi_cursor_find_source((Node *) output->expr, &level, source);
}

/*
 * All branches of a set operation must make cursors that compare.
 */
static bool
find_branches(Node *node, Query *query, AttrNumber attno, TaskapiCursorLevel *level, TaskapiCursorSource *source)
{
	TaskapiCursorSource other;

	if (IsA(node, RangeTblRef))
	{
		RangeTblEntry *rte = rt_fetch(((RangeTblRef *) node)->rtindex, query->rtable);

		return rte->rtekind == RTE_SUBQUERY && find_output(rte->subquery, attno, level, source);
	}
	if (!IsA(node, SetOperationStmt) ||
		!find_branches(((SetOperationStmt *) node)->larg, query, attno, level, source) ||
		!find_branches(((SetOperationStmt *) node)->rarg, query, attno, level, &other) ||
		!same_class(source, &other))
		return false;
	source->never_null &= other.never_null;
	return true;
}

static bool
same_class(const TaskapiCursorSource *a, const TaskapiCursorSource *b)
{
	return taskapi_cursor_descriptor_compare(a->shape->descriptor, a->shape->descriptor_len,
											 b->shape->descriptor, b->shape->descriptor_len) == 0;
}

/*
 * The node as a constructor, after inlining if it is a call of an SQL function.
 */
static FuncExpr *
inline_call(Node *node, const TaskapiCursorObjects *objects)
{
	FuncExpr   *call = taskapi_cursor_call(node);

	if (call || !IsA(node, FuncExpr) || ((FuncExpr *) node)->funcid == objects->constructor ||
		!is_sql_function(((FuncExpr *) node)->funcid) || contain_subplans(node))
		return call;
	return taskapi_cursor_call(eval_const_expressions(NULL, copyObject(node)));
}

static bool
is_sql_function(Oid funcid)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(funcid));
	bool		result;

	if (!HeapTupleIsValid(tuple))
		return false;
	result = ((Form_pg_proc) GETSTRUCT(tuple))->prolang == SQLlanguageId;
	ReleaseSysCache(tuple);
	return result;
}

/*
 * Is a key a column that is never NULL in a row of the query?  As taskapi_cursor_keys_never_null() will see it, when views are
 * pulled up.
 */
static bool
never_null(Node *key, TaskapiCursorLevel *level)
{
	Var		   *var = taskapi_cursor_key_column(key);
	RangeTblEntry *rte;
	TaskapiCursorLevel *where;
	Query	   *cte;
	Node	   *alias;

	if (var == NULL || var->varlevelsup != 0 || var->varattno <= 0 || !taskapi_var_is_plain(var) ||
		var->varno < 1 || var->varno > list_length(level->query->rtable) || level->query->groupingSets != NIL)
		return false;
	rte = rt_fetch(var->varno, level->query->rtable);
	alias = taskapi_rte_alias(rte, var->varattno);
	if (alias)
		return never_null(alias, level);
	if (level->query->jointree == NULL ||
		taskapi_cursor_on_nullable_side((Node *) level->query->jointree, var->varno))
		return false;
	switch (rte->rtekind)
	{
		case RTE_RELATION:
			return column_is_not_null(rte, var->varattno);
		case RTE_SUBQUERY:
			return output_never_null(rte->subquery, var->varattno, level);
		case RTE_CTE:
			cte = find_cte(rte, level, &where);
			return cte && output_never_null(cte, var->varattno, where);
		default:
			return false;
	}
}

static bool
output_never_null(Query *query, AttrNumber attno, TaskapiCursorLevel *up)
{
	TaskapiCursorLevel level = {query, up, up->objects};
	TargetEntry *output = get_tle_by_resno(query->targetList, attno);

	return query->commandType == CMD_SELECT && query->setOperations == NULL && output &&
		never_null((Node *) output->expr, &level);
}

static bool
column_is_not_null(RangeTblEntry *rte, AttrNumber attno)
{
	HeapTuple	tuple;
	bool		result;

	/* a child that is no partition may be without its parent's NOT NULL */
	if (rte->relkind != RELKIND_PARTITIONED_TABLE &&
		(rte->relkind != RELKIND_RELATION || (rte->inh && has_subclass(rte->relid))))
		return false;
	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(rte->relid), Int16GetDatum(attno));
	if (!HeapTupleIsValid(tuple))
		return false;
	result = ((Form_pg_attribute) GETSTRUCT(tuple))->attnotnull;
	ReleaseSysCache(tuple);
	return result;
}

/*
 * The query of a CTE that is not recursive, and where it stands.
 */
static Query *
find_cte(RangeTblEntry *rte, TaskapiCursorLevel *level, TaskapiCursorLevel **where)
{
	ListCell   *lc;

	for (Index i = rte->ctelevelsup; i > 0 && level; i--)
		level = level->up;
	if (level == NULL || rte->self_reference)
		return NULL;
	foreach(lc, level->query->cteList)
	{
		CommonTableExpr *cte = lfirst(lc);

		if (strcmp(cte->ctename, rte->ctename) != 0)
			continue;
		*where = level;
		return cte->cterecursive ? NULL : (Query *) cte->ctequery;
	}
	return NULL;
}
