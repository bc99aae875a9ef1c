/*-------------------------------------------------------------------------
 *
 * client_query.h
 *	  Which query is the client's own: what it sent, and not what a function,
 *	  trigger or default runs on the way.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_CLIENT_QUERY_H
#define TASKAPI_CLIENT_QUERY_H

#include "executor/execdesc.h"

typedef enum TaskapiQueryOwner
{
	TASKAPI_QUERY_CLIENT,
	TASKAPI_QUERY_NESTED,		/* of a function, or none is running */
	TASKAPI_QUERY_UNKNOWN		/* the library was loaded while it ran */
} TaskapiQueryOwner;

/*
 * The query that the code which asks runs in, and whose it is.  It is good until its executor ends; NULL if it is not
 * known.
 */
extern QueryDesc *taskapi_running_query(TaskapiQueryOwner *owner);

/* A number of that query which no other one of this backend has; 0 if it is not known. */
extern uint64 taskapi_running_query_number(void);

/* The same query, and those around it by "level"; NULL if there are not so many. */
extern QueryDesc *taskapi_query_around(int level);

extern void taskapi_client_query_init(void);

#endif							/* TASKAPI_CLIENT_QUERY_H */
