/*-------------------------------------------------------------------------
 *
 * page_plan.c
 *	  Preparing, running and steering the statements of branches (page_plan.h).
 *
 * Statements name everything with its schema, so that search_path does not count; what else a plan depends on is
 * the plan cache's to know.  A schema may be renamed, and another take its name, after the query was found to be valid
 * and before the server parses its text again: so the rows are not given out before it is seen whose they are.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/plancache.h"

#include "base/compat.h"
#include "http/problem.h"
#include "page/page_plan.h"
#include "page/page_steer.h"

#define MAX_PLANS		64		/* of one query; 2 * terms is usual */

static TaskapiPagePlan *branch_plan(TaskapiPageQuery *query, const TaskapiBranch *branch);
static void describe_steering(const TaskapiPageQuery *query, const TaskapiBranch *branch, TaskapiSteering *steering);

static TaskapiPagePlan *
branch_plan(TaskapiPageQuery *query, const TaskapiBranch *branch)
{
	uint64		id = taskapi_page_branch_id(branch);
	MemoryContext old;
	TaskapiPagePlan *kept;
	TaskapiPagePlan *entry;
	ListCell   *cell;

	foreach(cell, query->plans)
	{
		entry = lfirst(cell);
		if (entry->branch == id)
			return entry;
	}

	/* A query that is not kept, and one with too many patterns of NULLs, has its plans for this call only */
	entry = palloc0(sizeof(TaskapiPagePlan));
	entry->branch = id;
	entry->plan = SPI_prepare_cursor(taskapi_page_branch_sql(query, branch), query->nparams, query->argtypes,
									 query->pinned ? CURSOR_OPT_GENERIC_PLAN : CURSOR_OPT_CUSTOM_PLAN);
	if (entry->plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	if (query->valid && list_length(query->plans) < MAX_PLANS)
	{
		old = MemoryContextSwitchTo(query->context);
		kept = palloc(sizeof(TaskapiPagePlan));
		*kept = *entry;
		kept->kept = true;
		kept->measured = kept;	/* which no generic plan is: it is not counted yet */
		query->plans = lappend(query->plans, kept);
		MemoryContextSwitchTo(old);
		SPI_keepplan(kept->plan);
		return kept;
	}
	return entry;
}

void
taskapi_page_run(TaskapiPageQuery *query, const TaskapiBranch *branch, ParamListInfo params, int count, DestReceiver *dest)
{
	TaskapiPagePlan *volatile plan = branch_plan(query, branch);
	CachedPlanSource *source;
	SPIExecuteOptions options = {
		.params = params,
		.read_only = true,
		.must_return_tuples = true,
		.tcount = count,
		.dest = dest
	};
	TaskapiSteering steering;
	volatile int rc = 0;

	describe_steering(query, branch, &steering);
	PG_TRY();
	{
		taskapi_page_steer(&steering);
		rc = SPI_execute_plan_extended(plan->plan, &options);
	}
	PG_FINALLY();
	{
		taskapi_page_steer_abort(&steering);
	}
	PG_END_TRY();
	if (rc < 0)
		elog(ERROR, "SPI_execute_plan failed: %s", SPI_result_code_string(rc));

	/* Now all relations that the rows came from are locked */
	source = linitial(SPI_plan_get_plan_sources(plan->plan));
	if (!list_member_oid(source->relationOids, query->source->relid))
		taskapi_problem(PROBLEM_TRY_AGAIN, NIL, NULL, "Another relation has taken the name of the source.");
	taskapi_page_check_storage(source->relationOids, &plan->seen);
	if (plan->kept && plan->measured != source->gplan)
	{
		plan->measured = source->gplan;
		taskapi_page_query_measure(query);
	}
}

static void
describe_steering(const TaskapiPageQuery *query, const TaskapiBranch *branch, TaskapiSteering *steering)
{
	Bitmapset  *constant = bms_copy(query->equal);

	for (int i = 0; i < branch->first; i++)
	{
		AttrNumber	attno = query->order->terms[i].column->base_attno;

		if (attno > 0 && !(branch->nulls & ((uint32) 1 << i)))
			constant = bms_add_member(constant, attno);
	}
	memset(steering, 0, sizeof(TaskapiSteering));
	steering->relid = query->source->base_relid;
	steering->indexoid = query->index.indexoid;
	steering->pinned = query->pinned;
	steering->constant = constant;
	steering->filtered = query->filtered;
	steering->cursor_function = query->index.cursor_function;
	for (int i = 0; i < query->index.nitems && steering->leading == 0; i++)
	{
		const TaskapiPageColumn *column = query->index.items[i].column;

		if (column && !bms_is_member(column->base_attno, constant))
			steering->leading = column->base_attno;
	}
}
