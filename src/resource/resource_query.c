/*-------------------------------------------------------------------------
 *
 * resource_query.c
 *	  Errors of a query that writes to a resource (resource_query.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "executor/executor.h"
#include "parser/parsetree.h"

#include "base/compat.h"
#include "resource/resource_error.h"
#include "resource/resource_query.h"
#include "resource/resource_view.h"

static ExecutorRun_hook_type next_ExecutorRun_hook = NULL;

static void run_query(QueryDesc *query, ScanDirection direction, uint64 count TASKAPI_EXECUTE_ONCE_PARAM);
static void run(QueryDesc *query, ScanDirection direction, uint64 count TASKAPI_EXECUTE_ONCE_PARAM);
static Oid	resource_owner(const PlannedStmt *query);
static void run_parts(EState *estate);

void
taskapi_resource_query_init(void)
{
	next_ExecutorRun_hook = ExecutorRun_hook;
	ExecutorRun_hook = run_query;
}

static void
run_query(QueryDesc *query, ScanDirection direction, uint64 count TASKAPI_EXECUTE_ONCE_PARAM)
{
	MemoryContext context = CurrentMemoryContext;
	Oid			owner = InvalidOid;

	if (taskapi_writes(query->plannedstmt))
		owner = resource_owner(query->plannedstmt);
	if (!OidIsValid(owner))
	{
		run(query, direction, count TASKAPI_EXECUTE_ONCE_ARG);
		return;
	}
	PG_TRY();
	{
		run(query, direction, count TASKAPI_EXECUTE_ONCE_ARG);
	}
	PG_CATCH();
	{
		taskapi_resource_rethrow_of_query(context, query->operation, owner);
	}
	PG_END_TRY();
}

static void
run(QueryDesc *query, ScanDirection direction, uint64 count TASKAPI_EXECUTE_ONCE_PARAM)
{
	if (next_ExecutorRun_hook)
		next_ExecutorRun_hook(query, direction, count TASKAPI_EXECUTE_ONCE_ARG);
	else
		standard_ExecutorRun(query, direction, count TASKAPI_EXECUTE_ONCE_ARG);
}

/*
 * Who owns the table of a resource that the query writes to; InvalidOid if it writes to none.
 */
static Oid
resource_owner(const PlannedStmt *query)
{
	int			place = 0;
	int			rti;

	while ((rti = taskapi_next_result_relation(query, &place)) != 0)
	{
		const RangeTblEntry *rte = rt_fetch(rti, query->rtable);

		if (rte->relkind == RELKIND_VIEW && taskapi_resource_find(rte->relid) != NULL)
			return taskapi_resource_view_as_is(rte->relid)->source_owner;
	}
	return InvalidOid;
}

void
taskapi_resource_run_rest(QueryDesc *query)
{
	MemoryContext context = CurrentMemoryContext;
	Oid			owner = resource_owner(query->plannedstmt);

	if (!OidIsValid(owner))
		return;
	PG_TRY();
	{
		run_parts(query->estate);
	}
	PG_CATCH();
	{
		taskapi_resource_rethrow_of_query(context, query->operation, owner);
	}
	PG_END_TRY();
}

/*
 * Nothing is left then for ExecPostprocessPlan(), which does the same.
 */
static void
run_parts(EState *estate)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(estate->es_query_cxt);
	ListCell   *lc;

	estate->es_direction = ForwardScanDirection;
	foreach(lc, estate->es_auxmodifytables)
	{
		ModifyTableState *node = lfirst_node(ModifyTableState, lc);
		TupleTableSlot *slot;

		if (node->resultRelInfo->ri_RelationDesc->rd_rel->relkind != RELKIND_VIEW)
			continue;
		do
		{
			ResetPerTupleExprContext(estate);
			slot = ExecProcNode(&node->ps); /* TupIsNull() takes its argument twice */
		}
		while (!TupIsNull(slot));
	}
	MemoryContextSwitchTo(oldcontext);
}
