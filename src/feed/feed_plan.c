/*-------------------------------------------------------------------------
 *
 * feed_plan.c
 *	  The statements of the change feed (feed_plan.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/compat.h"
#include "feed/feed_plan.h"
#include "resource/resource_plan.h"

/* Filters make more; then the entry starts again from none */
#define MAX_FEED_PLANS 64

/* A statement of a resource's */
struct TaskapiFeedPlan
{
	char	   *text;
	Oid			role;			/* InvalidOid: the caller, whoever that is */
	SPIPlanPtr	plan;
};

static SPIPlanPtr find_plan(TaskapiView *view, Oid role, const char *text, int nargs, Oid *types);

SPIPlanPtr
taskapi_feed_plan(TaskapiView *view, const char *text, int nargs, Oid *types)
{
	return find_plan(view, InvalidOid, text, nargs, types);
}

SPIPlanPtr
taskapi_feed_plan_as(TaskapiView *view, Oid role, const char *text, int nargs, Oid *types)
{
	return find_plan(view, role, text, nargs, types);
}

static SPIPlanPtr
find_plan(TaskapiView *view, Oid role, const char *text, int nargs, Oid *types)
{
	struct TaskapiFeedPlan *found;
	MemoryContext oldcontext;
	SPIPlanPtr	plan;
	ListCell   *lc;

	foreach(lc, view->feed_plans)
	{
		found = lfirst(lc);
		if (found->role == role && strcmp(found->text, text) == 0)
			return found->plan;
	}
	plan = taskapi_resource_prepare(&view->entry, OidIsValid(role) ? role : GetUserId(), text, nargs, types);
	oldcontext = MemoryContextSwitchTo(view->entry.context);
	found = palloc(sizeof(struct TaskapiFeedPlan));
	found->text = pstrdup(text);
	found->role = role;
	found->plan = plan;
	view->feed_plans = lappend(view->feed_plans, found);
	if (list_length(view->feed_plans) > MAX_FEED_PLANS)
		view->entry.valid = false;	/* for whoever looks it up next */
	MemoryContextSwitchTo(oldcontext);
	return plan;
}
