/*-------------------------------------------------------------------------
 *
 * page_query.h
 *	  Everything that pages of one source, order and kind of filter share, kept
 *	  for the session.
 *
 * A query is found by what it was asked for: relation, order_by, conditions without values, size, and for a user
 * who may not read the whole relation, the columns that he may read.  It holds what page_source.h, page_order.h and
 * filter_bind.h found out, and the plans that page_plan.c made.
 *
 * A query is borrowed with taskapi_page_query() and given back with
 * taskapi_page_query_release(), also after an error.  A borrowed one stays valid, even
 * if invalidations arrive meanwhile; the locks that were taken keep its relations as they are.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_PAGE_QUERY_H
#define TASKAPI_PAGE_QUERY_H

#include "access/tupdesc.h"
#include "executor/spi.h"

#include "cursor/cursor_shape.h"
#include "page/filter_bind.h"
#include "page/page_order.h"

/* The plan of one branch; "branch" is its taskapi_page_branch_id() */
typedef struct TaskapiPagePlan
{
	uint64		branch;
	SPIPlanPtr	plan;
} TaskapiPagePlan;

typedef struct TaskapiPageQuery
{
	/* Of the cache */
	MemoryContext context;
	char	   *key;
	bool		valid;			/* kept, and nothing that it depends on has changed */
	int			borrowed;
	uint64		last_used;

	TaskapiPageSource *source;
	TaskapiPageOrder *order;
	TaskapiCursorShape *cursor;
	TaskapiCursorShapeCache opened;	/* of tokens */
	TaskapiPageIndex index;
	TaskapiCursorShape *index_cursor;	/* of what that index is on; else NULL */
	Bitmapset  *filtered;		/* base attribute numbers that the filter is about */
	Bitmapset  *equal;			/* those that it holds equal to a value */
	bool		pinned;			/* plan once (page_plan.h) */

	TupleDesc	desc;			/* of fetched rows: the readable columns; blessed */
	AttrNumber	column_of_term[TASKAPI_MAX_ORDER_TERMS];	/* in desc */

	TaskapiFilterBinding *bindings;
	int			nfilter;		/* parameters of the filter; those of terms follow */
	int			nparams;		/* all, with the position's cursor if the index is on one */
	Oid		   *argtypes;
	char	   *filter_sql;
	int			limit;			/* told to the planner, at least what will be fetched */
	List	   *plans;			/* TaskapiPagePlan */
} TaskapiPageQuery;

/* "fetch" is how many rows will be asked for; "order_by" NULL is the key. */
extern TaskapiPageQuery *taskapi_page_query(Oid relid, const char *order_by, int order_len, List *conditions, int fetch);
extern void taskapi_page_query_release(TaskapiPageQuery *query);

extern void taskapi_page_query_init(void);

#endif							/* TASKAPI_PAGE_QUERY_H */
