/*-------------------------------------------------------------------------
 *
 * page_total.h
 *	  How many rows there are on all pages together (AIP-158, total_size).
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_PAGE_TOTAL_H
#define TASKAPI_PAGE_TOTAL_H

#include "page/page_query.h"

typedef enum TaskapiPageCount
{
	COUNT_NONE,
	COUNT_EXACT,				/* reads every row, with the snapshot of the page */
	COUNT_ESTIMATED				/* reads at most "few" rows: beyond, it is the planner's estimate */
} TaskapiPageCount;

/* "exact", "estimated", or NULL and the empty text for none.  Errors: invalid_value. */
extern TaskapiPageCount taskapi_page_count_mode(const text *mode);

/* How many rows match the conditions, as the caller sees them. */
extern int64 taskapi_page_total(TaskapiPageQuery *query, List *conditions, TaskapiPageCount mode, int few);

#endif							/* TASKAPI_PAGE_TOTAL_H */
