/*-------------------------------------------------------------------------
 *
 * page_plan.h
 *	  Everything that pages of one source, order and kind of filter share, kept
 *	  for the session, and the prepared statements that fetch them.
 *
 * What comes after a position (A, B, I) in the order (a, b, id) is the
 * concatenation of branches, each one range of an index:
 *
 *		a = A AND b = B AND id > I,  then  a = A AND b > B,  then  a > A
 *
 * with < for a term that runs down.  Neighbouring terms in one direction that are NOT NULL
 * are one row comparison, so that a uniform order is a single branch.  A term that
 * may be NULL has one branch more where its NULLs lie ahead: a = A AND b IS NULL after
 * b > B, or a = A AND b IS NOT NULL after a position whose b is NULL and comes first.
 * Going backward is the same with every direction and NULLs placement reversed.
 * An inclusive position is one whose own row belongs to what is fetched.
 *
 * Branches are run in order and only until the page is full.  Where an index on the cursor bounds the order there is but
 * one, whatever the directions and NULLs: the cursor of the row lies beyond the cursor of the position.
 *
 * Plans.  Where an index bounds the order and no other condition could make another path the better one (no row
 * security, every condition on a constant column of the index or implied by a partial one), the plan is pinned to it
 * (page_steer.h) and made once, without looking at values: position and filter are index conditions at any depth.
 * Otherwise the planner looks at the values at hand each time, and only indexes that would give the order
 * without bounding it are kept from it.
 *
 * A shape is borrowed with taskapi_page_shape() and given back with
 * taskapi_page_shape_release(), also after an error.  A borrowed one stays valid, even
 * where invalidations arrive meanwhile; the locks that were taken keep its relations as they are.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_PAGE_PLAN_H
#define TASKAPI_PAGE_PLAN_H

#include "access/tupdesc.h"
#include "executor/spi.h"

#include "cursor/cursor_shape.h"
#include "page/filter_bind.h"
#include "page/page_order.h"

typedef enum TaskapiBranchKind
{
	BRANCH_ALL,					/* no position: the first page */
	BRANCH_AFTER,				/* beyond the position in terms first..last */
	BRANCH_FROM,				/* the same, inclusive */
	BRANCH_IS_NULL,
	BRANCH_IS_NOT_NULL
} TaskapiBranchKind;

typedef struct TaskapiBranch
{
	bool		backward;
	uint8		kind;
	uint8		first;			/* terms before it are equal to the position's */
	uint8		last;
	uint32		nulls;			/* of those before: the ones that are NULL in the position */
} TaskapiBranch;

typedef struct TaskapiPageShape
{
	MemoryContext context;
	char	   *key;
	bool		valid;
	int			borrowed;
	uint64		last_used;

	TaskapiPageSource *source;
	TaskapiPageOrder *order;
	TaskapiCursorShape *cursor;
	TaskapiShapeCache opened;	/* of tokens */
	TaskapiPageIndex index;
	TaskapiCursorShape *index_cursor;	/* of what that index is on; else NULL */
	Bitmapset  *filtered;		/* base attribute numbers that the filter is about */
	Bitmapset  *equal;			/* those that it holds equal to a value */
	bool		pinned;			/* plan once, see above */

	TupleDesc	desc;			/* of fetched rows: the readable columns; blessed */
	AttrNumber	column_of_term[TASKAPI_MAX_ORDER_TERMS];	/* in desc */

	TaskapiFilterBinding *bindings;
	int			nfilter;		/* parameters of the filter; those of terms follow */
	int			nparams;		/* all, with the position's cursor where the index is on one */
	Oid		   *argtypes;
	char	   *filter_sql;
	int			limit;			/* told to the planner, at least what will be fetched */
	List	   *plans;
} TaskapiPageShape;

/* "fetch" is how many rows will be asked for; "order_by" NULL is the key. */
extern TaskapiPageShape *taskapi_page_shape(Oid relid, const char *order_by, int order_len, List *conditions, int fetch);
extern void taskapi_page_shape_release(TaskapiPageShape *shape);

/*
 * The branches that follow a position, in order; "isnull" NULL is no position.  Returns how many; at most
 * 2 * nscan + 1.
 */
#define TASKAPI_MAX_BRANCHES (2 * TASKAPI_MAX_ORDER_TERMS + 1)
extern int	taskapi_page_branches(const TaskapiPageShape *shape, const bool *isnull, bool backward, bool inclusive,
								  TaskapiBranch *branches);

/*
 * Run one branch until "count" rows have gone to "dest", whose rStartup calls taskapi_page_steer_end(), since planning
 * is over then.  SPI must be connected.
 */
extern void taskapi_page_run(TaskapiPageShape *shape, const TaskapiBranch *branch, ParamListInfo params,
							 int count, DestReceiver *dest);

extern void taskapi_page_plan_init(void);

#endif							/* TASKAPI_PAGE_PLAN_H */
