/*-------------------------------------------------------------------------
 *
 * resource_view.h
 *	  A resource's view: its columns, its key, and the statements that write through it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_VIEW_H
#define TASKAPI_RESOURCE_VIEW_H

#include "access/attnum.h"
#include "nodes/bitmapset.h"

#include "resource/resource_cache.h"
#include "resource/resource_registry.h"

typedef enum TaskapiViewPlanKind
{
	VIEW_PLAN_INSERT,
	VIEW_PLAN_INSERT_ONLY,		/* for callers who may not read the row */
	VIEW_PLAN_UPDATE_VERSION,	/* where the version is the one given */
	VIEW_PLAN_UPDATE_IMAGE,		/* where the columns to change are as given */
	VIEW_PLAN_DELETE,
	VIEW_PLAN_DELETE_VERSION,
	VIEW_PLAN_SELECT,			/* the row as the view shows it, whether deleted or not */
	VIEW_PLAN_PROBE,			/* is it live, and its version */
	VIEW_PLAN_LOCK,				/* may the caller change it? */
	VIEW_PLAN_LOCK_IMAGE
} TaskapiViewPlanKind;

typedef struct TaskapiViewColumn
{
	AttrNumber	source_attno;	/* 0: computed */
	char	   *name;			/* in the table, quoted */
	Oid			type;
	int16		typlen;
	bool		typbyval;
	bool		written;		/* may be written by the client */
	bool		by_server;		/* identity or generated: written only where a value is given */
} TaskapiViewColumn;

/* How a column's values become bytes and text, and text becomes values. */
typedef struct TaskapiColumnIO
{
	Oid			basetype;		/* of a domain; else the type itself */
	bool		scalar;			/* neither an array, a row nor JSON */
	bool		binary;			/* the type has a binary form, */
	FmgrInfo	send;			/* which this makes, or else the text */
	FmgrInfo	input;
	Oid			ioparam;
} TaskapiColumnIO;

typedef struct TaskapiViewKey
{
	int			column;			/* index into columns */
	Oid			eq_operator;
} TaskapiViewKey;

typedef struct TaskapiViewPlan
{
	TaskapiViewPlanKind kind;
	Bitmapset  *columns;
	SPIPlanPtr	plan;
} TaskapiViewPlan;

typedef struct TaskapiView
{
	TaskapiCacheEntry entry;
	TaskapiRegistration registration;
	bool		deleted_rows;
	int			ncolumns;
	TaskapiViewColumn *columns;
	int			nkeys;
	TaskapiViewKey *keys;
	int			version;		/* index of the column version, or -1 */
	int			deleted_at;		/* index of the column deleted_at, or -1 */
	Bitmapset  *insert_always;	/* written and not by_server */
	Bitmapset  *by_server;
	char	   *source_name;	/* quoted, with its schema */
	char	   *returning;		/* the view's row in terms of the table, as t */
	List	   *view_plans;		/* of TaskapiViewPlan */
	TaskapiColumnIO *io;		/* NULL until it is asked for */
} TaskapiView;

/* An error where the view is no resource. */
extern TaskapiView *taskapi_view(Oid view);

/* May the caller read all that the view shows of a row? */
extern bool taskapi_may_read(TaskapiView *view);
/* One for each column. */
extern TaskapiColumnIO *taskapi_view_io(TaskapiView *view);

/* The plan of a kind for a set of columns (indexes), made where it is missing; see view_plan_text() for parameters. */
extern SPIPlanPtr taskapi_view_plan(TaskapiView *view, TaskapiViewPlanKind kind, const Bitmapset *columns);

#endif							/* TASKAPI_RESOURCE_VIEW_H */
