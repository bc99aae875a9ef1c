/*-------------------------------------------------------------------------
 *
 * resource_replay.c
 *	  Answering a statement with stored rows (resource_replay.h).
 *
 * The executor asks the plan below ModifyTable for rows, which carry the old row
 * of the view as a whole.  Its function is replaced before it is called for the
 * first time, by one that gives the stored rows.  So the statement has the form
 * that the client's layer gave it, RETURNING and all, and counts the rows.
 *
 * What the client would have written shows only in rows that its filter finds.
 * To know it without one, the statement is parsed again, and its expressions are
 * computed as a SELECT of their own, from all that the UPDATE reads from but the
 * view.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "parser/parsetree.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/client_query.h"
#include "base/compat.h"
#include "resource/resource_replay.h"

/* In the memory of its query, and forgotten with it. */
typedef struct ReplaySource
{
	PlanState  *node;
	ModifyTableState *target;
	TaskapiReplayNext next;
	void	   *arg;
	TupleTableSlot *slot;
	struct ReplaySource *outer;
} ReplaySource;

static ReplaySource *sources = NULL;

static TupleTableSlot *next_stored_row(PlanState *node);
static void forget_source(void *arg);
static bool is_target(const PlanState *node, Oid view, CmdType operation);
static Query *parse_again(QueryDesc *query, bool client);
static Query *find_update(Query *query, Oid view);
static int	compare_columns(const ListCell *a, const ListCell *b);
static Query *select_new_values(Query *update);
static bool refers_outside(Node *node, int *depth);
static bool has_default(Node *node, void *context);
static bool digest_first_row(QueryDesc *query, Query *select, TaskapiRequestDigest *digest);

/* ---------- the rows ---------- */

static bool
is_target(const PlanState *node, Oid view, CmdType operation)
{
	const ModifyTableState *target = (const ModifyTableState *) node;

	return IsA(node, ModifyTableState) && target->operation == operation && target->mt_nrels == 1 &&
		RelationGetRelid(target->resultRelInfo->ri_RelationDesc) == view;
}

ModifyTableState *
taskapi_replay_target(QueryDesc *query, Oid view, CmdType operation)
{
	ModifyTableState *found = NULL;
	ListCell   *lc;

	if (is_target(query->planstate, view, operation))
		found = (ModifyTableState *) query->planstate;
	foreach(lc, query->estate->es_auxmodifytables)
	{
		if (!is_target(lfirst(lc), view, operation) || lfirst(lc) == found)
			continue;
		if (found != NULL)
			return NULL;
		found = lfirst(lc);
	}
	return found;
}

void
taskapi_replay_begin(ModifyTableState *target, TaskapiReplayNext next, void *arg)
{
	EState	   *estate = target->ps.state;
	MemoryContext oldcontext = MemoryContextSwitchTo(estate->es_query_cxt);
	ReplaySource *source = palloc0(sizeof(ReplaySource));
	MemoryContextCallback *callback = palloc0(sizeof(MemoryContextCallback));

	source->node = outerPlanState(target);
	source->target = target;
	source->next = next;
	source->arg = arg;
	source->slot = ExecInitExtraTupleSlot(estate, ExecGetResultType(source->node), &TTSOpsVirtual);
	source->outer = sources;
	sources = source;
	callback->func = forget_source;
	callback->arg = source;
	MemoryContextRegisterResetCallback(estate->es_query_cxt, callback);
	MemoryContextSwitchTo(oldcontext);
	source->node->ExecProcNode = next_stored_row;
}

static void
forget_source(void *arg)
{
	ReplaySource **link = &sources;

	while (*link != NULL && *link != arg)
		link = &(*link)->outer;
	if (*link != NULL)
		*link = (*link)->outer;
}

/*
 * The new values of columns are NULL: nothing looks at them.
 */
static TupleTableSlot *
next_stored_row(PlanState *node)
{
	ReplaySource *source = sources;
	TupleTableSlot *slot;
	HeapTuple	row;
	MemoryContext oldcontext;
	ResultRelInfo *rel;

	while (source != NULL && source->node != node)
		source = source->outer;
	if (source == NULL)
		elog(ERROR, "no stored rows for a statement");
	slot = ExecClearTuple(source->slot);
	row = source->next(source->arg);
	if (row == NULL)
		return NULL;

	rel = source->target->resultRelInfo;
	memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts * sizeof(bool));
	oldcontext = MemoryContextSwitchTo(GetPerTupleMemoryContext(node->state));
	slot->tts_values[rel->ri_RowIdAttNo - 1] = heap_copy_tuple_as_datum(row, RelationGetDescr(rel->ri_RelationDesc));
	slot->tts_isnull[rel->ri_RowIdAttNo - 1] = false;
	MemoryContextSwitchTo(oldcontext);
	return ExecStoreVirtualTuple(slot);
}

/*
 * statement_returns(view regclass, "column" name) -> boolean
 *
 * For a trigger of the view: does the INSERT that fired it return the column?  If it is not known, it may.
 */
PG_FUNCTION_INFO_V1(taskapi_statement_returns);
Datum
taskapi_statement_returns(PG_FUNCTION_ARGS)
{
	Oid			view = PG_GETARG_OID(0);
	AttrNumber	attno = get_attnum(view, NameStr(*PG_GETARG_NAME(1)));
	QueryDesc  *query;

	for (int level = 0; (query = taskapi_query_around(level)) != NULL; level++)
	{
		ModifyTableState *target = taskapi_replay_target(query, view, CMD_INSERT);
		Bitmapset  *returned = NULL;

		if (target == NULL)
			continue;
		pull_varattnos((Node *) ((ModifyTable *) target->ps.plan)->returningLists,
					   target->resultRelInfo->ri_RangeTableIndex, &returned);
		PG_RETURN_BOOL(bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, returned) ||
					   bms_is_member(attno - FirstLowInvalidHeapAttributeNumber, returned));
	}
	PG_RETURN_BOOL(true);
}

/* ---------- the new values ---------- */

bool
taskapi_replay_digest_update(QueryDesc *query, bool client, Oid view, TaskapiRequestDigest *digest)
{
	Query	   *again = parse_again(query, client);
	Query	   *update = again == NULL ? NULL : find_update(again, view);
	Query	   *select = update == NULL ? NULL : select_new_values(update);

	return select != NULL && digest_first_row(query, select, digest);
}

/*
 * The statement of the query, analyzed as it was when it was prepared; NULL if it is not one that can be.
 */
static Query *
parse_again(QueryDesc *query, bool client)
{
	ListCell   *lc;
	int			nparams = query->params == NULL ? 0 : query->params->numParams;
	Oid		   *types = palloc(sizeof(Oid) * Max(nparams, 1));

	/* a function's parameters and variables may stand in the text as names, which mean nothing here */
	if (nparams > 0 && (!client || query->params->paramFetch != NULL))
		return NULL;
	for (int i = 0; i < nparams; i++)
		types[i] = query->params->params[i].ptype;
	foreach(lc, pg_parse_query(query->sourceText))
	{
		RawStmt    *raw = lfirst_node(RawStmt, lc);

		/* a statement that stands alone has no place, or begins at 0 */
		if (Max(raw->stmt_location, 0) != Max(query->plannedstmt->stmt_location, 0))
			continue;
		if (IsA(raw->stmt, PrepareStmt))
			raw->stmt = ((PrepareStmt *) raw->stmt)->query;
		if (!IsA(raw->stmt, UpdateStmt) && !IsA(raw->stmt, SelectStmt) && !IsA(raw->stmt, InsertStmt) &&
			!IsA(raw->stmt, DeleteStmt))
			return NULL;
		return parse_analyze_fixedparams(raw, query->sourceText, types, nparams, NULL);
	}
	return NULL;
}

/*
 * Data-modifying statements stand at the top, or in a WITH at the top.
 */
static Query *
find_update(Query *query, Oid view)
{
	ListCell   *lc;

	if (query->commandType == CMD_UPDATE && rt_fetch(query->resultRelation, query->rtable)->relid == view)
		return query;
	foreach(lc, query->cteList)
	{
		Query	   *cte = (Query *) lfirst_node(CommonTableExpr, lc)->ctequery;

		if (cte->commandType == CMD_UPDATE && rt_fetch(cte->resultRelation, cte->rtable)->relid == view)
			return cte;
	}
	return NULL;
}

static int
compare_columns(const ListCell *a, const ListCell *b)
{
	return lfirst_node(TargetEntry, a)->resno - lfirst_node(TargetEntry, b)->resno;
}

/*
 * A SELECT of what the UPDATE sets.
 */
static Query *
select_new_values(Query *update)
{
	Query	   *select = copyObject(update);
	List	   *columns = NIL;
	List	   *from = NIL;
	int			depth = 0;
	ListCell   *lc;

	if (update->hasModifyingCTE || refers_outside((Node *) update, &depth) ||
		has_default((Node *) update->targetList, NULL))
		return NULL;
	foreach(lc, select->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (tle->resjunk)
			continue;
		if (bms_is_member(update->resultRelation, pull_varnos(NULL, (Node *) tle->expr)))
			return NULL;
		columns = lappend(columns, tle);
	}
	/* in the order of the view's columns, as the rows have them */
	list_sort(columns, compare_columns);
	foreach(lc, columns)
		lfirst_node(TargetEntry, lc)->resno = foreach_current_index(lc) + 1;
	foreach(lc, select->jointree->fromlist)
	{
		RangeTblRef *ref = lfirst(lc);

		if (!IsA(ref, RangeTblRef) || ref->rtindex != update->resultRelation)
			from = lappend(from, ref);
	}
	select->commandType = CMD_SELECT;
	select->canSetTag = true;
	select->resultRelation = 0;
	select->targetList = columns;
	select->returningList = NIL;
	select->jointree = makeFromExpr(from, NULL);
	return select;
}

/*
 * Does a query refer to a WITH, or to columns, of a query around it?
 */
static bool
refers_outside(Node *node, int *depth)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		return rte->rtekind == RTE_CTE && (int) rte->ctelevelsup >= *depth;
	}
	if (IsA(node, Var))
		return (int) ((Var *) node)->varlevelsup >= *depth;
	if (IsA(node, Query))
	{
		bool		result;

		(*depth)++;
		result = query_tree_walker((Query *) node, TASKAPI_WALKER(refers_outside), depth, QTW_EXAMINE_RTES_BEFORE);
		(*depth)--;
		return result;
	}
	return expression_tree_walker(node, TASKAPI_WALKER(refers_outside), depth);
}

static bool
has_default(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, SetToDefault))
		return true;
	return expression_tree_walker(node, TASKAPI_WALKER(has_default), context);
}

/*
 * If there is no row, the UPDATE has nothing to write in any row.
 */
static bool
digest_first_row(QueryDesc *query, Query *select, TaskapiRequestDigest *digest)
{
	List	   *rewritten = pg_rewrite_query(copyObject(select));
	PlannedStmt *plan;
	QueryDesc  *values;
	MemoryContext oldcontext;
	TupleTableSlot *slot;

	if (list_length(rewritten) != 1)
		return false;
	plan = taskapi_plan_query(linitial(rewritten), query->sourceText, 0, query->params);
	values = CreateQueryDesc(plan, query->sourceText, GetActiveSnapshot(), InvalidSnapshot, None_Receiver, query->params,
							 NULL, 0);
	ExecutorStart(values, 0);
	oldcontext = MemoryContextSwitchTo(values->estate->es_query_cxt);
	slot = ExecProcNode(values->planstate);
	MemoryContextSwitchTo(oldcontext);
	if (!TupIsNull(slot))
	{
		slot_getallattrs(slot);
		for (int i = 0; i < slot->tts_tupleDescriptor->natts; i++)
		{
			TargetEntry *tle = list_nth_node(TargetEntry, select->targetList, i);
			Form_pg_attribute att = TupleDescAttr(slot->tts_tupleDescriptor, i);
			TaskapiValueIO io;
			Datum		value = slot->tts_values[i];

			/* the digest may keep a pointer to it */
			if (!slot->tts_isnull[i])
				value = datumCopy(value, att->attbyval, att->attlen);
			taskapi_value_io(&io, exprType((Node *) tle->expr));
			taskapi_digest_name(digest, tle->resname);
			taskapi_digest_value(digest, &io, value, slot->tts_isnull[i]);
		}
	}
	ExecutorFinish(values);
	ExecutorEnd(values);
	FreeQueryDesc(values);
	return true;
}
