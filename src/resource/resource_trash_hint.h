/*-------------------------------------------------------------------------
 *
 * resource_trash_hint.h
 *	  Tells who meets a value that a deleted row keeps taken where it is.
 *
 * A deleted row stays in the primary key of its table, and in every unique or
 * exclusion constraint that is not about live rows only.  A client that gets
 * already_exists finds nothing when it looks for what exists.  After the error
 * nothing can be looked up any more, so what the hint needs is kept before.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_TRASH_HINT_H
#define TASKAPI_RESOURCE_TRASH_HINT_H

#include "resource/resource_statement.h"

/*
 * The names of the indexes, apart from the primary key, in which rows of a table with soft deletion stay when they are
 * deleted; its partitions' too.
 */
extern List *taskapi_trash_taken(Relation source, const char *deleted_at_column);

/* Before an INSERT of a key that the client has chosen: is it a deleted row's, which the caller may see? */
extern void taskapi_trash_look(const TaskapiWrite *write);

/*
 * In a PG_CATCH block: gives the error a hint if it is a conflict with a row that is, or may be, deleted.  "taken" is the
 * list of the resource's table; "context" any but the error's.
 */
extern void taskapi_trash_hint(MemoryContext context, bool key_in_trash, const List *taken);

#endif							/* TASKAPI_RESOURCE_TRASH_HINT_H */
