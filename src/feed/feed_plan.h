/*-------------------------------------------------------------------------
 *
 * feed_plan.h
 *	  The statements of the change feed, prepared and kept with their resource.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_FEED_PLAN_H
#define TASKAPI_FEED_PLAN_H

#include "executor/spi.h"

#include "resource/resource_view.h"

/* The plan of a text with these parameters, for the caller.  SPI must be connected. */
extern SPIPlanPtr taskapi_feed_plan(TaskapiView *view, const char *text, int nargs, Oid *types);

/* The same, run as a role. */
extern SPIPlanPtr taskapi_feed_plan_as(TaskapiView *view, Oid role, const char *text, int nargs, Oid *types);

/* Make its plan once for all values, of scans that an index bounds and orders.  The user must be the one that runs it. */
extern void taskapi_feed_plan_by_index(SPIPlanPtr plan);

#endif							/* TASKAPI_FEED_PLAN_H */
