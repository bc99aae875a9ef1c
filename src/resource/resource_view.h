/*-------------------------------------------------------------------------
 *
 * resource_view.h
 *	  A resource's view: its columns and its key.
 *
 * A view is a resource as long as it is what expose() made: a SELECT of columns
 * of the source table, and of expressions over them, from nothing but that table,
 * with the condition on deleted_at_column that the registry says.  Whoever owns it may
 * replace it at any time.  So all that the code relies on is compared with the
 * catalog when an entry is built: types of columns, version, the columns of
 * deletion, the key, and the view's query.  An entry that does not fit is kept
 * with its fault and never handed out.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_VIEW_H
#define TASKAPI_RESOURCE_VIEW_H

#include "access/attnum.h"
#include "nodes/bitmapset.h"

#include "resource/request_digest.h"
#include "resource/resource_cache.h"
#include "resource/resource_registry.h"

typedef struct TaskapiViewColumn
{
	AttrNumber	source_attno;	/* 0: computed */
	char	   *name;			/* in the table, quoted */
	Oid			type;
	int16		typlen;
	bool		typbyval;
	bool		written;		/* may be written by the client */
	bool		by_server;		/* identity or generated */
} TaskapiViewColumn;

typedef struct TaskapiViewKey
{
	int			column;			/* index into columns */
	Oid			eq_operator;
} TaskapiViewKey;

typedef struct TaskapiView
{
	TaskapiCacheEntry entry;
	TaskapiRegistration registration;
	bool		deleted_rows;
	bool		distributed;	/* the table is one of Citus */
	int			ncolumns;
	TaskapiViewColumn *columns;
	int			nkeys;
	TaskapiViewKey *keys;
	Bitmapset  *key_columns;
	const char *fault;			/* why it is no resource any more, or NULL */
	int			version;		/* index of the column version, or -1 */
	Bitmapset  *deleted_at;		/* the columns that show when the row was deleted: one, or its alias too */
	int			cursor;			/* index of the computed column cursor, or -1 */
	Bitmapset  *writable;		/* the columns that are "written" */
	Bitmapset  *by_server;
	Bitmapset  *changing_defaults;	/* the columns whose default is made for each row */
	Bitmapset  *own_defaults;	/* the columns whose default in the view is expose()'s */
	char	   *source_name;	/* quoted, with its schema */
	Oid			source_owner;
	char	  **expressions;	/* the view's columns in terms of the table, as t */
	char	   *returning;		/* all of them */
	char	   *search_path;	/* under which it means that; NULL: under any */
	List	   *taken;			/* names of indexes in which deleted rows stay, see resource_trash_hint.h */
	List	   *view_plans;		/* of TaskapiViewPlan */
	List	   *conflicts;		/* of TaskapiConflict */
	List	   *insert_plans;	/* resource_insert.c's */
	List	   *feed_plans;		/* feed_plan.c's */
	TaskapiValueIO *io;		/* NULL until it is asked for */
	struct TaskapiAnswerType *answer;	/* resource_answer.c's, or NULL */
} TaskapiView;

/* An error if the view is no resource, or is one no longer. */
extern TaskapiView *taskapi_resource_view(Oid view);

/* The same, with its table locked as a write locks it: after its names have been looked at, nothing waits for that lock. */
extern TaskapiView *taskapi_resource_view_to_write(Oid view);

/*
 * A view that is being written, for a text that names are to stand in: a schema may have been renamed since it was looked up.
 * Values that were read by the one entry go with the other's text: an error if its columns or its key are not the same.
 */
extern TaskapiView *taskapi_resource_view_now(TaskapiView *view);

/*
 * The view that one is by now that taskapi_resource_view_to_write() gave in this statement, so that it and its table are
 * locked.
 */
extern TaskapiView *taskapi_resource_view_again(TaskapiView *view);

/* The same, but good for its columns only: not all that the registry says of it need hold. */
extern TaskapiView *taskapi_resource_view_as_is(Oid view);

/* An error unless the row type is the view's: call it wherever rows enter. */
extern void taskapi_resource_require_row_type(const TaskapiView *view, TupleDesc desc);

/* May the caller read all that the view shows of a row, or in the second form of some columns (by index)? */
extern bool taskapi_resource_may_read(const TaskapiView *view);
extern bool taskapi_resource_may_read_columns(const TaskapiView *view, const Bitmapset *columns);

/* One for each column. */
extern TaskapiValueIO *taskapi_resource_view_io(TaskapiView *view);

#endif							/* TASKAPI_RESOURCE_VIEW_H */
