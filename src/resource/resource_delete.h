/*-------------------------------------------------------------------------
 *
 * resource_delete.h
 *	  DELETE, restore and purge of one row.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_DELETE_H
#define TASKAPI_RESOURCE_DELETE_H

#include "resource/resource_statement.h"
#include "resource/resource_view.h"

extern HeapTuple taskapi_resource_delete(TaskapiResourceStatement *statement, TaskapiView *view,
										 TupleDesc desc, HeapTuple old);
extern HeapTuple taskapi_resource_restore(TaskapiResourceStatement *statement, TaskapiView *view,
										  TupleDesc desc, HeapTuple old, HeapTuple new);
extern HeapTuple taskapi_resource_purge(TaskapiResourceStatement *statement, TaskapiView *view,
										TupleDesc desc, HeapTuple old);

#endif							/* TASKAPI_RESOURCE_DELETE_H */
