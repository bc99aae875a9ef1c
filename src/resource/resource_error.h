/*-------------------------------------------------------------------------
 *
 * resource_error.h
 *	  Errors of a resource write, as problems.
 *
 * What a client can act on is a problem: constraints, values that are none of
 * their type or too large, values for columns that only the server writes,
 * missing permission, conflicts and locks that were waited for too long.  The
 * rest stays what it is: what a trigger raises with an SQLSTATE of its own, a
 * canceled statement, faults of the database.  Two of these come with an SQLSTATE
 * by which a layer blames the client, and get another: see base/server_fault.h.
 * docs/errors.md has the list, and test/sql/error_contract.sql walks all SQLSTATEs.
 *
 * The text of an error that a trigger or function has raised is its author's, and
 * is kept: message and detail are the details of the problem, the hint is its hint.
 *
 * An error of a statement that ran with the caller's own rights is the caller's
 * to read: PostgreSQL leaves out of it what the caller may not see.  An error of
 * one that ran with an owner's rights is not: its DETAIL shows rows, and so may
 * the text that a trigger made.  Of such an error only the kind is passed on, with
 * the names of the constraint or the column if the server gave them; the text goes
 * to the server's log.  What raise_problem() raises is another thing: its author
 * wrote it for clients.  It is passed on if the author's table has the owner of the
 * resource's own; from the table of another owner, only which problem it is.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_ERROR_H
#define TASKAPI_RESOURCE_ERROR_H

#include "nodes/nodes.h"
#include "utils/palloc.h"

#include "base/compat.h"

/*
 * In a PG_CATCH block, of a row or of the end of a query: raise the problem that the error is for a client, or the error
 * itself.  "owner" owns the table of the resource.
 */
pg_noreturn extern void taskapi_resource_rethrow(MemoryContext context, CmdType operation, Oid owner);

/*
 * The same for an error of a query that writes to a resource, outside its rows: the values that it computes, its conflicts.
 * Missing permission is the layer's to answer, which knows whether the caller has said who it is.
 */
pg_noreturn extern void taskapi_resource_rethrow_of_query(MemoryContext context, CmdType operation, Oid owner);

/*
 * In a PG_CATCH block, before taskapi_resource_rethrow(): try_again for an error that says that there is no such name, if names
 * have changed since taskapi_names_generation() was "names"; otherwise nothing.  Our statements are texts, and no lock keeps a
 * schema from being renamed between our look at its name and the parser's.  A name that is wrong for another reason will be
 * wrong again.
 */
extern void taskapi_resource_rethrow_renamed(uint64 names);

#endif							/* TASKAPI_RESOURCE_ERROR_H */
