/*-------------------------------------------------------------------------
 *
 * page_query.h
 *	  Everything that pages of one source, order and kind of filter share, kept
 *	  for the session.
 *
 * A query is found by what it was asked for: relation, order_by, conditions without values, size, and for a user
 * who may not read the whole relation, the columns that the user may read.  It holds what page_source.h, page_order.h and
 * filter_bind.h found out, and the plans that page_plan.c made.
 *
 * There is one for each order, however its order_by is written; spellings are only remembered, in a table of fixed size.
 * All queries together may take TASKAPI_PAGE_QUERY_MEMORY: a plan for many partitions is large, and clients choose
 * orders and filters.
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
#include "storage/itemptr.h"

#include "cursor/cursor_shape.h"
#include "page/filter_bind.h"
#include "page/page_order.h"
#include "page/page_storage.h"

#define TASKAPI_PAGE_QUERY_MEMORY ((Size) 32 * 1024 * 1024)

/* The plan of one branch; "branch" is its taskapi_page_branch_id() */
typedef struct TaskapiPagePlan
{
	uint64		branch;
	SPIPlanPtr	plan;
	bool		kept;			/* else it is gone when SPI is left */
	const void *measured;		/* the generic plan that the query's size counts, or NULL; itself before that */
	TaskapiStorageSeen seen;
} TaskapiPagePlan;

/* A row of pg_type that the query was made from */
typedef struct TaskapiPageType
{
	Oid			typid;
	TransactionId xmin;
	ItemPointerData tid;
} TaskapiPageType;

typedef struct TaskapiPageQuery
{
	/* Of the cache */
	MemoryContext context;
	char	   *key;			/* what it was asked for, with the order_by in full and canonical */
	bool		valid;			/* kept, and nothing that it depends on has changed */
	int			borrowed;
	uint64		last_used;
	uint64		relations;		/* generations (base/table_cache.h) when it was made */
	uint64		names;
	uint64		types;
	int			ntypes;
	TaskapiPageType *typerows;
	Size		size;			/* with its plans */

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

/*
 * A plan was made: count its memory, and free what was not used for the longest time if all take too much, last this
 * query's own plans.  None of them may be running but of a caller who has borrowed the query too.
 */
extern void taskapi_page_query_measure(TaskapiPageQuery *query);

extern void taskapi_page_query_init(void);

#endif							/* TASKAPI_PAGE_QUERY_H */
