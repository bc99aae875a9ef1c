/*-------------------------------------------------------------------------
 *
 * resource_write.h
 *	  What resource.c, which drives a write, is made of.
 *
 * Each function writes one row as the caller, with SPI connected, and returns
 * the row as the view shows it, in the memory context that SPI was connected
 * in; NULL where nothing was there to be written, or a trigger of the table
 * vetoed it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_WRITE_H
#define TASKAPI_RESOURCE_WRITE_H

#include "commands/trigger.h"

#include "resource/resource.h"
#include "resource/resource_meta.h"

/* ---------- resource_write.c ---------- */

extern HeapTuple taskapi_resource_insert(TaskapiResourceStatement *statement, TaskapiView *view,
										 TupleDesc desc, HeapTuple new);
extern HeapTuple taskapi_resource_update(TaskapiResourceStatement *statement, TaskapiView *view,
										 TupleDesc desc, HeapTuple old, HeapTuple new);

/* PUT: replace the row of that key, or create it. */
extern HeapTuple taskapi_resource_put(TaskapiResourceStatement *statement, TaskapiView *view,
									  TupleDesc desc, HeapTuple new);

/* What a key holds, as the caller may see it now. */
typedef enum TaskapiRowState
{
	ROW_ABSENT,					/* or not visible */
	ROW_LIVE,
	ROW_DELETED
} TaskapiRowState;

extern TaskapiRowState taskapi_resource_probe(TaskapiView *view, TupleDesc desc, HeapTuple row, int64 *version);

/* Does a column, by its index, have another value (another image of it) in the one row than in the other? */
extern bool taskapi_column_differs(TaskapiView *view, TupleDesc desc, int column, HeapTuple old, HeapTuple new);

/* The version in a row of the view, or -1. */
extern int64 taskapi_row_version(TaskapiView *view, TupleDesc desc, HeapTuple row);

/* Put the key's values of a row of the view into arrays of arguments. */
extern int	taskapi_key_arguments(TaskapiView *view, TupleDesc desc, HeapTuple row, Datum *values, char *nulls);

/* Check the version of a row against what the request asks for; true where something was asked for. */
extern bool taskapi_check_precondition(TaskapiResourceStatement *statement, TaskapiView *view,
									   TupleDesc desc, HeapTuple old, HeapTuple new);

/*
 * A row that is seen and cannot be locked or deleted is forbidden, unless others delete and restore it between the two looks.
 * So it has to be found so this many times.
 */
#define TASKAPI_RESOURCE_ATTEMPTS 5
pg_noreturn extern void taskapi_resource_forbidden(TaskapiView *view);

/* ---------- resource_delete.c ---------- */

extern HeapTuple taskapi_resource_delete(TaskapiResourceStatement *statement, TaskapiView *view,
										 TupleDesc desc, HeapTuple old);
extern HeapTuple taskapi_resource_restore(TaskapiResourceStatement *statement, TaskapiView *view,
										  TupleDesc desc, HeapTuple old, HeapTuple new);
extern HeapTuple taskapi_resource_purge(TaskapiResourceStatement *statement, TaskapiView *view,
										TupleDesc desc, HeapTuple old);

/* ---------- resource_cascade.c ---------- */

/* A row of a table: the values of TaskapiTable.columns, and where it is. */
typedef struct TaskapiRow
{
	TaskapiTable *table;
	ItemPointerData tid;
	Oid			tableoid;
	bool		live;
	Datum		deletion_id;
	bool		deletion_id_null;
	Datum	   *values;
	bool	   *nulls;
} TaskapiRow;

/* A row that a statement of resource_graph.c returned, copied into the current context. */
extern TaskapiRow *taskapi_copy_row(TaskapiTable *table, HeapTuple tuple, TupleDesc desc);

/* The row of a key, locked FOR UPDATE, with the owner's rights; NULL where there is none, or somebody else has locked it. */
extern TaskapiRow *taskapi_lock_row(TaskapiTable *table, const Datum *key, bool skip_locked);

/* Mark a row, locked already, and all that goes along with it as deleted; has_dependents otherwise. */
extern void taskapi_cascade_delete(TaskapiRow *row);

/*
 * Undo it.  What belongs to another deletion by now is handed over to that; parent_deleted where something restored
 * would refer to a deleted row.
 */
extern void taskapi_cascade_restore(TaskapiRow *row);

/* Would purging the row, locked already, take nothing along but deleted rows?  What is in the way, or NULL. */
extern const char *taskapi_cascade_purge_obstacle(TaskapiRow *row);

/* Remove the row for good, with the owner's rights; false where it was not there. */
extern bool taskapi_purge_row(TaskapiRow *row);

/* ---------- resource_table.c ---------- */

/*
 * While it is set, a DELETE of this very row by the resource's own statement stops in the table's trigger, which only
 * notes that it came so far: that the caller may delete the row, and that it is locked.
 */
typedef struct TaskapiDeleteRequest
{
	const TaskapiTable *meta;
	const Datum *key;
	bool		passed;
	struct TaskapiDeleteRequest *outer;
} TaskapiDeleteRequest;

extern TaskapiDeleteRequest *taskapi_delete_request;

/* ---------- resource_error.c ---------- */

/* In a PG_CATCH block: raise the problem that the error is for a client, or the error itself. */
pg_noreturn extern void taskapi_resource_rethrow(MemoryContext context, CmdType operation);

#endif							/* TASKAPI_RESOURCE_WRITE_H */
