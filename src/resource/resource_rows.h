/*-------------------------------------------------------------------------
 *
 * resource_rows.h
 *	  A queue of rows of several tables, which goes to disk when it is long.
 *
 * A deletion may have any number of rows, and each is looked at once or twice, in
 * an order that does not matter.  So rows are kept by table, in a tuplestore that
 * holds a megabyte in memory.  Rows can be added while others are read.
 *
 * Memory belongs to the context that was current when the queue was made; a row
 * that is read is good until the next one of the same queue is.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_ROWS_H
#define TASKAPI_RESOURCE_ROWS_H

#include "datatype/timestamp.h"
#include "storage/itemptr.h"
#include "tcop/dest.h"
#include "utils/uuid.h"

#include "resource/resource_table.h"

/* A deletion: its id, and when. */
typedef struct TaskapiDeletion
{
	pg_uuid_t	id;
	TimestampTz at;
} TaskapiDeletion;

/*
 * A row of a table: where it is, and the values of TaskapiTable.columns.  A row that was deleted round the resource has
 * no deletion id.  One allocation, but for values that are passed by reference.
 */
typedef struct TaskapiRow
{
	TaskapiTable *table;
	Oid			tableoid;
	ItemPointerData tid;
	bool		live;
	bool		in_deletion;	/* deletion.id is set */
	TaskapiDeletion deletion;
	bool	   *nulls;
	Datum		values[FLEXIBLE_ARRAY_MEMBER];
} TaskapiRow;

typedef struct TaskapiRows TaskapiRows;

extern TaskapiRows *taskapi_rows_create(void);
extern void taskapi_rows_free(TaskapiRows *rows);
extern void taskapi_rows_add(TaskapiRows *rows, const TaskapiRow *row);

/* A row that has not been read yet, or NULL. */
extern TaskapiRow *taskapi_rows_next(TaskapiRows *rows);

/* Read all of them again. */
extern void taskapi_rows_rewind(TaskapiRows *rows);

/*
 * A receiver that adds what a statement returns about a table, or only counts it if "rows" is NULL; an error unless the
 * statement returns that.  The number of rows that it has got is in "received"; with a deletion, of those that are in it.
 */
typedef struct TaskapiRowsReceiver
{
	DestReceiver pub;
	TaskapiRows *rows;
	TaskapiTable *table;
	const TaskapiDeletion *deletion;
	int64		received;
} TaskapiRowsReceiver;

extern void taskapi_rows_receiver(TaskapiRowsReceiver *receiver, TaskapiRows *rows, TaskapiTable *table,
								  const TaskapiDeletion *deletion);

/* The select list that makes rows of a table, for a statement in which it has that alias. */
extern void taskapi_row_list(StringInfo buf, const TaskapiTable *table, const char *alias);

/* A row from what such a statement returned, in the current context. */
extern TaskapiRow *taskapi_row_of_tuple(TaskapiTable *table, HeapTuple tuple, TupleDesc desc);

/*
 * A receiver that takes a row from a statement that returns the same, but may have been made for another entry of the
 * table: its columns bear the numbers that they have in the table as names, and an error if one is another.  The row is in
 * the context that was current when the receiver was made.  Without a table there is no row.
 */
typedef struct TaskapiRowReceiver
{
	DestReceiver pub;
	TaskapiTable *table;
	MemoryContext context;
	TaskapiRow *row;			/* the first; NULL if there is none */
} TaskapiRowReceiver;

extern void taskapi_row_receiver(TaskapiRowReceiver *receiver, TaskapiTable *table);

/* A copy in the current context. */
extern TaskapiRow *taskapi_row_copy(const TaskapiRow *row);

/* The id of the deletion that a row is in; of one that was deleted round the resource, one that is made of its place. */
extern pg_uuid_t taskapi_row_deletion(const TaskapiRow *row);

#endif							/* TASKAPI_RESOURCE_ROWS_H */
