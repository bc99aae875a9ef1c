/*-------------------------------------------------------------------------
 *
 * cursor_source.h
 *	  The constructor of cursors behind an expression of a query.
 *
 * For a Query after the rewriter and before the planner: views are subqueries, and nothing is
 * pulled up.  A column is followed through subqueries, CTEs, joins and the branches of set
 * operations to the constructor that makes it; an SQL function is inlined for that, as the planner will do it, since a
 * computed field of an HTTP layer is one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_CURSOR_SOURCE_H
#define TASKAPI_CURSOR_SOURCE_H

#include "nodes/parsenodes.h"

#include "cursor/cursor_call.h"

/* A query, and those that it stands in */
typedef struct TaskapiCursorLevel
{
	Query	   *query;
	struct TaskapiCursorLevel *up;
	const TaskapiCursorObjects *objects;
	/* cursor_check.c: */
	Query	   *home;			/* whose WHERE takes the checks before this query's own; NULL if there are to be none */
	bool		guarded;		/* below OR, CASE or COALESCE, which need not evaluate what is in them */
	List	   *conditions;		/* those of WHERE, which were looked at */
} TaskapiCursorLevel;

typedef struct TaskapiCursorSource
{
	FuncExpr   *call;
	TaskapiCursorShape *shape;
	bool		never_null;		/* no key is NULL in any row, and all are columns */
} TaskapiCursorSource;

/* False if a column stores the cursor, or if anything else than one constructor makes it. */
extern bool taskapi_cursor_find_source(Node *node, TaskapiCursorLevel *level, TaskapiCursorSource *source);

#endif							/* TASKAPI_CURSOR_SOURCE_H */
