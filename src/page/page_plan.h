/*-------------------------------------------------------------------------
 *
 * page_plan.h
 *	  The prepared statements of branches.
 *
 * If an index bounds the order and no other condition could make another path the better one (every condition, and
 * every column that a policy of row-level security looks at, on a constant column of the index or implied by a
 * partial one), the plan is pinned to it (page_steer.h) and made once, without looking at values: position and filter
 * are index conditions at any depth.  The plan cache makes it again for another role.
 * Otherwise the planner looks at the values at hand each time, and only indexes that would give the order
 * without bounding it are kept from it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_PAGE_PLAN_H
#define TASKAPI_PAGE_PLAN_H

#include "tcop/dest.h"

#include "page/page_branch.h"

/*
 * Run one branch until "count" rows have gone to "dest", whose rStartup calls taskapi_page_steer_end(), since planning
 * is over then.  SPI must be connected.  Errors: try_again (page_storage.h).
 */
extern void taskapi_page_run(TaskapiPageQuery *query, const TaskapiBranch *branch, ParamListInfo params,
							 int count, DestReceiver *dest);

#endif							/* TASKAPI_PAGE_PLAN_H */
