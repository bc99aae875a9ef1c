/*-------------------------------------------------------------------------
 *
 * guard.h
 *	  A migration that would stop its table's readers or writers is told so, or
 *	  refused, before it takes a lock.
 *
 * taskapi.guard_migrations() makes two event triggers.  The one at
 * ddl_command_start has the statement's parse tree, and the catalog beside it: sizes,
 * constraints, what this transaction has made.  The one at table_rewrite knows
 * exactly which tables are about to be written anew, and has their locks already.
 *
 * A statement that the guard does not know passes.  So does one on a table that is
 * smaller than the limit, since it takes a moment, and one on a table that the
 * transaction has made.  The guard helps who means well: any role may turn it off for
 * its own session.
 *
 * Event triggers are not fired for VACUUM, CLUSTER and TRUNCATE, and before 17 not for
 * REINDEX.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_GUARD_H
#define TASKAPI_GUARD_H

#include "guard/guard_table.h"

/*
 * Something was found: a WARNING, or if migrations are refused an error.  The hint, a complete sentence, is the safe form.
 */
extern void taskapi_guard_found(const char *hint, const char *fmt,...) pg_attribute_printf(2, 3);

/* Is it large enough, and anybody's but this transaction's? */
extern bool taskapi_guard_is_large(const TaskapiGuardTable *table);

/* Are migrations refused, and not only warned about? */
extern bool taskapi_guard_refuses(void);

/* " (120 MB)" */
extern char *taskapi_guard_size(const TaskapiGuardTable *table);

extern void taskapi_guard_init(void);

#endif							/* TASKAPI_GUARD_H */
