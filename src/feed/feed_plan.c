/*-------------------------------------------------------------------------
 *
 * feed_plan.c
 *	  The statements of the change feed (feed_plan.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/plancache.h"
#include "utils/resowner.h"

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

/*
 * What the planner must not do.  It does not know how many rows a range has, and takes few for granted, which it would fetch and
 * sort; so a page of many would read them all.
 */
static const char *const avoided[] = {
	"enable_seqscan", "enable_bitmapscan", "enable_sort", "enable_incremental_sort", "enable_hashjoin", "enable_mergejoin",
	"jit"
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

/*
 * The settings hold for the planner alone, and not for what the statement runs.
 */
void
taskapi_feed_plan_by_index(SPIPlanPtr plan)
{
	CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(plan));
	int			nestlevel = NewGUCNestLevel();
	CachedPlan *planned;

	for (int i = 0; i < lengthof(avoided); i++)
		(void) set_config_option(avoided[i], "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("max_parallel_workers_per_gather", "0", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	source->cursor_options |= CURSOR_OPT_GENERIC_PLAN;
	planned = SPI_plan_get_cached_plan(plan);
	AtEOXact_GUC(true, nestlevel);
	if (planned != NULL)
		ReleaseCachedPlan(planned, CurrentResourceOwner);
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
