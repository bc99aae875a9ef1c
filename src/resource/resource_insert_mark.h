/*-------------------------------------------------------------------------
 *
 * resource_insert_mark.h
 *	  Which columns a client's INSERT names, and which it returns.
 *
 * The row that reaches an INSTEAD OF trigger does not tell a NULL that the client
 * sent from a column that it left out.  The plan of its statement knows.  So the
 * plan carries a mark, a constant in the view's column "cursor", which nobody
 * writes: the default of that column is insert_columns(), which becomes the mark
 * when the statement is planned (its support function, so that it does not matter
 * when the library was loaded), and the planner hook puts it there for a client
 * that sends a cursor.  A mark comes with each row, so two INSERTs of one WITH
 * are told apart.
 *
 * A mark is a cursor to whoever meets it on the way, with a MAC under a key of this
 * backend, so that no client can make one.  But EXPLAIN prints it, and a statement
 * that was planned before the library was loaded takes what its rows bring.  So
 * loading makes the server plan everything again, and in a statement that was under
 * way then the right to read is asked for all that it may return.
 *
 * Without a mark (COPY; a view that expose() has not brought up to date) the
 * session's statement is asked, and if it is not the one, what is not null is
 * taken for given.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_INSERT_MARK_H
#define TASKAPI_RESOURCE_INSERT_MARK_H

#include "nodes/parsenodes.h"

#include "resource/resource_statement.h"

/* The view, if a query is an INSERT into a resource; else InvalidOid. */
extern Oid	taskapi_insert_resource(const Query *query);

/* Put the mark into such a query, which is changed in place: call it before planning. */
extern void taskapi_insert_mark(Query *query);

/*
 * While such a query is being planned: try_again if the clause ON CONFLICT cannot be taken off any more, since the planner
 * hook was not there when planning began and the client gives a cursor, where the mark would be.
 */
extern void taskapi_insert_require_mark(const Query *query);

/* Is a column, by its index, one that the query leaves to its default? */
extern bool taskapi_insert_leaves_out(const Query *query, int column);

/* Fill in columns_known, given, returned and conflict. */
extern void taskapi_insert_read_mark(TaskapiWrite *write);

#endif							/* TASKAPI_RESOURCE_INSERT_MARK_H */
