/*-------------------------------------------------------------------------
 *
 * resource_error.h
 *	  Errors of a resource write, as problems.
 *
 * An error of a statement that ran with the caller's own rights is the caller's
 * to read: PostgreSQL leaves out of it what the caller may not see.  An error of
 * one that ran with an owner's rights is not: its DETAIL shows rows, and so may
 * the text that a trigger made.  Of such an error only the kind is passed on, with
 * the names of the constraint or the column if the server gave them; the text goes
 * to the server's log.  What raise_problem() raises is another thing: its author
 * wrote it for clients, and it is passed on.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_ERROR_H
#define TASKAPI_RESOURCE_ERROR_H

#include "nodes/nodes.h"
#include "utils/palloc.h"

#include "base/compat.h"

/*
 * In a PG_CATCH block: raise the problem that the error is for a client, or the error itself.  "caller" is the role that
 * made the outermost write: what a write within another one, as an owner, is told is not the client's either.
 */
pg_noreturn extern void taskapi_resource_rethrow(MemoryContext context, CmdType operation, Oid caller);

#endif							/* TASKAPI_RESOURCE_ERROR_H */
