/*-------------------------------------------------------------------------
 *
 * resource_run.c
 *	  Statements that are run for each row of a client's statement, started
 *	  once (resource_run.h).
 *
 * The snapshot of each run is the active one, as the executor requires and functions
 * that register it may expect.  Scans that have begun keep a pointer to the one they
 * began with, which is why they are told of it before each run; between runs they have
 * that of the start, which is registered.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relscan.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "nodes/plannodes.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

#include "base/client_query.h"
#include "base/compat.h"
#include "resource/resource_run.h"

/* More plans in one scope than this are run by SPI. */
#define MAX_RUNS 32

typedef struct Run
{
	SPIPlanPtr	plan;
	TaskapiRunKind kind;
	bool		seen;			/* run once, by SPI */
	bool		refused;		/* not to be kept in this scope */
	bool		active;
	bool		used;			/* its nodes have to be scanned again */
	MemoryContext context;		/* NULL unless it is kept; the rest is good only if it is */
	Oid			user;
	int			security;
	bool		row_security;
	CachedPlan *cached;
	QueryDesc  *query;
	ModifyTableState *modify;	/* or NULL */
	ParamListInfo params;
} Run;

static TaskapiRuns *current = NULL;

static Run *find_run(TaskapiRuns *runs, SPIPlanPtr plan, TaskapiRunKind kind);
static bool start(TaskapiRuns *runs, Run *run, ParamListInfo params);
static bool can_be_kept(const PlannedStmt *stmt);
static bool is_plain(const Plan *plan);
static bool fires_for_statements(const ModifyTableState *modify);
static bool fits(const Run *run, int nargs);
static void bind(const Run *run, ParamListInfo params, int nargs, const Oid *argtypes, const Datum *values, const bool *nulls);
static uint64 execute(Run *run, DestReceiver *receiver, uint64 limit);
static void take_snapshot(const Run *run, Snapshot snapshot);
static bool pass_snapshot(PlanState *node, void *snapshot);
static void scan_again(Run *run);
static void name_statement(void *arg);
static void end(TaskapiRuns *runs, Run *run);

void
taskapi_runs_init(TaskapiRuns *runs, MemoryContext context)
{
	TaskapiQueryOwner not_used;

	if (runs->context != NULL)
		return;
	runs->owner = CurrentResourceOwner;
	runs->query = taskapi_running_query(&not_used);
	runs->context = context;
}

TaskapiRuns *
taskapi_runs_enter(TaskapiRuns *runs)
{
	TaskapiRuns *former = current;

	current = runs;
	return former;
}

void
taskapi_runs_end(TaskapiRuns *runs)
{
	ResourceOwner owner = CurrentResourceOwner;
	ListCell   *lc;

	if (runs->runs == NIL)
		return;
	CurrentResourceOwner = runs->owner;
	foreach(lc, runs->runs)
	{
		Run		   *run = lfirst(lc);

		if (run->context != NULL)
			end(runs, run);
	}
	CurrentResourceOwner = owner;
	list_free_deep(runs->runs);
	runs->runs = NIL;
}

/*
 * NULL if there are too many.
 */
static Run *
find_run(TaskapiRuns *runs, SPIPlanPtr plan, TaskapiRunKind kind)
{
	MemoryContext oldcontext;
	Run		   *run;
	ListCell   *lc;

	foreach(lc, runs->runs)
	{
		run = lfirst(lc);
		if (run->plan == plan && run->kind == kind)
			return run;
	}
	if (list_length(runs->runs) >= MAX_RUNS)
		return NULL;
	oldcontext = MemoryContextSwitchTo(runs->context);
	run = palloc0(sizeof(Run));
	run->plan = plan;
	run->kind = kind;
	runs->runs = lappend(runs->runs, run);
	MemoryContextSwitchTo(oldcontext);
	return run;
}

/*
 * The types of the arguments may be NULL if the plan knows them.
 */
bool
taskapi_run(SPIPlanPtr plan, TaskapiRunKind kind, int nargs, const Oid *argtypes, const Datum *values,
			const bool *nulls, DestReceiver *receiver, uint64 limit, uint64 *found)
{
	TaskapiRuns *runs = current;
	Run		   *run;

	if (runs == NULL || CurrentResourceOwner != runs->owner || (kind == TASKAPI_RUN_WHOLE && IsolationUsesXactSnapshot()) ||
		(run = find_run(runs, plan, kind)) == NULL || run->refused)
		return false;
	if (!run->seen)
	{
		run->seen = true;
		return false;
	}
	if (run->context != NULL && !fits(run, nargs))
		return false;
	/* before it is started, which uses the command up */
	if (kind != TASKAPI_RUN_LOOK)
	{
		CommandCounterIncrement();
		PushActiveSnapshot(GetTransactionSnapshot());
	}
	if (run->context == NULL)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(runs->context);
		ParamListInfo params = makeParamList(nargs);

		MemoryContextSwitchTo(oldcontext);
		bind(run, params, nargs, argtypes, values, nulls);
		if (!start(runs, run, params))
		{
			pfree(params);
			if (kind != TASKAPI_RUN_LOOK)
				PopActiveSnapshot();
			return false;
		}
	}
	bind(run, run->params, nargs, argtypes, values, nulls);
	*found = execute(run, receiver, limit);
	if (kind != TASKAPI_RUN_LOOK)
	{
		PopActiveSnapshot();
		CommandCounterIncrement();
	}
	return true;
}

/*
 * False if the plan is not, or not yet, one to keep.
 */
static bool
start(TaskapiRuns *runs, Run *run, ParamListInfo params)
{
	List	   *sources = SPI_plan_get_plan_sources(run->plan);
	CachedPlanSource *source = linitial(sources);
	MemoryContext oldcontext;
	PlannedStmt *stmt;
	QueryDesc  *query;

	/* the server makes custom plans for some time */
	if (list_length(sources) != 1 || source->gplan == NULL || !source->is_valid)
		return false;
	run->refused = true;
	run->cached = GetCachedPlan(source, params, runs->owner, NULL);
	stmt = linitial_node(PlannedStmt, run->cached->stmt_list);
	if (run->cached != source->gplan || list_length(run->cached->stmt_list) != 1 || !can_be_kept(stmt))
	{
		ReleaseCachedPlan(run->cached, runs->owner);
		return false;
	}

	run->context = AllocSetContextCreate(runs->context, "taskapi run", ALLOCSET_DEFAULT_SIZES);
	oldcontext = MemoryContextSwitchTo(run->context);
	run->params = params;
	GetUserIdAndSecContext(&run->user, &run->security);
	run->row_security = row_security;
	query = run->query = CreateQueryDesc(stmt, source->query_string, GetActiveSnapshot(), InvalidSnapshot, None_Receiver, params,
										 NULL, 0);
	/* also what fires its triggers does so run by run */
	ExecutorStart(query, EXEC_FLAG_SKIP_TRIGGERS);
	if (IsA(query->planstate, ModifyTableState))
		run->modify = (ModifyTableState *) query->planstate;
	MemoryContextSwitchTo(oldcontext);
	if (run->kind == TASKAPI_RUN_WHOLE && run->modify != NULL && fires_for_statements(run->modify))
	{
		end(runs, run);
		return false;
	}
	run->refused = false;
	return true;
}

/*
 * Sub-plans are run as often as their parameters in the executor change, which those of the statement are not.
 */
static bool
can_be_kept(const PlannedStmt *stmt)
{
	const Plan *plan = stmt->planTree;
	ListCell   *lc;

	if (stmt->utilityStmt != NULL || stmt->hasModifyingCTE || stmt->parallelModeNeeded)
		return false;
	if (IsA(plan, ModifyTable))
	{
		if (list_length(((const ModifyTable *) plan)->resultRelations) != 1)
			return false;
		plan = outerPlan(plan);
	}
	if (!is_plain(plan))
		return false;
	foreach(lc, stmt->subplans)
	{
		if (!is_plain(lfirst(lc)))
			return false;
	}
	return stmt->subplans == NIL || strstr(nodeToString(stmt->subplans), "PARAM :paramkind 0") == NULL;
}

/*
 * Nodes that read their input again whenever they are scanned again, and begin to when they are first run: what does so
 * at the start, as a scan by bitmap, keeps the snapshot of the start.
 */
static bool
is_plain(const Plan *plan)
{
	if (plan == NULL)
		return true;
	switch (nodeTag(plan))
	{
		case T_Result:
		case T_SeqScan:
		case T_IndexScan:
		case T_IndexOnlyScan:
		case T_TidScan:
		case T_LockRows:
		case T_Limit:
		case T_NestLoop:
			return is_plain(outerPlan(plan)) && is_plain(innerPlan(plan));
		case T_Agg:
			return ((const Agg *) plan)->aggstrategy == AGG_PLAIN && is_plain(outerPlan(plan));
		case T_SubqueryScan:
			return is_plain(((const SubqueryScan *) plan)->subplan);
		default:
			return false;
	}
}

/*
 * They would fire once, and rows for them be collected where the first run's triggers fire.
 */
static bool
fires_for_statements(const ModifyTableState *modify)
{
	const TriggerDesc *triggers = modify->resultRelInfo->ri_TrigDesc;

	if (modify->mt_transition_capture != NULL)
		return true;
	return triggers != NULL &&
		(triggers->trig_insert_before_statement || triggers->trig_insert_after_statement ||
		 triggers->trig_update_before_statement || triggers->trig_update_after_statement ||
		 triggers->trig_delete_before_statement || triggers->trig_delete_after_statement);
}

static bool
fits(const Run *run, int nargs)
{
	Oid			user;
	int			security;

	GetUserIdAndSecContext(&user, &security);
	return !run->active && run->params->numParams == nargs && user == run->user && security == run->security &&
		row_security == run->row_security;
}

static void
bind(const Run *run, ParamListInfo params, int nargs, const Oid *argtypes, const Datum *values, const bool *nulls)
{
	for (int i = 0; i < nargs; i++)
	{
		params->params[i].value = values[i];
		params->params[i].isnull = nulls != NULL && nulls[i];
		params->params[i].pflags = PARAM_FLAG_CONST;
		params->params[i].ptype = argtypes ? argtypes[i] : SPI_getargtypeid(run->plan, i);
	}
}

/*
 * With the snapshot that is active.
 */
static uint64
execute(Run *run, DestReceiver *receiver, uint64 limit)
{
	EState	   *estate = run->query->estate;
	bool		fires = (run->kind == TASKAPI_RUN_WHOLE && run->modify != NULL);
	ErrorContextCallback callback = {.callback = name_statement, .arg = run, .previous = error_context_stack};
	uint64		found;

	run->active = true;
	error_context_stack = &callback;
	take_snapshot(run, GetActiveSnapshot());
	if (run->modify != NULL || run->query->plannedstmt->rowMarks != NIL)
		estate->es_output_cid = GetCurrentCommandId(true);

	if (run->used)
		scan_again(run);
	run->used = true;
	if (fires)
		AfterTriggerBeginQuery();
	run->query->dest = receiver;
	ExecutorRun(run->query, ForwardScanDirection, limit TASKAPI_EXECUTE_AGAIN_ARG);
	found = estate->es_processed;
	/* as it was before, when the executor asserted it */
	Assert(GetActiveSnapshot() == estate->es_snapshot);
	if (fires)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(estate->es_query_cxt);

		AfterTriggerEndQuery(estate);
		MemoryContextSwitchTo(oldcontext);
	}
	take_snapshot(run, run->query->snapshot);
	error_context_stack = callback.previous;
	run->active = false;
	return found;
}

static void
take_snapshot(const Run *run, Snapshot snapshot)
{
	run->query->estate->es_snapshot = snapshot;
	pass_snapshot(run->query->planstate, snapshot);
}

/*
 * The nodes that is_plain() allows.  What checks a row again that another transaction has changed has a snapshot of its
 * own, and begins again when there is the next such row.
 */
static bool
pass_snapshot(PlanState *node, void *snapshot)
{
	switch (nodeTag(node))
	{
		case T_SeqScanState:
			if (((SeqScanState *) node)->ss.ss_currentScanDesc != NULL)
				((SeqScanState *) node)->ss.ss_currentScanDesc->rs_snapshot = snapshot;
			break;
		case T_IndexScanState:
			if (((IndexScanState *) node)->iss_ScanDesc != NULL)
				((IndexScanState *) node)->iss_ScanDesc->xs_snapshot = snapshot;
			break;
		case T_IndexOnlyScanState:
			if (((IndexOnlyScanState *) node)->ioss_ScanDesc != NULL)
				((IndexOnlyScanState *) node)->ioss_ScanDesc->xs_snapshot = snapshot;
			break;
		case T_TidScanState:
			if (((TidScanState *) node)->ss.ss_currentScanDesc != NULL)
				((TidScanState *) node)->ss.ss_currentScanDesc->rs_snapshot = snapshot;
			break;
		case T_LockRowsState:
			EvalPlanQualEnd(&((LockRowsState *) node)->lr_epqstate);
			break;
		case T_ModifyTableState:
			EvalPlanQualEnd(&((ModifyTableState *) node)->mt_epqstate);
			break;
		default:
			break;
	}
	return planstate_tree_walker(node, TASKAPI_WALKER(pass_snapshot), snapshot);
}

/*
 * ModifyTable itself cannot be, but has nothing to forget: only its input is read again.
 */
static void
scan_again(Run *run)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(run->query->estate->es_query_cxt);

	if (run->modify != NULL)
	{
		run->modify->mt_done = false;
		ExecReScan(outerPlanState(run->modify));
	}
	else
		ExecReScan(run->query->planstate);
	MemoryContextSwitchTo(oldcontext);
}

static void
name_statement(void *arg)
{
	errcontext("SQL statement \"%s\"", ((Run *) arg)->query->sourceText);
}

static void
end(TaskapiRuns *runs, Run *run)
{
	/* what the last run's point to is gone, and whoever logs the end may print them */
	for (int i = 0; i < run->params->numParams; i++)
	{
		run->params->params[i].value = (Datum) 0;
		run->params->params[i].isnull = true;
	}
	ExecutorFinish(run->query);
	ExecutorEnd(run->query);
	FreeQueryDesc(run->query);
	ReleaseCachedPlan(run->cached, runs->owner);
	MemoryContextDelete(run->context);
	run->context = NULL;
	run->used = false;
}
