/*-------------------------------------------------------------------------
 *
 * cursor_plan.c
 *	  What the rewrite of a comparison asks of the query around it
 *	  (cursor_plan.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/index.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "cursor/cursor_plan.h"

static bool is_not_null(TupleDesc desc, const Var *var);
static bool on_nullable_side(Node *jtnode, int rtindex, bool nullable);
static bool orders_by_cursor(TaskapiCursorComparison *comparison);
static bool index_holds_keys(Relation index, TaskapiCursorComparison *comparison);
static bool visit_condition(Node *condition, TaskapiCursorConditionVisitor visit, void *arg);
static bool not_fixed(Node *node, void *context);
static bool is_check(Node *condition, void *arg);
static bool is_comparison(Node *condition, void *arg);

bool
taskapi_cursor_keys_never_null(TaskapiCursorComparison *comparison)
{
	Query	   *parse = comparison->root->parse;
	RangeTblEntry *rte = NULL;
	Relation	rel;
	bool		never = true;
	ListCell   *lc;

	/* a column that a grouping set leaves out is NULL above it */
	if (parse->groupingSets != NIL)
		return false;

	for_each_from(lc, comparison->constructor->args, 1)
	{
		Var		   *var = taskapi_cursor_key_column(lfirst(lc));

		if (var == NULL || var->varlevelsup != 0 || var->varattno <= 0 || !taskapi_var_is_plain(var) ||
			IS_SPECIAL_VARNO(var->varno))
			return false;
		if (comparison->varno != 0 && comparison->varno != var->varno)
			return false;
		comparison->varno = var->varno;
	}

	if (comparison->varno < 1 || comparison->varno > list_length(parse->rtable))
		return false;
	rte = rt_fetch(comparison->varno, parse->rtable);
	if (rte->rtekind != RTE_RELATION ||
		(rte->relkind != RELKIND_RELATION && rte->relkind != RELKIND_PARTITIONED_TABLE))
		return false;
	comparison->partitioned = (rte->relkind == RELKIND_PARTITIONED_TABLE);

	/* the quals of a table's children are simplified again: what was decided for the table stands */
	if (comparison->root->append_rel_array && comparison->varno < comparison->root->simple_rel_array_size)
	{
		AppendRelInfo *child = comparison->root->append_rel_array[comparison->varno];

		if (child && rt_fetch(child->parent_relid, parse->rtable)->rtekind == RTE_RELATION)
			return false;
	}

	/* a child that is no partition may be without its parent's NOT NULL */
	if (rte->relkind == RELKIND_RELATION && rte->inh && has_subclass(rte->relid))
		return false;
	if (taskapi_cursor_on_nullable_side((Node *) parse->jointree, comparison->varno))
		return false;

	rel = table_open(rte->relid, NoLock);
	for_each_from(lc, comparison->constructor->args, 1)
		never &= is_not_null(RelationGetDescr(rel), taskapi_cursor_key_column(lfirst(lc)));
	table_close(rel, NoLock);
	return never;
}

/*
 * A CHECK is simplified while its columns are those of relation 1, whatever that is in this query: only a column of that number and
 * type counts.
 */
static bool
is_not_null(TupleDesc desc, const Var *var)
{
	Form_pg_attribute att;

	if (var->varattno > desc->natts)
		return false;
	att = TupleDescAttr(desc, var->varattno - 1);
	return !att->attisdropped && att->atttypid == var->vartype && taskapi_att_is_not_null(desc, var->varattno);
}

Var *
taskapi_cursor_key_column(Node *key)
{
	while (IsA(key, RelabelType))
		key = (Node *) ((RelabelType *) key)->arg;
	return IsA(key, Var) ? (Var *) key : NULL;
}

bool
taskapi_cursor_behind_barrier(PlannerInfo *root)
{
	for (root = root->parent_root; root != NULL; root = root->parent_root)
	{
		ListCell   *lc;

		foreach(lc, root->parse->rtable)
		{
			RangeTblEntry *rte = lfirst(lc);

			if (rte->rtekind == RTE_SUBQUERY && rte->security_barrier)
				return true;
		}
	}
	return false;
}

bool
taskapi_cursor_on_nullable_side(Node *jtnode, int rtindex)
{
	return on_nullable_side(jtnode, rtindex, false);
}

static bool
on_nullable_side(Node *jtnode, int rtindex, bool nullable)
{
	if (jtnode == NULL)
		return false;
	if (IsA(jtnode, RangeTblRef))
		return nullable && ((RangeTblRef *) jtnode)->rtindex == rtindex;
	if (IsA(jtnode, FromExpr))
	{
		ListCell   *lc;

		foreach(lc, ((FromExpr *) jtnode)->fromlist)
		{
			if (on_nullable_side(lfirst(lc), rtindex, nullable))
				return true;
		}
		return false;
	}
	if (IsA(jtnode, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) jtnode;
		bool		left = nullable || join->jointype == JOIN_RIGHT || join->jointype == JOIN_FULL;
		bool		right = nullable || join->jointype == JOIN_LEFT || join->jointype == JOIN_FULL ||
			join->jointype == JOIN_ANTI;

		return on_nullable_side(join->larg, rtindex, left) || on_nullable_side(join->rarg, rtindex, right);
	}
	return true;
}

bool
taskapi_cursor_prefers_index(TaskapiCursorComparison *comparison, bool leakproof_lost)
{
	RangeTblEntry *rte = rt_fetch(comparison->varno, comparison->root->parse->rtable);
	Relation	rel = table_open(rte->relid, NoLock);
	List	   *indexes = RelationGetIndexList(rel);
	bool		cursor_index = false;
	bool		key_index = false;
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (index->rd_rel->relam == BTREE_AM_OID && index->rd_index->indisvalid)
		{
			List	   *expressions = RelationGetIndexExpressions(index);
			ListCell   *le;

			foreach(le, expressions)
			{
				Node	   *expression = lfirst(le);

				if (comparison->varno != 1)
					ChangeVarNodes(expression, 1, comparison->varno, 0);
				cursor_index |= equal(expression, comparison->constructor);
			}
			key_index |= index_holds_keys(index, comparison);
		}
		index_close(index, AccessShareLock);
	}
	list_free(indexes);
	table_close(rel, NoLock);
	return cursor_index && (leakproof_lost || !key_index || orders_by_cursor(comparison));
}

static bool
orders_by_cursor(TaskapiCursorComparison *comparison)
{
	Query	   *parse = comparison->root->parse;
	SortGroupClause *sort;

	if (parse->sortClause == NIL)
		return false;
	sort = linitial(parse->sortClause);
	return equal(get_sortgroupclause_expr(sort, parse->targetList), comparison->constructor);
}

/*
 * Does the index have all keys as columns, one after the other?
 */
static bool
index_holds_keys(Relation index, TaskapiCursorComparison *comparison)
{
	List	   *args = comparison->constructor->args;
	int			nkeys = list_length(args) - 1;
	Form_pg_index form = index->rd_index;

	for (int start = 0; start + nkeys <= form->indnkeyatts; start++)
	{
		int			i;

		for (i = 0; i < nkeys; i++)
		{
			Var		   *column = taskapi_cursor_key_column(list_nth(args, i + 1));

			if (column == NULL || form->indkey.values[start + i] != column->varattno)
				break;
		}
		if (i == nkeys)
			return true;
	}
	return false;
}

bool
taskapi_cursor_visit_conditions(Node *jtnode, TaskapiCursorConditionVisitor visit, void *arg)
{
	ListCell   *lc;

	if (jtnode == NULL || IsA(jtnode, RangeTblRef))
		return false;
	if (IsA(jtnode, FromExpr))
	{
		FromExpr   *from = (FromExpr *) jtnode;

		foreach(lc, from->fromlist)
		{
			if (taskapi_cursor_visit_conditions(lfirst(lc), visit, arg))
				return true;
		}
		return visit_condition(from->quals, visit, arg);
	}
	if (IsA(jtnode, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) jtnode;
		bool		inner = join->jointype == JOIN_INNER || join->jointype == JOIN_SEMI;

		if (inner || join->jointype == JOIN_LEFT || join->jointype == JOIN_ANTI)
		{
			if (taskapi_cursor_visit_conditions(join->larg, visit, arg))
				return true;
		}
		if (inner || join->jointype == JOIN_RIGHT)
		{
			if (taskapi_cursor_visit_conditions(join->rarg, visit, arg))
				return true;
		}
		return inner && visit_condition(join->quals, visit, arg);
	}
	return false;
}

/*
 * Before the planner's preprocessing an AND, afterwards a list.
 */
static bool
visit_condition(Node *condition, TaskapiCursorConditionVisitor visit, void *arg)
{
	List	   *conditions;
	ListCell   *lc;

	if (condition == NULL)
		return false;
	if (IsA(condition, List))
		conditions = (List *) condition;
	else if (is_andclause(condition))
		conditions = ((BoolExpr *) condition)->args;
	else
		return visit(condition, arg);
	foreach(lc, conditions)
	{
		if (visit_condition(lfirst(lc), visit, arg))
			return true;
	}
	return false;
}

bool
taskapi_cursor_is_fixed(Node *node)
{
	return !not_fixed(node, NULL) && !contain_volatile_functions(node);
}

static bool
not_fixed(Node *node, void *context)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_Var:
		case T_Aggref:
		case T_GroupingFunc:
		case T_WindowFunc:
		case T_SubLink:
		case T_SubPlan:
		case T_AlternativeSubPlan:
		case T_CaseTestExpr:
		case T_CoerceToDomainValue:
		case T_SetToDefault:
		case T_CurrentOfExpr:
			return true;
		case T_Param:
			return ((Param *) node)->paramkind != PARAM_EXTERN;
		default:
			return expression_tree_walker(node, TASKAPI_WALKER(not_fixed), context);
	}
}

bool
taskapi_cursor_is_checked(TaskapiCursorComparison *comparison)
{
	for (PlannerInfo *root = comparison->root; root != NULL; root = root->parent_root)
	{
		if (taskapi_cursor_visit_conditions((Node *) root->parse->jointree, is_check, comparison))
			return true;
	}
	return false;
}

static bool
is_check(Node *condition, void *arg)
{
	TaskapiCursorComparison *comparison = arg;
	const TaskapiCursorObjects *objects = taskapi_cursor_objects();
	FuncExpr   *check = (FuncExpr *) condition;
	Expr	   *expected;

	if (!IsA(condition, FuncExpr) || check->funcid != objects->check)
		return false;
	expected = taskapi_cursor_make_check(objects, comparison->constructor, comparison->other, false, true);
	return equal(eval_const_expressions(comparison->root, copyObject(condition)),
				 eval_const_expressions(comparison->root, (Node *) expected));
}

/*
 * Sub-selects and CTEs are planned while the expressions of the query around them are prepared, before it has relations.
 */
bool
taskapi_cursor_is_in_from(PlannerInfo *root)
{
	for (root = root->parent_root; root != NULL; root = root->parent_root)
	{
		if (root->simple_rel_array == NULL)
			return false;
	}
	return true;
}

bool
taskapi_cursor_is_condition(TaskapiCursorComparison *comparison)
{
	Query	   *query = comparison->root->parse;

	/* a MERGE's ON is an inner join's or an outer one's by its actions, and is silent */
	return query->commandType != CMD_MERGE && taskapi_cursor_visit_conditions((Node *) query->jointree, is_comparison, comparison);
}

static bool
is_comparison(Node *condition, void *arg)
{
	TaskapiCursorComparison *comparison = arg;
	OpExpr	   *op = (OpExpr *) condition;

	if (!IsA(condition, OpExpr) || list_length(op->args) != 2 || get_opcode(op->opno) != comparison->call->funcid)
		return false;
	return equal(eval_const_expressions(comparison->root, copyObject((Node *) op->args)), comparison->call->args);
}

Expr *
taskapi_cursor_make_check(const TaskapiCursorObjects *objects, const FuncExpr *constructor,
						  Expr *other, bool array, bool not_null)
{
	List	   *args = list_make3(copyObject(other), copyObject(linitial(constructor->args)),
								  makeBoolConst(not_null, false));
	ListCell   *lc;

	for_each_from(lc, constructor->args, 1)
	{
		Node	   *key = lfirst(lc);
		Oid			type = exprType(key);

		if (type == UNKNOWNOID && !(IsA(key, Const) && ((Const *) key)->constisnull))
			type = TEXTOID;
		args = lappend(args, makeNullConst(type, -1, exprCollation(key)));
	}
	return (Expr *) makeFuncExpr(array ? objects->check_array : objects->check, BOOLOID, args,
								 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
}
