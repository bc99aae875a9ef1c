/*-------------------------------------------------------------------------
 *
 * page_fetch.h
 *	  The rows that follow a position, of one query or of two whose rows are
 *	  merged.
 *
 * Every branch (page_branch.h) runs with the snapshot of the calling statement, as the caller, and only reads, so that what
 * is fetched is of one consistent state.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_PAGE_FETCH_H
#define TASKAPI_PAGE_FETCH_H

#include "page/page_token.h"

typedef struct TaskapiPageRow
{
	TaskapiPageQuery *query;	/* of which it is a row */
	HeapTuple	tuple;
} TaskapiPageRow;

/* The parameters of a query's statements; without a position those of its terms are NULL. */
extern ParamListInfo taskapi_page_params(TaskapiPageQuery *query, List *conditions, const TaskapiPagePosition *position);

/*
 * At most "count" rows from a position on, in the order in which they come: backwards if "backward" says so.  No
 * position is the first row, or the last one.  Errors: try_again (page_storage.h).
 */
extern int	taskapi_page_fetch(TaskapiPageQuery *query, List *conditions, const TaskapiPagePosition *position,
							   bool backward, int count, TaskapiPageRow **rows);

/*
 * The same of two queries with one order over columns of the same types.  The first "count" rows of both follow from
 * the first "count" of each.
 */
extern int	taskapi_page_fetch_both(TaskapiPageQuery *query, TaskapiPageQuery *other, List *conditions,
									const TaskapiPagePosition *position, bool backward, int count, TaskapiPageRow **rows);

extern void taskapi_page_row_position(const TaskapiPageRow *row, TaskapiPagePosition *position);

/* Of rows of queries with one order: where a stands before, at or behind b. */
extern int	taskapi_page_compare_rows(const TaskapiPageRow *a, const TaskapiPageRow *b);

#endif							/* TASKAPI_PAGE_FETCH_H */
