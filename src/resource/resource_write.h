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

#include "resource/resource_statement.h"
#include "resource/resource_view.h"

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

#endif							/* TASKAPI_RESOURCE_WRITE_H */
