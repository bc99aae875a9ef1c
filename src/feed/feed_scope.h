/*-------------------------------------------------------------------------
 *
 * feed_scope.h
 *	  What a reader may see of a resource (feed_source.h).
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_FEED_SCOPE_H
#define TASKAPI_FEED_SCOPE_H

#include "feed/feed_source.h"
#include "page/filter_bind.h"

/*
 * Sets the scope of an opened feed.  A condition of the filter that holds the scope's column equal to a value narrows the
 * scope to that, so that nothing else counts.  SPI must be connected.
 */
extern void taskapi_feed_scope(TaskapiFeed *feed, List *conditions, const TaskapiFilterBinding *bindings,
							   const Datum *parameters);

/*
 * The column of "column = ANY (expression)", palloc'd, and the expression; NULL for any other text, which is the
 * expression as a whole.
 */
extern char *taskapi_feed_scope_column(const char *scope, char **expression);

#endif							/* TASKAPI_FEED_SCOPE_H */
