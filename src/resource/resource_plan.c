/*-------------------------------------------------------------------------
 *
 * resource_plan.c
 *	  Preparing and running the statements behind a resource (resource_plan.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/plancache.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "base/role.h"
#include "http/layer.h"
#include "http/standby.h"
#include "resource/resource_checks.h"
#include "resource/resource_plan.h"
#include "resource/resource_run.h"
#include "resource/resource_stranger.h"
#include "resource/resource_target.h"

#define AS_OWNER (SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS)

static ExecutorStart_hook_type next_ExecutorStart_hook = NULL;

/* The text of the statement that is to be run next as a part of the client's: that very string, of its plan source. */
static const char *joining_text = NULL;

/*
 * The last result if SPI has none, since it is that of a run of resource_run.h: its first row.  Triggers that run meanwhile
 * leave results of their own, in memory that is gone with their SPI connection: so whatever has been run, this is set
 * after it.
 */
typedef struct RowReceiver
{
	DestReceiver pub;
	MemoryContext context;
	TupleDesc	desc;
	HeapTuple	row;
} RowReceiver;

static RowReceiver result;

/* How the context of an error says that it happened with an owner's rights. */
#define OWNER_CONTEXT "statement with the rights of a table's owner"

static void note_owner(void *arg);
static bool writes(const PlannedStmt *stmt);
static void start_joined(QueryDesc *query, int eflags);
static SPIPlanPtr keep_plan(TaskapiCacheEntry *entry, SPIPlanPtr plan);
static void receiver_startup(DestReceiver *self, int operation, TupleDesc desc);
static bool receiver_receive(TupleTableSlot *slot, DestReceiver *self);
static void receiver_shutdown(DestReceiver *self);
static bool run_again(SPIPlanPtr plan, TaskapiRunKind kind, int nargs, const Oid *argtypes, const Datum *values,
					  const bool *nulls, uint64 limit);
static uint64 ran_by_spi(const char *function, int rc);
static bool *is_null(int nargs, const char *nulls);
static uint64 run_by_spi(SPIPlanPtr plan, Datum *values, const char *nulls, bool fire_triggers, uint64 limit);
static ParamListInfo make_params(int nargs, const Oid *argtypes, const Datum *values, const bool *nulls);

SPIPlanPtr
taskapi_resource_prepare(TaskapiCacheEntry *entry, Oid role, const char *query, int nargs, Oid *argtypes)
{
	bool		other = (role != GetUserId());
	MemoryContext context = CurrentMemoryContext;
	SPIPlanPtr	plan;
	TaskapiRole saved = {0};
	ErrorContextCallback callback = {.callback = note_owner, .previous = error_context_stack};

	if (other)
	{
		error_context_stack = &callback;
		saved = taskapi_become(role, AS_OWNER);
	}
	plan = SPI_prepare(query, nargs, argtypes);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare returned %s for %s", SPI_result_code_string(SPI_result), query);
	if (other)
	{
		taskapi_role_restore(saved);
		error_context_stack = callback.previous;
	}
	MemoryContextSwitchTo(context);
	return keep_plan(entry, plan);
}

SPIPlanPtr
taskapi_resource_prepare_params(TaskapiCacheEntry *entry, const char *query, ParserSetupHook set_up, void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	SPIPlanPtr	plan = SPI_prepare_params(query, set_up, arg, 0);

	if (plan == NULL)
		elog(ERROR, "SPI_prepare_params returned %s for %s", SPI_result_code_string(SPI_result), query);
	MemoryContextSwitchTo(context);
	return keep_plan(entry, plan);
}

static SPIPlanPtr
keep_plan(TaskapiCacheEntry *entry, SPIPlanPtr plan)
{
	MemoryContext oldcontext;

	/* first the place for it, so that running out of memory loses no plan */
	oldcontext = MemoryContextSwitchTo(entry->context);
	entry->plans = lappend(entry->plans, plan);
	MemoryContextSwitchTo(oldcontext);
	SPI_keepplan(plan);
	return plan;
}

void
taskapi_resource_plan_init(void)
{
	next_ExecutorStart_hook = ExecutorStart_hook;
	ExecutorStart_hook = start_joined;
}

void
taskapi_resource_join(SPIPlanPtr plan)
{
	CachedPlanSource *source = plan ? linitial(SPI_plan_get_plan_sources(plan)) : NULL;

	joining_text = source ? source->query_string : NULL;
}

static bool
writes(const PlannedStmt *stmt)
{
	return stmt->hasModifyingCTE || (stmt->commandType != CMD_SELECT && stmt->commandType != CMD_UTILITY);
}

/*
 * SPI_execute_snapshot() can leave triggers to the outer query, but takes no list of parameters.
 */
static void
start_joined(QueryDesc *query, int eflags)
{
	bool		joins = (joining_text != NULL && query->sourceText == joining_text);

	taskapi_resource_check_target(query);
	taskapi_strangers_check();
	if (unlikely(XactReadOnly) && (eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0 && writes(query->plannedstmt) && taskapi_in_request())
		taskapi_require_primary("A request that writes");
	if (joins)
	{
		joining_text = NULL;
		eflags |= EXEC_FLAG_SKIP_TRIGGERS;
	}
	if (next_ExecutorStart_hook)
		next_ExecutorStart_hook(query, eflags);
	else
		standard_ExecutorStart(query, eflags);
	if (joins)
		taskapi_prepare_checks(query);
}

static void
receiver_startup(DestReceiver *self, int operation, TupleDesc desc)
{
	((RowReceiver *) self)->desc = desc;
}

static bool
receiver_receive(TupleTableSlot *slot, DestReceiver *self)
{
	RowReceiver *receiver = (RowReceiver *) self;

	if (receiver->row == NULL)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(receiver->context);

		receiver->row = ExecCopySlotHeapTuple(slot);
		MemoryContextSwitchTo(oldcontext);
	}
	return true;
}

static void
receiver_shutdown(DestReceiver *self)
{
}

/*
 * Run a plan by resource_run.h if that is possible.  The types of the arguments may be NULL if the plan knows them.
 */
static bool
run_again(SPIPlanPtr plan, TaskapiRunKind kind, int nargs, const Oid *argtypes, const Datum *values, const bool *nulls,
		  uint64 limit)
{
	RowReceiver receiver = {{receiver_receive, receiver_startup, receiver_shutdown, receiver_shutdown, DestNone},
	CurrentMemoryContext};
	uint64		found;

	result = (RowReceiver) {0};
	if (!taskapi_run(plan, kind, nargs, argtypes, values, nulls, &receiver.pub, limit, &found))
		return false;
	result = receiver;
	SPI_freetuptable(SPI_tuptable);
	SPI_tuptable = NULL;
	SPI_processed = found;
	return true;
}

/*
 * The result is SPI's: the number of its rows.
 */
static uint64
ran_by_spi(const char *function, int rc)
{
	result = (RowReceiver) {0};
	if (rc < 0)
		elog(ERROR, "%s returned %s", function, SPI_result_code_string(rc));
	return SPI_processed;
}

/* What SPI writes with letters. */
static bool *
is_null(int nargs, const char *nulls)
{
	bool	   *isnull;

	if (nulls == NULL)
		return NULL;
	isnull = palloc(Max(nargs, 1));
	for (int i = 0; i < nargs; i++)
		isnull[i] = (nulls[i] == 'n');
	return isnull;
}

bool
taskapi_resource_run_again(SPIPlanPtr plan, const Datum *values, const char *nulls, DestReceiver *receiver, uint64 *found)
{
	int			nargs = SPI_getargcount(plan);

	return taskapi_run(plan, TASKAPI_RUN_JOINED, nargs, NULL, values, is_null(nargs, nulls), receiver, 0, found);
}

uint64
taskapi_resource_run(SPIPlanPtr plan, Datum *values, const char *nulls)
{
	MemoryContext context = CurrentMemoryContext;
	int			nargs = SPI_getargcount(plan);
	int			rc;

	if (run_again(plan, TASKAPI_RUN_JOINED, nargs, NULL, values, is_null(nargs, nulls), 0))
		return SPI_processed;
	taskapi_resource_join(plan);
	rc = SPI_execute_plan(plan, values, nulls, false, 0);
	MemoryContextSwitchTo(context);
	return ran_by_spi("SPI_execute_plan", rc);
}

uint64
taskapi_resource_run_params(SPIPlanPtr plan, int nargs, const Oid *argtypes, const Datum *values, const bool *nulls)
{
	MemoryContext context = CurrentMemoryContext;
	int			rc;

	if (run_again(plan, TASKAPI_RUN_JOINED, nargs, argtypes, values, nulls, 0))
		return SPI_processed;
	taskapi_resource_join(plan);
	rc = SPI_execute_plan_with_paramlist(plan, make_params(nargs, argtypes, values, nulls), false, 0);
	MemoryContextSwitchTo(context);
	return ran_by_spi("SPI_execute_plan_with_paramlist", rc);
}

static ParamListInfo
make_params(int nargs, const Oid *argtypes, const Datum *values, const bool *nulls)
{
	ParamListInfo params = makeParamList(nargs);

	for (int i = 0; i < nargs; i++)
	{
		params->params[i].value = values[i];
		params->params[i].isnull = nulls != NULL && nulls[i];
		params->params[i].pflags = PARAM_FLAG_CONST;
		params->params[i].ptype = argtypes[i];
	}
	return params;
}

uint64
taskapi_resource_run_as(Oid owner, SPIPlanPtr plan, Datum *values, const char *nulls, long limit)
{
	int			nargs = SPI_getargcount(plan);
	MemoryContext context = CurrentMemoryContext;
	ErrorContextCallback callback = {.callback = note_owner};
	TaskapiRole saved;
	uint64		found;

	CHECK_FOR_INTERRUPTS();
	callback.previous = error_context_stack;
	if (owner != GetUserId())
		error_context_stack = &callback;
	saved = taskapi_become(owner, AS_OWNER);
	found = run_again(plan, TASKAPI_RUN_WHOLE, nargs, NULL, values, is_null(nargs, nulls), limit) ? SPI_processed :
		run_by_spi(plan, values, nulls, true, limit);
	taskapi_role_restore(saved);
	error_context_stack = callback.previous;
	MemoryContextSwitchTo(context);
	return found;
}

static uint64
run_by_spi(SPIPlanPtr plan, Datum *values, const char *nulls, bool fire_triggers, uint64 limit)
{
	Snapshot	snapshot = InvalidSnapshot;
	Snapshot	crosscheck = InvalidSnapshot;

	if (IsolationUsesXactSnapshot())
	{
		CommandCounterIncrement();	/* our own work is to be seen */
		snapshot = GetLatestSnapshot();
		crosscheck = GetTransactionSnapshot();
	}
	return ran_by_spi("SPI_execute_snapshot",
					  SPI_execute_snapshot(plan, values, nulls, snapshot, crosscheck, false, fire_triggers, limit));
}

void
taskapi_resource_parts_begin(void)
{
	AfterTriggerBeginQuery();
}

uint64
taskapi_resource_run_part(Oid owner, SPIPlanPtr plan, Datum *values)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorContextCallback callback = {.callback = note_owner};
	TaskapiRole saved;
	uint64		found;

	CHECK_FOR_INTERRUPTS();
	callback.previous = error_context_stack;
	if (owner != GetUserId())
		error_context_stack = &callback;
	saved = taskapi_become(owner, AS_OWNER);
	found = run_by_spi(plan, values, NULL, false, 0);
	taskapi_role_restore(saved);
	error_context_stack = callback.previous;
	MemoryContextSwitchTo(context);
	return found;
}

/*
 * As the executor does at the end of a query.
 */
void
taskapi_resource_parts_end(Oid owner)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorContextCallback callback = {.callback = note_owner};
	EState	   *estate = CreateExecutorState();
	TaskapiRole saved;

	callback.previous = error_context_stack;
	if (owner != GetUserId())
		error_context_stack = &callback;
	saved = taskapi_become(owner, AS_OWNER);
	CommandCounterIncrement();
	PushActiveSnapshot(IsolationUsesXactSnapshot() ? GetLatestSnapshot() : GetTransactionSnapshot());
	MemoryContextSwitchTo(estate->es_query_cxt);
	AfterTriggerEndQuery(estate);
	MemoryContextSwitchTo(context);
	PopActiveSnapshot();
	CommandCounterIncrement();
	ExecCloseResultRelations(estate);
	ExecResetTupleTable(estate->es_tupleTable, false);
	FreeExecutorState(estate);
	taskapi_role_restore(saved);
	error_context_stack = callback.previous;
}

uint64
taskapi_resource_run_into(Oid owner, SPIPlanPtr plan, int nargs, const Oid *argtypes, Datum *values,
						  DestReceiver *receiver)
{
	SPIExecuteOptions options = {0};
	MemoryContext context = CurrentMemoryContext;
	ErrorContextCallback callback = {.callback = note_owner};
	TaskapiRole saved;
	uint64		found;
	int			rc;

	/* SPI takes either a snapshot or a receiver */
	if (IsolationUsesXactSnapshot())
	{
		found = taskapi_resource_run_as(owner, plan, values, NULL, 0);
		taskapi_resource_pass_result(receiver);
		return found;
	}

	CHECK_FOR_INTERRUPTS();
	callback.previous = error_context_stack;
	if (owner != GetUserId())
		error_context_stack = &callback;
	saved = taskapi_become(owner, AS_OWNER);
	if (!taskapi_run(plan, TASKAPI_RUN_WHOLE, nargs, argtypes, values, NULL, receiver, 0, &found))
	{
		options.params = make_params(nargs, argtypes, values, NULL);
		options.dest = receiver;
		rc = SPI_execute_plan_extended(plan, &options);
		found = ran_by_spi("SPI_execute_plan_extended", rc);
		pfree(options.params);
	}
	taskapi_role_restore(saved);
	error_context_stack = callback.previous;
	MemoryContextSwitchTo(context);
	/* the rows are the receiver's */
	result = (RowReceiver) {0};
	return found;
}

uint64
taskapi_resource_look_as(Oid owner, SPIPlanPtr plan, Datum *values)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorContextCallback callback = {.callback = note_owner};
	TaskapiRole saved;
	int			nargs = SPI_getargcount(plan);

	callback.previous = error_context_stack;
	if (owner != GetUserId())
		error_context_stack = &callback;
	saved = taskapi_become(owner, AS_OWNER);
	if (!run_again(plan, TASKAPI_RUN_LOOK, nargs, NULL, values, NULL, 1))
		(void) ran_by_spi("SPI_execute_plan", SPI_execute_plan(plan, values, NULL, true, 1));
	taskapi_role_restore(saved);
	error_context_stack = callback.previous;
	MemoryContextSwitchTo(context);
	return SPI_processed;
}

static void
note_owner(void *arg)
{
	errcontext(OWNER_CONTEXT);
}

bool
taskapi_resource_raised_as_owner(const ErrorData *edata)
{
	return edata->context != NULL && strstr(edata->context, OWNER_CONTEXT) != NULL;
}

void
taskapi_resource_pass_result(DestReceiver *receiver)
{
	SPITupleTable *tuptable = SPI_tuptable;
	TupleTableSlot *slot = MakeSingleTupleTableSlot(tuptable->tupdesc, &TTSOpsHeapTuple);

	receiver->rStartup(receiver, CMD_SELECT, tuptable->tupdesc);
	for (uint64 i = 0; i < tuptable->numvals; i++)
	{
		ExecStoreHeapTuple(tuptable->vals[i], slot, false);
		receiver->receiveSlot(slot, receiver);
	}
	receiver->rShutdown(receiver);
	ExecDropSingleTupleTableSlot(slot);
	taskapi_resource_free_result();
}

void
taskapi_resource_require_result(const Oid *types, int ntypes)
{
	TupleDesc	desc;

	(void) taskapi_resource_result_row(&desc);
	for (int i = 0; i < ntypes; i++)
	{
		if (desc == NULL || i >= desc->natts || TupleDescAttr(desc, i)->attisdropped ||
			TupleDescAttr(desc, i)->atttypid != types[i])
			taskapi_resource_refuse_changed();
	}
}

HeapTuple
taskapi_resource_result_row(TupleDesc *desc)
{
	if (SPI_tuptable == NULL)
	{
		*desc = result.desc;
		return result.row;
	}
	*desc = SPI_tuptable->tupdesc;
	return SPI_tuptable->numvals > 0 ? SPI_tuptable->vals[0] : NULL;
}

Datum
taskapi_resource_result(int column, bool *isnull)
{
	TupleDesc	desc;
	HeapTuple	row = taskapi_resource_result_row(&desc);

	return heap_getattr(row, column, desc, isnull);
}

void
taskapi_resource_free_result(void)
{
	if (SPI_tuptable != NULL)
		SPI_freetuptable(SPI_tuptable);
	else if (result.row != NULL)
		heap_freetuple(result.row);
	SPI_tuptable = NULL;
	result = (RowReceiver) {0};
}
