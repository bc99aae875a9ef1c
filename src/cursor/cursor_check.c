/*-------------------------------------------------------------------------
 *
 * cursor_check.c
 *	  Finding comparisons with a cursor of another order_by, before any row is read
 *	  (cursor_check.h).
 *
 * The hook runs after the rewriter, so views stand in the query as subqueries, and
 * before anything is pulled up.  Most queries have no operator of cursors in
 * them, and are passed on after one walk.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/planner.h"
#include "utils/array.h"

#include "base/compat.h"
#include "cursor/cursor_check.h"
#include "cursor/cursor_plan.h"
#include "cursor/cursor_source.h"

typedef enum PairCheck
{
	PAIR_CONSTANTS,				/* refuse a constant */
	PAIR_CONDITION				/* and check anything else */
} PairCheck;

static planner_hook_type next_planner_hook = NULL;
static int	depth = 0;			/* of planning that this hook has seen */

static PlannedStmt *check_planner(Query *parse, const char *query_string, int cursor_options, ParamListInfo params);
static PlannedStmt *plan_checked(Query *query, const char *query_string, int cursor_options, ParamListInfo params);
static void add_checks(Query *query);
static bool has_comparison(Node *node, void *context);
static bool walk(Node *node, void *context);
static void walk_query(Query *query, TaskapiCursorLevel *up, const TaskapiCursorObjects *objects);
static bool visit_condition(Node *condition, void *arg);
static void check_node(Node *node, TaskapiCursorLevel *level, PairCheck what);
static void check_array(ScalarArrayOpExpr *op, TaskapiCursorLevel *level, PairCheck what);
static void check_pair(Node *left, Node *right, int strategy, TaskapiCursorLevel *level, PairCheck what);
static void check_against(const TaskapiCursorSource *source, Node *other, bool array, bool strict,
						  TaskapiCursorLevel *level, PairCheck what);
static bool refuse_constant(const TaskapiCursorSource *source, Const *constant, bool array);
static void type_nulls(FuncExpr *call, const FuncExpr *like);
static bool is_fixed(Node *node);
static bool not_fixed(Node *node, void *context);
static void add_condition(Query *query, Expr *check);
static bool is_equal(Node *condition, void *arg);

void
taskapi_cursor_check_init(void)
{
	next_planner_hook = planner_hook;
	planner_hook = check_planner;
}

bool
taskapi_cursor_query_was_seen(void)
{
	return depth > 0;
}

static PlannedStmt *
check_planner(Query *parse, const char *query_string, int cursor_options, ParamListInfo params)
{
	PlannedStmt *volatile result = NULL;

	depth++;
	PG_TRY();
	{
		add_checks(parse);
		result = plan_checked(parse, query_string, cursor_options, params);
	}
	PG_FINALLY();
	{
		depth--;
	}
	PG_END_TRY();
	return result;
}

static PlannedStmt *
plan_checked(Query *query, const char *query_string, int cursor_options, ParamListInfo params)
{
	if (next_planner_hook)
		return next_planner_hook(query, query_string, cursor_options, params);
	return standard_planner(query, query_string, cursor_options, params);
}

/*
 * In place: the planner may scribble on its query as well, and whoever keeps one hands it a copy.
 */
static void
add_checks(Query *query)
{
	const TaskapiCursorObjects *objects = taskapi_cursor_objects();

	if (objects && has_comparison((Node *) query, unconstify(TaskapiCursorObjects *, objects)))
		walk_query(query, NULL, objects);
}

static bool
has_comparison(Node *node, void *context)
{
	const TaskapiCursorObjects *objects = context;
	ListCell   *lc;

	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_Query:
			return query_tree_walker((Query *) node, has_comparison, context, 0);
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
			if (taskapi_cursor_strategy_of_operator(objects, ((OpExpr *) node)->opno))
				return true;
			break;
		case T_ScalarArrayOpExpr:
			if (taskapi_cursor_strategy_of_operator(objects, ((ScalarArrayOpExpr *) node)->opno))
				return true;
			break;
		case T_RowCompareExpr:
			foreach(lc, ((RowCompareExpr *) node)->opnos)
			{
				if (taskapi_cursor_strategy_of_operator(objects, lfirst_oid(lc)))
					return true;
			}
			break;
		default:
			break;
	}
	return expression_tree_walker(node, has_comparison, context);
}

static void
walk_query(Query *query, TaskapiCursorLevel *up, const TaskapiCursorObjects *objects)
{
	TaskapiCursorLevel level = {query, up, objects};

	/* The ON of a MERGE becomes that of an outer join. */
	if (query->commandType != CMD_MERGE && query->jointree)
		taskapi_cursor_visit_conditions((Node *) query->jointree, visit_condition, &level);
	query_tree_walker(query, walk, &level, 0);
}

static bool
walk(Node *node, void *context)
{
	TaskapiCursorLevel *level = context;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		walk_query((Query *) node, level, level->objects);
		return false;
	}
	if (!list_member_ptr(level->conditions, node))
		check_node(node, level, PAIR_CONSTANTS);
	return expression_tree_walker(node, walk, context);
}

static bool
visit_condition(Node *condition, void *arg)
{
	TaskapiCursorLevel *level = arg;

	level->conditions = lappend(level->conditions, condition);
	check_node(condition, level, PAIR_CONDITION);
	return false;
}

static void
check_node(Node *node, TaskapiCursorLevel *level, PairCheck what)
{
	int			strategy;

	switch (nodeTag(node))
	{
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
			{
				OpExpr	   *op = (OpExpr *) node;

				strategy = taskapi_cursor_strategy_of_operator(level->objects, op->opno);
				if (strategy)
					check_pair(linitial(op->args), lsecond(op->args), IsA(node, OpExpr) ? strategy : 0, level, what);
				break;
			}
		case T_ScalarArrayOpExpr:
			check_array((ScalarArrayOpExpr *) node, level, what);
			break;
		case T_RowCompareExpr:
			{
				RowCompareExpr *row = (RowCompareExpr *) node;

				for (int i = 0; i < list_length(row->opnos); i++)
				{
					if (taskapi_cursor_strategy_of_operator(level->objects, list_nth_oid(row->opnos, i)))
						check_pair(list_nth(row->largs, i), list_nth(row->rargs, i), 0, level, what);
				}
				break;
			}
		default:
			break;
	}
}

static void
check_array(ScalarArrayOpExpr *op, TaskapiCursorLevel *level, PairCheck what)
{
	Node	   *scalar = linitial(op->args);
	Node	   *array = lsecond(op->args);
	TaskapiCursorSource source;

	if (!taskapi_cursor_strategy_of_operator(level->objects, op->opno))
		return;
	if (IsA(array, ArrayExpr) && !((ArrayExpr *) array)->multidims)
	{
		ListCell   *lc;

		foreach(lc, ((ArrayExpr *) array)->elements)
			check_pair(scalar, lfirst(lc), 0, level, what);
	}
	else if (is_fixed(array) && taskapi_cursor_find_source(scalar, level, &source))
		check_against(&source, array, true, false, level, what);
}

/*
 * "strategy" is that of an operator that may be rewritten, else 0.
 */
static void
check_pair(Node *left, Node *right, int strategy, TaskapiCursorLevel *level, PairCheck what)
{
	TaskapiCursorSource source;
	FuncExpr   *left_call = taskapi_cursor_call(left);
	FuncExpr   *right_call = taskapi_cursor_call(right);
	bool		strict = strategy >= BTLessStrategyNumber && strategy <= BTMaxStrategyNumber;

	if (left_call && right_call)
	{
		type_nulls(left_call, right_call);
		type_nulls(right_call, left_call);
	}
	if (is_fixed(right) && taskapi_cursor_find_source(left, level, &source))
		check_against(&source, right, false, strict, level, what);
	else if (is_fixed(left) && taskapi_cursor_find_source(right, level, &source))
		check_against(&source, left, false, strict, level, what);
}

/*
 * "strict": the comparison is rewritten if it can be, so that a NULL must not come in.
 */
static void
check_against(const TaskapiCursorSource *source, Node *other, bool array, bool strict, TaskapiCursorLevel *level, PairCheck what)
{
	FuncExpr   *call = array ? NULL : taskapi_cursor_call(other);
	bool		constant = false;

	if (IsA(other, Const))
		constant = refuse_constant(source, (Const *) other, array);
	else if (call)
	{
		char	   *error;
		TaskapiCursorShape *shape;
		TaskapiCursorMatch match;

		/* What it makes is known, whatever its values are; a call that can make nothing is refused when it is planned. */
		type_nulls(call, source->call);
		shape = taskapi_cursor_call_shape(call, CurrentMemoryContext, &error);
		if (shape == NULL)
			return;
		if (taskapi_cursor_descriptor_compare(source->shape->descriptor, source->shape->descriptor_len,
											  shape->descriptor, shape->descriptor_len) != 0)
		{
			match = taskapi_cursor_descriptor_match(source->shape->descriptor, source->shape->descriptor_len,
													shape->descriptor, shape->descriptor_len);
			taskapi_cursor_mismatch(match == CURSOR_OTHER_ORDER ? match : CURSOR_OTHER_TYPES);
		}
		constant = true;
		for (int i = 1; i < list_length(call->args); i++)
			constant &= IsA(list_nth(call->args, i), Const);
	}
	if (constant || what != PAIR_CONDITION)
		return;
	strict &= source->never_null && taskapi_cursor_is_uniform(source->shape);
	if (call && !strict)
		return;
	add_condition(level->query, taskapi_cursor_make_check(level->objects, source->call, (Expr *) other, array, strict));
}

/*
 * Always true: what is known needs no check.
 */
static bool
refuse_constant(const TaskapiCursorSource *source, Const *constant, bool array)
{
	TaskapiCursorView view;
	TaskapiCursorMatch match = CURSOR_MATCHES;
	Datum	   *elements = &constant->constvalue;
	bool	   *nulls = &constant->constisnull;
	int			nelements = 1;

	if (constant->constisnull)
		return true;
	if (array)
	{
		ArrayType  *value = DatumGetArrayTypeP(constant->constvalue);

		deconstruct_array(value, ARR_ELEMTYPE(value), -1, false, TYPALIGN_INT, &elements, &nulls, &nelements);
	}
	for (int i = 0; i < nelements && match == CURSOR_MATCHES; i++)
	{
		if (!nulls[i] && taskapi_cursor_try_view((struct varlena *) PG_DETOAST_DATUM_PACKED(elements[i]), &view))
			match = taskapi_cursor_shape_compares(source->shape, &view);
	}
	if (match != CURSOR_MATCHES)
		taskapi_cursor_mismatch(match);
	return true;
}

/*
 * An untyped NULL in a call that is compared with another one is a NULL of the type there.
 */
static void
type_nulls(FuncExpr *call, const FuncExpr *like)
{
	if (list_length(call->args) != list_length(like->args))
		return;
	for (int i = 1; i < list_length(call->args); i++)
	{
		ListCell   *cell = list_nth_cell(call->args, i);
		Const	   *key = lfirst(cell);
		Node	   *other = list_nth(like->args, i);

		if (IsA(key, Const) && key->consttype == UNKNOWNOID && key->constisnull && exprType(other) != UNKNOWNOID)
			lfirst(cell) = makeNullConst(exprType(other), -1, exprCollation(other));
	}
}

/*
 * The same for every row of every query around: no column, no subquery, nothing volatile
 */
static bool
is_fixed(Node *node)
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
		case T_CaseTestExpr:
		case T_CoerceToDomainValue:
		case T_SetToDefault:
		case T_CurrentOfExpr:
			return true;
		case T_Param:
			return ((Param *) node)->paramkind != PARAM_EXTERN;
		default:
			return expression_tree_walker(node, not_fixed, context);
	}
}

static void
add_condition(Query *query, Expr *check)
{
	if (!taskapi_cursor_visit_conditions((Node *) query->jointree, is_equal, check))
		query->jointree->quals = make_and_qual(query->jointree->quals, (Node *) check);
}

static bool
is_equal(Node *condition, void *arg)
{
	return equal(condition, arg);
}
