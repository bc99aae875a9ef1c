/*-------------------------------------------------------------------------
 *
 * cursor_check.h
 *	  Finding comparisons with a cursor of another order_by, before any row is read.
 *
 * The operators of cursors are leakproof and raise for nothing, so a client that
 * sends the wrong cursor must be told by something else.  A planner hook looks
 * through each query, its views and subqueries for comparisons of a constructor, taskapi.cursor('...', ...),
 * with an expression that is the same for every row, in any form: the six operators, = ANY, <> ALL, IS
 * DISTINCT FROM, a row comparison.
 *
 * - A constant of another class (cursor_descriptor.h) is cursor_mismatch, wherever it stands.
 * - For anything else, if the comparison is a condition of WHERE (not below OR, NOT or CASE, nor ON of an
 *   outer join, HAVING or the target list), cursor_check() becomes one too.  It has no column in it, so
 *   that the planner makes a One-Time Filter of it, which no row decides.
 * - A sub-select among expressions, or a CTE that one reads, may run when a row is reached that is hidden. A filter in it
 *   would then raise by that row.  So the check is a condition of the query around it, too, which is evaluated before.
 *   Below OR, CASE or COALESCE there is no check, since what is there need not be meant to run.
 *
 * Everything else is silent: the operators answer by their total order.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_CURSOR_CHECK_H
#define TASKAPI_CURSOR_CHECK_H

extern void taskapi_cursor_check_init(void);

/*
 * How many queries are being planned, one because of another, that the hook has seen.  One that was under way while the library was
 * loaded is not among them.
 */
extern int	taskapi_planning_depth(void);

#endif							/* TASKAPI_CURSOR_CHECK_H */
