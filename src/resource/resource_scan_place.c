/*-------------------------------------------------------------------------
 *
 * resource_scan_place.c
 *	  Where the row that is being written stands in the table, by a guess
 *	  (resource_scan_place.h).
 *
 * The executor's nodes are looked up for each row and nothing of them is kept, so
 * that they are those of a query which is running.  If that is another query than the
 * one whose rows are written, as in its ExecutorFinish, the guess is wrong, or there
 * is none.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/execnodes.h"
#include "utils/rel.h"

#include "base/client_query.h"
#include "base/compat.h"
#include "resource/resource_scan_place.h"

/* A guess is made as long as no more than one row in so many, and one more, was elsewhere. */
#define MISPLACED_OF 8

static const ModifyTableState *writer(const QueryDesc *query, Oid view);
static bool writes_view(const PlanState *node, Oid view);
static const ScanState *scan_below(const PlanState *node);

bool
taskapi_scan_place(const TaskapiWrite *write, ItemPointer place)
{
	const TaskapiResourceStatement *statement = write->statement;
	TaskapiQueryOwner owner;
	const QueryDesc *query;
	const ModifyTableState *modify;
	const ScanState *scan;
	const TupleTableSlot *slot;

	if (statement->misplaced * MISPLACED_OF > statement->rows + MISPLACED_OF)
		return false;
	query = taskapi_running_query(&owner);
	modify = query == NULL ? NULL : writer(query, statement->view);
	scan = modify == NULL ? NULL : scan_below(outerPlanState(modify));
	if (scan == NULL || RelationGetRelid(scan->ss_currentRelation) != statement->registration.source)
		return false;
	slot = scan->ss_ScanTupleSlot;
	if (TTS_EMPTY(slot) || !ItemPointerIsValid(&slot->tts_tid))
		return false;
	*place = slot->tts_tid;
	return true;
}

/*
 * The node of the query that writes to the view, maybe in a WITH; of two it is one.
 */
static const ModifyTableState *
writer(const QueryDesc *query, Oid view)
{
	ListCell   *lc;

	if (writes_view(query->planstate, view))
		return (const ModifyTableState *) query->planstate;
	foreach(lc, query->estate->es_auxmodifytables)
	{
		if (writes_view(lfirst(lc), view))
			return lfirst(lc);
	}
	return NULL;
}

static bool
writes_view(const PlanState *node, Oid view)
{
	return node != NULL && IsA(node, ModifyTableState) &&
		RelationGetRelid(((const ModifyTableState *) node)->resultRelInfo->ri_RelationDesc) == view;
}

/*
 * The scan of a table whose row the node gives out, if each row comes from the one that the scan has read last.
 */
static const ScanState *
scan_below(const PlanState *node)
{
	while (node != NULL)
	{
		switch (nodeTag(node))
		{
			case T_SeqScanState:
			case T_IndexScanState:
			case T_BitmapHeapScanState:
			case T_TidScanState:
			case T_TidRangeScanState:
				return (const ScanState *) node;
			case T_SubqueryScanState:
				node = ((const SubqueryScanState *) node)->subplan;
				break;
			case T_ResultState:
			case T_LimitState:
			case T_NestLoopState:
			case T_HashJoinState:
			case T_MergeJoinState:
				node = outerPlanState(node);
				break;
			default:
				return NULL;
		}
	}
	return NULL;
}
