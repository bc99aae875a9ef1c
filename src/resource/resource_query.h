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

/* Installs the hook of the executor; it calls the hook that was there before it. */
extern void taskapi_resource_query_init(void);

#endif							/* TASKAPI_RESOURCE_QUERY_H */
