/*-------------------------------------------------------------------------
 *
 * page_items.h
 *	  The rows of a page as a JSON array.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_PAGE_ITEMS_H
#define TASKAPI_PAGE_ITEMS_H

#include "utils/array.h"

#include "page/page_fetch.h"

/* What a row shows: names of columns, in that order; no names are all columns. */
typedef struct TaskapiPageColumns
{
	int			n;
	char	  **names;
} TaskapiPageColumns;

/* Read the argument; NULL and an empty array are all columns.  Errors: invalid_value for NULL and for a name twice. */
extern TaskapiPageColumns taskapi_page_columns(ArrayType *array);

/*
 * Errors: invalid_value for a column that neither source has, or that the user may not read; "other" may be NULL.  A
 * row shows those of the columns that its own source has.
 */
extern void taskapi_page_check_columns(const TaskapiPageColumns *columns, const TaskapiPageQuery *query,
									   const TaskapiPageQuery *other);

/* The array as text. */
extern text *taskapi_page_items(const TaskapiPageColumns *columns, const TaskapiPageRow *rows, int nrows);

#endif							/* TASKAPI_PAGE_ITEMS_H */
