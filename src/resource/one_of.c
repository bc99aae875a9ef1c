/*-------------------------------------------------------------------------
 *
 * one_of.c
 *	  Membership as a condition of row-level security.
 *
 * one_of(project_id, (SELECT my_project_ids())) says what project_id = ANY (...)
 * says, and bounds an index scan in the same way.  What differs is the planner's
 * estimate.  A policy's condition and the query's own one are about the same
 * column: who asks for one project's rows asks for one of theirs, and the policy
 * then takes nothing away.  The planner multiplies the two selectivities all the
 * same, arrives at a single row, and finds that sorting it costs nothing; so it
 * passes by the index that gives the order, and reads the whole project to show
 * its first page.  one_of() is estimated to be true of every row, so that a
 * query gets the plan that it has without the policy.
 *
 * That is wrong for a table of which the caller sees next to nothing and which is
 * read in an order that an index gives by itself: such a policy says = ANY.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "catalog/pg_am.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "nodes/supportnodes.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/uuid.h"

#include "base/compat.h"

PG_FUNCTION_INFO_V1(taskapi_one_of);
PG_FUNCTION_INFO_V1(taskapi_one_of_support);

static List *index_condition(SupportRequestIndexCondition *req);
static bool held_equal(SupportRequestIndexCondition *req, Oid opno);

/*
 * one_of(uuid, uuid[]) -> bool: is the value among the array's elements?  NULL
 * elements are equal to nothing.  No error, whatever the input: it is leakproof.
 */
Datum
taskapi_one_of(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *value = PG_GETARG_UUID_P(0);
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(1);
	int			n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	char	   *element = ARR_DATA_PTR(array);
	uint8	   *nulls = ARR_NULLBITMAP(array);
	bool		found = false;

	/* a uuid is of fixed length and byte-aligned, so the elements lie side by side */
	for (int i = 0; i < n && !found; i++)
	{
		if (nulls && !(nulls[i / 8] & (1 << (i % 8))))
			continue;
		found = memcmp(element, value, UUID_LEN) == 0;
		element += UUID_LEN;
	}

	PG_FREE_IF_COPY(array, 1);
	PG_RETURN_BOOL(found);
}

/*
 * Planner support.
 */
Datum
taskapi_one_of_support(PG_FUNCTION_ARGS)
{
	Node	   *rawreq = (Node *) PG_GETARG_POINTER(0);
	Node	   *result = NULL;

	if (IsA(rawreq, SupportRequestSelectivity))
	{
		((SupportRequestSelectivity *) rawreq)->selectivity = 1.0;
		result = rawreq;
	}
	else if (IsA(rawreq, SupportRequestIndexCondition))
		result = (Node *) index_condition((SupportRequestIndexCondition *) rawreq);

	PG_RETURN_POINTER(result);
}

/*
 * column = ANY (array).  Of a B-tree only for the first column: for a later one
 * the planner has to know that the scan loses its order, which before 17 it sees
 * from a ScalarArrayOpExpr in the query alone.  GIN, whose class for uuid is btree_gin's,
 * has no order and no first column.  It is scanned once for each element, so
 * not if the query names one value anyway.
 */
static List *
index_condition(SupportRequestIndexCondition *req)
{
	FuncExpr   *call = (FuncExpr *) req->node;
	bool		gin = req->index->relam == GIN_AM_OID;
	ScalarArrayOpExpr *saop;
	Oid			opno;

	if (!is_funcclause(call) || list_length(call->args) != 2 || req->indexarg != 0 ||
		!(gin || (req->index->relam == BTREE_AM_OID && req->indexcol == 0)) ||
		!is_pseudo_constant_for_index(req->root, lsecond(call->args), req->index))
		return NIL;

	/* the classes of btree_gin number their strategies as B-trees do */
	opno = get_opfamily_member(req->opfamily, UUIDOID, UUIDOID, BTEqualStrategyNumber);
	if (!OidIsValid(opno) || get_opcode(opno) != F_UUID_EQ || (gin && held_equal(req, opno)))
		return NIL;

	saop = makeNode(ScalarArrayOpExpr);
	saop->opno = opno;
	saop->opfuncid = get_opcode(opno);
	saop->useOr = true;
	saop->inputcollid = InvalidOid;
	saop->args = list_copy(call->args);
	saop->location = -1;

	req->lossy = false;
	return list_make1(saop);
}

/*
 * Does the query say "column = value" of the same column?
 */
static bool
held_equal(SupportRequestIndexCondition *req, Oid opno)
{
	ListCell   *cell;

	foreach(cell, req->index->rel->baserestrictinfo)
	{
		OpExpr	   *clause = (OpExpr *) ((RestrictInfo *) lfirst(cell))->clause;
		Node	   *left;
		Node	   *right;

		if (!is_opclause(clause) || clause->opno != opno)
			continue;
		left = linitial(clause->args);
		right = lsecond(clause->args);
		if ((match_index_to_operand(left, req->indexcol, req->index) &&
			 is_pseudo_constant_for_index(req->root, right, req->index)) ||
			(match_index_to_operand(right, req->indexcol, req->index) &&
			 is_pseudo_constant_for_index(req->root, left, req->index)))
			return true;
	}
	return false;
}
