/*-------------------------------------------------------------------------
 *
 * resource_error.h
 *	  Errors of a resource write, as problems.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_ERROR_H
#define TASKAPI_RESOURCE_ERROR_H

#include "nodes/nodes.h"
#include "utils/palloc.h"

#include "base/compat.h"

/* In a PG_CATCH block: raise the problem that the error is for a client, or the error itself. */
pg_noreturn extern void taskapi_resource_rethrow(MemoryContext context, CmdType operation);

#endif							/* TASKAPI_RESOURCE_ERROR_H */
