/*-------------------------------------------------------------------------
 *
 * page_order.h
 *	  An order_by bound to a relation, and the index that bounds it.
 *
 * Binding appends the key as tie-breaker, in the direction of the last term, and
 * finds for each term the column and its btree operators.  Where the whole key has been
 * seen, later terms decide nothing: the first "nscan" terms are the order to scan
 * in, all "nterms" are what a token is bound to.
 *
 * An index bounds an order where its columns are those of the scan's terms, in
 * order, all with the term's direction or all with the opposite one; columns that
 * conditions hold constant may stand anywhere between.  Where NULLs go counts for
 * columns only that may have some.
 *
 * So does an index on the cursor of those terms, behind constant columns: one range of it is all that comes after a
 * position, with mixed directions and NULLs too.  An ordinary index is preferred where both bound the order alike, being
 * smaller; but under row-level security one cannot be used whose comparisons are not leakproof, and the cursor's is.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_PAGE_ORDER_H
#define TASKAPI_PAGE_ORDER_H

#include "nodes/bitmapset.h"
#include "pg_config_manual.h"

#include "cursor/order_by.h"
#include "page/page_source.h"

typedef struct TaskapiPageTerm
{
	const TaskapiPageColumn *column;
	bool		descending;
	bool		nulls_first;
	bool		leakproof;		/* the comparisons are */
	Oid			argtype;		/* of the position's value, when compared */
	const char *operand;		/* the column, as of that type */
	Oid			keytype;		/* of the cursor's key */
	Oid			opfamily;
	const char *eq;				/* OPERATOR(...) */
	const char *lt;
	const char *le;
	const char *gt;
	const char *ge;
} TaskapiPageTerm;

typedef struct TaskapiPageOrder
{
	TaskapiOrderBy *order_by;	/* with the tie-breaker */
	bool		unique;			/* the terms hold a proven key: no two rows are equal in them */
	int			nterms;
	int			nscan;
	TaskapiPageTerm terms[TASKAPI_MAX_ORDER_TERMS];
} TaskapiPageOrder;

/* One column of an ORDER BY, for the forward direction */
typedef struct TaskapiSortItem
{
	const TaskapiPageColumn *column;	/* NULL is the cursor that the index is on */
	bool		descending;
	bool		nulls_first;
} TaskapiSortItem;

typedef struct TaskapiPageIndex
{
	Oid			indexoid;		/* InvalidOid is none */
	bool		partial;
	bool		leaky;			/* row-level security keeps it from bounding the scan */
	Oid			cursor_function;	/* of an index on a cursor: the constructor, else InvalidOid */
	const char *cursor_order;	/* its order_by, as it stands in the index */
	bool		cursor_descending;	/* the order is the opposite of the cursor's */
	Bitmapset  *constant;		/* base attribute numbers of the constant columns that it begins with, or has between */
	int			nitems;			/* the order of the scan, as the planner has to be told it */
	TaskapiSortItem items[TASKAPI_MAX_ORDER_TERMS + INDEX_MAX_KEYS];
} TaskapiPageIndex;

/* "order_by" NULL is the key.  Errors: invalid_order_by. */
extern TaskapiPageOrder *taskapi_page_order(const TaskapiPageSource *source, const char *order_by, int len);

/*
 * Find an index; "equal" and "isnull" are the base attribute numbers that conditions hold equal to a value,
 * and NULL.  Without one, the items are the terms as they are.
 */
extern void taskapi_page_find_index(const TaskapiPageSource *source, const TaskapiPageOrder *order,
									const Bitmapset *equal, const Bitmapset *isnull, TaskapiPageIndex *result);

#endif							/* TASKAPI_PAGE_ORDER_H */
