/*-------------------------------------------------------------------------
 *
 * resource_answer.h
 *	  The rows that a request was answered with, as the ledger keeps them.
 *
 * The stored form is a JSON array with an object for each row: "row", and "cursor",
 * if the row has one that was not NULL, unsealed and in hexadecimal digits.  A row
 * is an object with a member for each column: null, or the value's text, as a string
 * or as {"base64": "..."} if it has much to escape.
 *
 * The text is what the type's output function makes under fixed settings, and its
 * input function reads it.  So a value comes back as it was for every type that
 * pg_dump can dump: bounds of arrays, jsonb's null, white space of json, the
 * members of composites.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_ANSWER_H
#define TASKAPI_RESOURCE_ANSWER_H

#include "access/htup.h"
#include "access/tupdesc.h"
#include "lib/stringinfo.h"

/* How the rows of a row type become text, and back. */
typedef struct TaskapiAnswerType TaskapiAnswerType;

/* In the current context, which has to outlive all uses. */
extern TaskapiAnswerType *taskapi_answer_type(TupleDesc desc);

/*
 * Let values be written and read as pg_dump does, until AtEOXact_GUC() of the level that is returned; 0 if nothing was to
 * be changed.  Without "all", what the text of dates, intervals, floating-point numbers and arrays depends on.
 */
extern int	taskapi_answer_pin_settings(bool all);

/*
 * Begin a body, append rows to it, and end it: a json in the body's memory.  invalid_value if the answer does not fit
 * into one value.
 */
extern void taskapi_answer_begin(StringInfo body);
extern void taskapi_answer_append(StringInfo body, TaskapiAnswerType *type, TupleDesc desc, HeapTuple row);
extern struct varlena *taskapi_answer_end(StringInfo body);

/*
 * The rows of a stored body (a json) as tuples of the row type, in the current context.  False if the text is not what
 * taskapi_answer_append() wrote; not_found if a value does not fit its column any more.  Columns that the stored rows lack
 * are NULL, members that the row type lacks are left out.
 */
extern bool taskapi_answer_rows(struct varlena *body, TaskapiAnswerType *type, TupleDesc desc,
								HeapTuple **rows, int *nrows);

#endif							/* TASKAPI_RESOURCE_ANSWER_H */
