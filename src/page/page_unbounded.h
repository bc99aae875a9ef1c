/*-------------------------------------------------------------------------
 *
 * page_unbounded.h
 *	  Pages that no index bounds, counted by source and order.
 *
 * Such a page reads and sorts all rows of its source that the filter lets pass.
 * In a test nobody notices; in production an index was dropped or never made, or a
 * client found an order that nobody thought of.  Clients choose orders, so memory is
 * bounded by the sketch of ratelimit_denials.h: of many orders those that are asked
 * for most are certainly there, and a count is never too low and at most "error" too
 * high.  Who reads the counts frees those of what was dropped.
 *
 * Each shard has a spinlock, held for a scan of its hashes and the copy of a short
 * string.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_PAGE_UNBOUNDED_H
#define TASKAPI_PAGE_UNBOUNDED_H

#include "page/page_query.h"

#define TASKAPI_UNBOUNDED_SHARDS	16
/* A build may choose fewer. */
#ifndef TASKAPI_UNBOUNDED_ENTRIES
#define TASKAPI_UNBOUNDED_ENTRIES	8
#endif
#define TASKAPI_UNBOUNDED_ORDER_LEN 200 /* the rest of a longer one is left out */

/* A page of this query is about to be read: count it, if no index bounds it. */
extern void taskapi_page_count_unbounded(const TaskapiPageQuery *query);

#endif							/* TASKAPI_PAGE_UNBOUNDED_H */
