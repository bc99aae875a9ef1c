/*-------------------------------------------------------------------------
 *
 * resource.h
 *	  The triggers of a resource's view, and who takes part in a write.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_H
#define TASKAPI_RESOURCE_H

#include "resource/resource_statement.h"

typedef struct TaskapiResourceHooks
{
	/* The statement starts; no row has been looked at. */
	void		(*statement_start) (TaskapiResourceStatement *statement);

	/*
	 * A row is about to be written.  To return a row of the view's row type is to have answered: the client gets it, with
	 * its ETag, and nothing is written (and no "row_written" follows); NULL goes on.
	 */
	HeapTuple	(*before_row) (const TaskapiWrite *write);

	/* A row was written; "row" is what the view shows of it, the old one for DELETE. */
	void		(*row_written) (const TaskapiWrite *write, HeapTuple row);

	/* The query has ended. */
	void		(*statement_end) (TaskapiResourceStatement *statement);
} TaskapiResourceHooks;

/* Set once, by an init function; NULL members are not called. */
extern TaskapiResourceHooks taskapi_resource_hooks;

/* Defines the module's GUC variables. */
extern void taskapi_resource_init(void);

#endif							/* TASKAPI_RESOURCE_H */
