/*-------------------------------------------------------------------------
 *
 * cursor_plan.h
 *	  What the rewrite of a comparison asks of the query around it.
 *
 * All of it answers "no" in any doubt, and raises for nothing but what is wrong
 * with the catalog.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_CURSOR_PLAN_H
#define TASKAPI_CURSOR_PLAN_H

#include "nodes/pathnodes.h"

#include "cursor/cursor_call.h"

/* constructor OP other, in page order */
typedef struct TaskapiCursorComparison
{
	PlannerInfo *root;
	FuncExpr   *call;			/* the comparison, as the planner has it */
	FuncExpr   *constructor;	/* cursor('...', column, ...) */
	Expr	   *other;			/* what it is compared with: the same for all rows of a scan */
	int			strategy;
	TaskapiOrderBy *order_by;
	int			varno;			/* the relation of all keys; set by keys_never_null() */
	bool		partitioned;
} TaskapiCursorComparison;

/* Are all keys columns, of one table of this query, and never NULL where the comparison is evaluated? */
extern bool taskapi_cursor_keys_never_null(TaskapiCursorComparison *comparison);

/* The column behind a key, perhaps under another name of its type; NULL for any other expression. */
extern Var *taskapi_cursor_key_column(Node *key);

/* May a relation of the join tree be NULL-extended? */
extern bool taskapi_cursor_on_nullable_side(Node *jtnode, int rtindex);

/* May this be the subquery of a security barrier view, into which the comparison was pushed? */
extern bool taskapi_cursor_behind_barrier(PlannerInfo *root);

/* Would an expression index on the cursor serve better than the rewrite?  "leakproof_lost": the rewrite can bound no index scan. */
extern bool taskapi_cursor_prefers_index(TaskapiCursorComparison *comparison, bool leakproof_lost);

/* The same for every row of every query around: no column of any level, no subquery, nothing volatile? */
extern bool taskapi_cursor_is_fixed(Node *node);

/*
 * Is "other" verified by a cursor_check(other, order_by, true, keys of these types) that stands among the conditions of WHERE,
 * here or in a query around this one?
 */
extern bool taskapi_cursor_is_checked(TaskapiCursorComparison *comparison);

/*
 * Is this query in FROM of the one around it, and so on to the top?  A sub-select among expressions is not: what raises there may
 * do so because of a row that is hidden.
 */
extern bool taskapi_cursor_is_in_from(PlannerInfo *root);

/* Is the comparison itself one of the conditions of WHERE? */
extern bool taskapi_cursor_is_condition(TaskapiCursorComparison *comparison);

/*
 * The conditions that hold for every row of a join tree: those of WHERE, and of ON unless it is an outer join's.  The two functions
 * see through AND, and go on until "visit" returns true.
 */
typedef bool (*TaskapiCursorConditionVisitor) (Node *condition, void *arg);
extern bool taskapi_cursor_visit_conditions(Node *jtnode, TaskapiCursorConditionVisitor visit, void *arg);

/* cursor_check(other, order_by, not_null, NULLs of the types of the constructor's keys) */
extern Expr *taskapi_cursor_make_check(const TaskapiCursorObjects *objects, const FuncExpr *constructor,
									   Expr *other, bool array, bool not_null);

#endif							/* TASKAPI_CURSOR_PLAN_H */
