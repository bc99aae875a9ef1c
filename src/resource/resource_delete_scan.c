/*-------------------------------------------------------------------------
 *
 * resource_delete_scan.c
 *	  Finding and locking what a DELETE would delete
 *	  (resource_delete_scan.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/parsenodes.h"
#include "optimizer/planner.h"
#include "utils/plancache.h"

#include "base/compat.h"
#include "resource/resource_delete_scan.h"
#include "resource/resource_plan.h"

static planner_hook_type next_planner_hook = NULL;

/* The text of the DELETE that is being run as a scan: that very string, which its plan source holds. */
static const char *scanned_text = NULL;

static PlannedStmt *scan_planner(Query *query, const char *query_string, int cursor_options,
								 ParamListInfo params TASKAPI_PLANNER_PARAM);
static Query *scan_of(const Query *query);

void
taskapi_delete_scan_init(void)
{
	next_planner_hook = planner_hook;
	planner_hook = scan_planner;
}

static PlannedStmt *
scan_planner(Query *query, const char *query_string, int cursor_options, ParamListInfo params TASKAPI_PLANNER_PARAM)
{
	if (scanned_text != NULL && query_string == scanned_text && query->commandType == CMD_DELETE)
		query = scan_of(query);
	if (next_planner_hook)
		return next_planner_hook(query, query_string, cursor_options, params TASKAPI_PLANNER_ARG);
	return standard_planner(query, query_string, cursor_options, params TASKAPI_PLANNER_ARG);
}

/*
 * The SELECT of the rows that a DELETE, rewritten already, would delete.  The planner's input may be of a plan that is
 * kept, and is not changed.
 */
static Query *
scan_of(const Query *query)
{
	Query	   *scan = makeNode(Query);
	RowMarkClause *mark = makeNode(RowMarkClause);

	*scan = *query;
	mark->rti = query->resultRelation;
	mark->strength = LCS_FORUPDATE;
	mark->waitPolicy = LockWaitBlock;
	scan->commandType = CMD_SELECT;
	scan->resultRelation = 0;
	scan->rowMarks = list_make1(mark);
	scan->hasForUpdate = true;
	return scan;
}

uint64
taskapi_delete_scan(SPIPlanPtr plan, Datum *values, const char *nulls)
{
	CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(plan));
	MemoryContext context = CurrentMemoryContext;
	const char *outer = scanned_text;
	volatile int result = SPI_OK_SELECT;

	PG_TRY();
	{
		scanned_text = source->query_string;
		if (!taskapi_resource_run_again(plan, values, nulls))
			result = SPI_execute_plan(plan, values, nulls, false, 0);
	}
	PG_FINALLY();
	{
		scanned_text = outer;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);

	/* another extension's planner hook that does not call ours would have deleted the rows */
	if (result != SPI_OK_SELECT)
		elog(ERROR, "a DELETE that was to be a scan returned %s", SPI_result_code_string(result));
	taskapi_resource_free_result();
	return SPI_processed;
}
