/*-------------------------------------------------------------------------
 *
 * resource_delete.h
 *	  DELETE, restore and purge of one row; see resource_write.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_DELETE_H
#define TASKAPI_RESOURCE_DELETE_H

#include "resource/resource_statement.h"

extern HeapTuple taskapi_resource_delete(const TaskapiWrite *write);
extern HeapTuple taskapi_resource_restore(const TaskapiWrite *write);
extern HeapTuple taskapi_resource_purge(const TaskapiWrite *write);

#endif							/* TASKAPI_RESOURCE_DELETE_H */
