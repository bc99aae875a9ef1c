/*-------------------------------------------------------------------------
 *
 * page_steer.h
 *	  What the planner is told about a branch of a page, beyond its SQL.
 *
 * For "a = A AND id > I ORDER BY a, id LIMIT 64" the planner may well take the index on (id) and filter by a: with
 * a constant it gives the order too, is smaller, and 64 such rows seem to be near.  Where none
 * is left it reads to the end of the table.  So an index that bounds the order must not
 * compete with one that only gives it.
 *
 * Steering is on from taskapi_page_steer() to taskapi_page_steer_end(), which is only for the time of our own
 * planning.  It counts for the query that is planned then, at its top level, and not for what a function runs that the
 * planner evaluates meanwhile, whose plans last.  Such a function may call page() itself: the innermost steering is in
 * force, and the one around it again afterwards.  It is for nothing if the planner cannot use the index.
 *
 *		pinned		of the relation's paths only those that scan the index in order are left
 *		else		other indexes are left out where they begin with the first column of the order that is not
 *					constant, and no condition of the filter is about that column; or with a cursor, where the
 *					order is one
 *
 * Attribute numbers are the relation's; a partition's columns are found by name, its indexes by their parents.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_PAGE_STEER_H
#define TASKAPI_PAGE_STEER_H

#include "access/attnum.h"
#include "nodes/bitmapset.h"

typedef struct TaskapiSteering
{
	Oid			relid;			/* the table whose rows are paged */
	Oid			indexoid;		/* bounds the order */
	bool		pinned;
	Oid			cursor_function;	/* the index is on a cursor, which this one makes */
	AttrNumber	leading;		/* first column of the order that is not constant, 0 where there is none */
	const Bitmapset *constant;	/* columns held equal to a value */
	const Bitmapset *filtered;	/* columns that the filter is about */

	/* page_steer.c's own */
	const struct TaskapiSteering *outer;
	int			depth;			/* of planning when it began */
} TaskapiSteering;

/* "steering" must live until the end.  With no indexoid it steers nothing, but is there to be ended. */
extern void taskapi_page_steer(TaskapiSteering *steering);

/* The innermost ends. */
extern void taskapi_page_steer_end(void);

/* This one ends, and what was begun since, unless it has ended. */
extern void taskapi_page_steer_abort(const TaskapiSteering *steering);

extern void taskapi_page_steer_init(void);

#endif							/* TASKAPI_PAGE_STEER_H */
