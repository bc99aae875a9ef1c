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

/* Where the CTEs of a query, of whatever names, are read */
typedef struct CteReads
{
	bool		below_sublink;	/* where the walk is */
	bool		below_guard;
	bool		in_sublink;		/* what it has found */
	bool		guarded;
} CteReads;

static planner_hook_type next_planner_hook = NULL;
static int	depth = 0;			/* of planning that this hook has seen */

static PlannedStmt *check_planner(Query *parse, const char *query_string, int cursor_options,
								  ParamListInfo params TASKAPI_PLANNER_PARAM);
static PlannedStmt *plan_checked(Query *query, const char *query_string, int cursor_options,
								 ParamListInfo params TASKAPI_PLANNER_PARAM);
static void add_checks(Query *query);
static bool has_comparison(Node *node, void *context);
static bool walk(Node *node, void *context);
static bool walk_sublink(SubLink *sublink, TaskapiCursorLevel *level);
static void walk_query(Query *query, TaskapiCursorLevel *up, Query *home, const TaskapiCursorObjects *objects);
static Query *home_in_from(const TaskapiCursorLevel *level, Query *query);
static Query *home_in_expression(const TaskapiCursorLevel *level);
static Query *home_of_cte(const TaskapiCursorLevel *level, Query *query);
static bool takes_condition(const Query *query);
static bool is_guard(Node *node);
static bool find_cte_reads(Node *node, void *context);
static bool visit_condition(Node *condition, void *arg);
static void check_node(Node *node, TaskapiCursorLevel *level, PairCheck what);
static void check_array(ScalarArrayOpExpr *op, TaskapiCursorLevel *level, PairCheck what);
static void check_pair(Node *left, Node *right, int strategy, TaskapiCursorLevel *level, PairCheck what);
static void check_against(const TaskapiCursorSource *source, Node *other, bool array, bool strict,
						  TaskapiCursorLevel *level, PairCheck what);
static bool refuse_constant(const TaskapiCursorSource *source, Const *constant, bool array);
static void type_nulls(FuncExpr *call, const FuncExpr *like);
static void add_condition(Query *query, Expr *check);
static bool is_equal(Node *condition, void *arg);

void
taskapi_cursor_check_init(void)
{
	next_planner_hook = planner_hook;
	planner_hook = check_planner;
}

int
taskapi_planning_depth(void)
{
	return depth;
}

static PlannedStmt *
check_planner(Query *parse, const char *query_string, int cursor_options, ParamListInfo params TASKAPI_PLANNER_PARAM)
{
	PlannedStmt *volatile result = NULL;

	depth++;
	PG_TRY();
	{
		add_checks(parse);
		result = plan_checked(parse, query_string, cursor_options, params TASKAPI_PLANNER_ARG);
	}
	PG_FINALLY();
	{
		depth--;
	}
	PG_END_TRY();
	return result;
}

static PlannedStmt *
plan_checked(Query *query, const char *query_string, int cursor_options, ParamListInfo params TASKAPI_PLANNER_PARAM)
{
	if (next_planner_hook)
		return next_planner_hook(query, query_string, cursor_options, params TASKAPI_PLANNER_ARG);
	return standard_planner(query, query_string, cursor_options, params TASKAPI_PLANNER_ARG);
}

/*
 * In place: the planner may scribble on its query as well, and whoever keeps one hands it a copy.
 */
static void
add_checks(Query *query)
{
	const TaskapiCursorObjects *objects = taskapi_cursor_objects();

	if (objects && has_comparison((Node *) query, unconstify(TaskapiCursorObjects *, objects)))
		walk_query(query, NULL, query, objects);
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
			return query_tree_walker((Query *) node, TASKAPI_WALKER(has_comparison), context, 0);
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
	return expression_tree_walker(node, TASKAPI_WALKER(has_comparison), context);
}

static void
walk_query(Query *query, TaskapiCursorLevel *up, Query *home, const TaskapiCursorObjects *objects)
{
	TaskapiCursorLevel level = {query, up, objects, home};

	if (takes_condition(query))
		taskapi_cursor_visit_conditions((Node *) query->jointree, visit_condition, &level);
	query_tree_walker(query, TASKAPI_WALKER(walk), &level, 0);
}

static bool
walk(Node *node, void *context)
{
	TaskapiCursorLevel *level = context;
	bool		guarded = level->guarded;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		walk_query((Query *) node, level, home_in_from(level, (Query *) node), level->objects);
		return false;
	}
	if (IsA(node, CommonTableExpr))
	{
		Query	   *query = (Query *) ((CommonTableExpr *) node)->ctequery;

		walk_query(query, level, home_of_cte(level, query), level->objects);
		return false;
	}
	if (IsA(node, SubLink))
		return walk_sublink((SubLink *) node, level);
	if (!list_member_ptr(level->conditions, node))
		check_node(node, level, PAIR_CONSTANTS);
	level->guarded |= is_guard(node);
	expression_tree_walker(node, TASKAPI_WALKER(walk), context);
	level->guarded = guarded;
	return false;
}

static bool
walk_sublink(SubLink *sublink, TaskapiCursorLevel *level)
{
	walk(sublink->testexpr, level);
	walk_query((Query *) sublink->subselect, level, home_in_expression(level), level->objects);
	return false;
}

/*
 * What is in FROM is evaluated for rows that the query may see, if for any, so that a check may stand there.
 */
static Query *
home_in_from(const TaskapiCursorLevel *level, Query *query)
{
	if (level->home == level->query)
		return query;
	return level->query->setOperations ? NULL : level->home;
}

/*
 * A sub-select among expressions may be evaluated when a row is reached, before row-level security hides it.  So its checks stand
 * in the query around it as well, and have passed by then.
 */
static Query *
home_in_expression(const TaskapiCursorLevel *level)
{
	if (level->guarded || level->home == NULL || !takes_condition(level->home))
		return NULL;
	return level->home;
}

/*
 * A CTE is evaluated when it is first read, which may be by a sub-select.
 */
static Query *
home_of_cte(const TaskapiCursorLevel *level, Query *query)
{
	CteReads	reads = {0};

	if (query->commandType != CMD_SELECT)
		return level->home ? query : NULL;
	query_tree_walker(level->query, TASKAPI_WALKER(find_cte_reads), &reads, QTW_EXAMINE_RTES_BEFORE);
	if (reads.guarded)
		return NULL;
	return reads.in_sublink ? home_in_expression(level) : home_in_from(level, query);
}

static bool
find_cte_reads(Node *node, void *context)
{
	CteReads   *reads = context;
	CteReads	around = *reads;

	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_Query:
			return query_tree_walker((Query *) node, TASKAPI_WALKER(find_cte_reads), context, QTW_EXAMINE_RTES_BEFORE);
		case T_RangeTblEntry:
			reads->in_sublink |= reads->below_sublink && ((RangeTblEntry *) node)->rtekind == RTE_CTE;
			reads->guarded |= reads->below_guard && reads->below_sublink && ((RangeTblEntry *) node)->rtekind == RTE_CTE;
			return false;
		default:
			break;
	}
	reads->below_sublink |= IsA(node, SubLink);
	reads->below_guard |= is_guard(node);
	expression_tree_walker(node, TASKAPI_WALKER(find_cte_reads), context);
	reads->below_sublink = around.below_sublink;
	reads->below_guard = around.below_guard;
	return false;
}

/*
 * Does a condition of WHERE come before all rows?  The ON of a MERGE becomes that of an outer join.
 */
static bool
takes_condition(const Query *query)
{
	return query->jointree && query->setOperations == NULL && query->commandType != CMD_MERGE;
}

/*
 * What need not evaluate all that is in it
 */
static bool
is_guard(Node *node)
{
	return is_orclause(node) || IsA(node, CaseExpr) || IsA(node, CoalesceExpr);
}

static bool
visit_condition(Node *condition, void *arg)
{
	TaskapiCursorLevel *level = arg;

	level->conditions = lappend(level->conditions, condition);
	check_node(condition, level, level->home ? PAIR_CONDITION : PAIR_CONSTANTS);
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
	else if (taskapi_cursor_is_fixed(array) && taskapi_cursor_find_source(scalar, level, &source))
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
	if (taskapi_cursor_is_fixed(right) && taskapi_cursor_find_source(left, level, &source))
		check_against(&source, right, false, strict, level, what);
	else if (taskapi_cursor_is_fixed(left) && taskapi_cursor_find_source(right, level, &source))
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
	Expr	   *check;

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
	check = taskapi_cursor_make_check(level->objects, source->call, (Expr *) other, array, strict);
	add_condition(level->query, check);
	if (level->home != level->query)
		add_condition(level->home, copyObject(check));
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
