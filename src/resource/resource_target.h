/*-------------------------------------------------------------------------
 *
 * resource_target.h
 *	  The table that a kept statement must be about.
 *
 * A statement is text, which the server parses again when anything changes.  A
 * table that is locked keeps its name, but not its schema: one may be renamed,
 * and another take its name, between the look at what is kept and the parser's.
 * Then the text is about another table.  So each plan goes with the OID of its
 * table, and is refused before it runs if it is not about that one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_TARGET_H
#define TASKAPI_RESOURCE_TARGET_H

#include "executor/execdesc.h"
#include "executor/spi.h"

/* A kept plan is about this table, now and whenever it runs.  Errors: try_again. */
extern SPIPlanPtr taskapi_resource_expect_target(SPIPlanPtr plan, Oid relid);

/* Before a kept plan is freed. */
extern void taskapi_resource_forget_target(SPIPlanPtr plan);

/* When a query starts, whether one of ours or not.  Errors: try_again. */
extern void taskapi_resource_check_target(const QueryDesc *query);

#endif							/* TASKAPI_RESOURCE_TARGET_H */
