/*-------------------------------------------------------------------------
 *
 * resource_view_plan.h
 *	  The statements that a write through a resource's view makes on its table.
 *
 * They run as the caller, whose privileges and policies on the table decide.
 * Plans are kept by kind and set of columns.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_VIEW_PLAN_H
#define TASKAPI_RESOURCE_VIEW_PLAN_H

#include "resource/resource_plan.h"
#include "resource/resource_view.h"

typedef enum TaskapiViewPlanKind
{
	TASKAPI_VIEW_PLAN_UPDATE_VERSION, /* if the version is the one given */
	TASKAPI_VIEW_PLAN_UPDATE_IMAGE, /* if the columns to change are as given */
	TASKAPI_VIEW_PLAN_UPDATE_KEY,	/* in any case */
	TASKAPI_VIEW_PLAN_DELETE,
	TASKAPI_VIEW_PLAN_DELETE_VERSION,
	TASKAPI_VIEW_PLAN_DELETE_AT,	/* a DELETE for taskapi_delete_at() */
	TASKAPI_VIEW_PLAN_SCAN,		/* a DELETE for taskapi_delete_scan() */
	TASKAPI_VIEW_PLAN_SCAN_VERSION,
	TASKAPI_VIEW_PLAN_SELECT,	/* the row as the view shows it, whether deleted or not */
	TASKAPI_VIEW_PLAN_PROBE,	/* is it live, and its version */
	TASKAPI_VIEW_PLAN_LOCK,		/* may the caller change it? */
	TASKAPI_VIEW_PLAN_LOCK_IMAGE
} TaskapiViewPlanKind;

typedef struct TaskapiViewPlan
{
	TaskapiViewPlanKind kind;
	Bitmapset  *columns;
	SPIPlanPtr	plan;
} TaskapiViewPlan;

/*
 * The plan of a kind for a set of columns (indexes), made if it is missing.  Its parameters are, in this order: the
 * values of "columns" to write, the key, then for ..._VERSION the version (as int8), for ..._AT the ctid, for ..._IMAGE
 * the former values of "columns".
 */
extern SPIPlanPtr taskapi_resource_view_plan(TaskapiView *view, TaskapiViewPlanKind kind, const Bitmapset *columns);

#endif							/* TASKAPI_RESOURCE_VIEW_PLAN_H */
