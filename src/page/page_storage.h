/*-------------------------------------------------------------------------
 *
 * page_storage.h
 *	  Has a table been rewritten since the snapshot was taken?
 *
 * A statement takes its snapshot before it locks its tables.  If it waited for a lock meanwhile, the storage that it
 * finds may be newer than its snapshot: of what TRUNCATE, or ALTER TABLE that rewrites, has put there it sees nothing.
 * PostgreSQL documents that for plain queries; a page would be an empty last one, and end a client's walk early.
 *
 * So after a statement has run, and all that it read is locked, the rows of pg_class are compared with what the snapshot
 * sees.  A rewrite that keeps all rows visible, as VACUUM FULL and CLUSTER do, cannot be told apart.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_PAGE_STORAGE_H
#define TASKAPI_PAGE_STORAGE_H

#include "nodes/pg_list.h"

/* What was found of a set of relations, so that they need not all be looked at again; zeroed at first */
typedef struct TaskapiStorageSeen
{
	uint64		relations;		/* generation (base/table_cache.h) */
	TransactionId newest;		/* that has changed one of their rows in pg_class */
} TaskapiStorageSeen;

/*
 * Relations, with their partitions and all that inherits from them.  Errors: try_again, if one of them has other storage
 * than the active snapshot knows.
 */
extern void taskapi_page_check_storage(List *relids, TaskapiStorageSeen *seen);

#endif							/* TASKAPI_PAGE_STORAGE_H */
