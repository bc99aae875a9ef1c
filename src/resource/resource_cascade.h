/*-------------------------------------------------------------------------
 *
 * resource_cascade.h
 *	  Soft deletion, restore and purge along the foreign keys.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_CASCADE_H
#define TASKAPI_RESOURCE_CASCADE_H

#include "storage/itemptr.h"

#include "resource/resource_table.h"

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

#endif							/* TASKAPI_RESOURCE_CASCADE_H */
