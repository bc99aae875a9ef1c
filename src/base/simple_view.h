/*-------------------------------------------------------------------------
 *
 * simple_view.h
 *	  Seeing through a view to the one table behind it.
 *
 * A view is simple if every row of it is one row of one relation: no join, grouping, DISTINCT, LIMIT, set operation,
 * CTE, TABLESAMPLE or function that returns sets.  Its columns are columns of that relation, or expressions.
 *
 * Pure: works on a view's query, as get_view_query() returns it, and takes no lock.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_SIMPLE_VIEW_H
#define TASKAPI_SIMPLE_VIEW_H

#include "access/attnum.h"
#include "nodes/parsenodes.h"

/* The one relation that a simple view shows, and its place in the range table; NULL for any other view. */
extern RangeTblEntry *taskapi_simple_view(Query *query, int *rtindex);

/*
 * The column that an expression is, of relation "rtindex" of the same query; NULL for any other expression.  Seen through
 * is CASE WHEN true THEN column ELSE column END.  To the planner that is the column too; whoever follows foreign keys
 * through views by where PostgreSQL says that their columns come from (pg_rewrite's resorigtbl) finds nothing.
 */
extern const Var *taskapi_simple_view_column(const Node *expression, int rtindex);

/*
 * For each of a view's "natts" columns, palloc'd: the attribute number in relation "rtindex" of the column that it
 * passes through; 0 for an expression, a column of another relation and one that the query does not have.
 */
extern AttrNumber *taskapi_simple_view_columns(const Query *query, int rtindex, int natts);

#endif							/* TASKAPI_SIMPLE_VIEW_H */
