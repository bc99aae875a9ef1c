/*-------------------------------------------------------------------------
 *
 * row_json.h
 *	  Rows as JSON, to the byte as row_to_json() writes them.
 *
 * row_to_json() looks up how each value of each row is written.  Here it is looked up once for each column, at the first row of a
 * page or of an aggregate: nothing outlives the statement, so that nothing has to be invalidated.  Arrays and rows in a column are
 * the server's to write.
 *
 * A cast to json is called for whoever may execute it.  The server asks that from its minor releases of 2026-11 on, and here it is
 * asked on all.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_ROW_JSON_H
#define TASKAPI_ROW_JSON_H

#include "access/attnum.h"
#include "access/htup.h"
#include "access/tupdesc.h"
#include "lib/stringinfo.h"

typedef struct TaskapiRowWriter TaskapiRowWriter;

/* Lives in the current context, as long as desc does. */
extern TaskapiRowWriter *taskapi_row_writer(TupleDesc desc);

/* Of these columns, in this order. */
extern TaskapiRowWriter *taskapi_row_writer_of(TupleDesc desc, const AttrNumber *columns, int ncolumns);

/* Appends one object.  What the output functions allocate stays in the current context. */
extern void taskapi_write_row(TaskapiRowWriter *writer, HeapTuple row, StringInfo buf);

#endif							/* TASKAPI_ROW_JSON_H */
