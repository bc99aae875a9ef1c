/*-------------------------------------------------------------------------
 *
 * guard_statement.h
 *	  What the guard says of a statement, by its parse tree.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_GUARD_STATEMENT_H
#define TASKAPI_GUARD_STATEMENT_H

#include "nodes/parsenodes.h"

/* Any statement; one that it does not know is fine. */
extern void taskapi_guard_statement(Node *statement);

/* A table gets a partition more, and this is its default one, or InvalidOid. */
extern void taskapi_guard_default_partition(Oid relid);

#endif							/* TASKAPI_GUARD_STATEMENT_H */
