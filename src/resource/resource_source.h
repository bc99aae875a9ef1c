/*-------------------------------------------------------------------------
 *
 * resource_source.h
 *	  The triggers of a table that is exposed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_SOURCE_H
#define TASKAPI_RESOURCE_SOURCE_H

#include "resource/resource_table.h"

/*
 * While it is set, a DELETE of this very row by the resource's own statement stops in the table's trigger, which only
 * notes that it came so far: that the caller may delete the row, and that it is locked.
 */
typedef struct TaskapiDeleteRequest
{
	const TaskapiTable *table;
	const Datum *key;
	bool		passed;
	struct TaskapiDeleteRequest *outer;
} TaskapiDeleteRequest;

extern TaskapiDeleteRequest *taskapi_delete_request;

/*
 * While it is set, rows come alive that a restore asks about their parents itself, when all of them are back.
 */
extern bool taskapi_restoring;

#endif							/* TASKAPI_RESOURCE_SOURCE_H */
