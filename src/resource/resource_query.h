/*-------------------------------------------------------------------------
 *
 * resource_query.h
 *	  Errors of a query that writes to a resource, outside its rows.
 *
 * A value that a domain refuses, or that is none of its type, is found while the
 * query computes the row, before the resource's trigger sees it.  To the client
 * that is the same refusal.  What the parser or the planner finds, or missing
 * permission on the view, does not come here.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_QUERY_H
#define TASKAPI_RESOURCE_QUERY_H

#include "executor/execdesc.h"

/* Installs the hook of the executor; it calls the hook that was there before it. */
extern void taskapi_resource_query_init(void);

/*
 * A part of a WITH that nothing has read is run when the query ends, before its triggers are.  If the query writes to a resource,
 * its writes to views are made here, since its rows are no part of the end, and neither are their errors.
 */
extern void taskapi_resource_run_rest(QueryDesc *query);

#endif							/* TASKAPI_RESOURCE_QUERY_H */
