/*-------------------------------------------------------------------------
 *
 * resource_answer.h
 *	  The rows that a request on a resource was answered with, as the ledger
 *	  keeps them.
 *
 * The stored form is a JSON array with an object for each row: "row", as the
 * view showed it, and "cursor", if the view has one that was not NULL,
 * unsealed and in hexadecimal digits.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_ANSWER_H
#define TASKAPI_RESOURCE_ANSWER_H

#include "access/htup.h"
#include "access/tupdesc.h"
#include "lib/stringinfo.h"

#include "resource/resource_view.h"

/* Append a row to a body, which is empty before the first one; end it after the last. */
extern void taskapi_answer_append(StringInfo body, TupleDesc desc, HeapTuple row);
extern void taskapi_answer_end(StringInfo body);

/*
 * The rows of a stored body (a json) as tuples of the view's row type, in the current context.  False if the text is not
 * what taskapi_answer_append() wrote; not_found if a value does not fit its column any more.
 */
extern bool taskapi_answer_rows(struct varlena *body, TaskapiView *view, TupleDesc desc, HeapTuple **rows, int *nrows);

#endif							/* TASKAPI_RESOURCE_ANSWER_H */
