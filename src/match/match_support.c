/*-------------------------------------------------------------------------
 *
 * match_support.c
 *	  The functions of match.c as conditions of an index.
 *
 * Only of GIN.  Its scans give a bitmap, and what is asked of a row again, since a bitmap is lossy, is our own function;
 * an index that gives rows in order would ask the server's operator, which is not leakproof.  In
 * the index itself the operator's classes work on keys.  They are given the value through match_value() (match_bound.h),
 * since they recurse into it.
 *
 * The operator is taken from the index's family and must call what it calls in the server: a class of
 * another author has operators of its own.
 *
 * Estimates are constants.  Statistics are about all tenants' rows, and would tell of them in EXPLAIN
 * and in a planned count.  That of the function is small, so that the planner takes the index: whoever asks by these functions says
 * that few rows match.  For the operator in the index the planner would ask its estimator.  match_value() is VOLATILE, so
 * that estimators do not see the value; an index scan evaluates it once when it begins, as any other expression.
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
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "base/compat.h"
#include "base/own_objects.h"

#define MATCH_SELECTIVITY 0.001 /* what contsel() says of operators without statistics */

PG_FUNCTION_INFO_V1(taskapi_match_support);

typedef struct MatchCondition
{
	const char *function;
	Oid			type;			/* of the first argument; InvalidOid is any array */
	Oid			left;			/* of the operator in the index's family */
	Oid			right;
	StrategyNumber strategy;
	Oid			opcode;			/* what it must call */
} MatchCondition;

static const MatchCondition conditions[] = {
	{"contains", InvalidOid, ANYARRAYOID, ANYARRAYOID, 2, F_ARRAYCONTAINS},
	{"overlaps", InvalidOid, ANYARRAYOID, ANYARRAYOID, 1, F_ARRAYOVERLAP},
	{"contains", JSONBOID, JSONBOID, JSONBOID, 7, F_JSONB_CONTAINS},
	{"matches", TSVECTOROID, TSVECTOROID, TSQUERYOID, 1, F_TS_MATCH_VQ},
	{"is_like", TEXTOID, TEXTOID, TEXTOID, 3, F_TEXTLIKE}
};

static List *index_condition(SupportRequestIndexCondition *req);
static const MatchCondition *find_condition(Oid funcid);
static Node *guard(Node *value, Oid type);

Datum
taskapi_match_support(PG_FUNCTION_ARGS)
{
	Node	   *rawreq = (Node *) PG_GETARG_POINTER(0);
	Node	   *result = NULL;

	if (IsA(rawreq, SupportRequestSelectivity))
	{
		((SupportRequestSelectivity *) rawreq)->selectivity = MATCH_SELECTIVITY;
		result = rawreq;
	}
	else if (IsA(rawreq, SupportRequestIndexCondition))
		result = (Node *) index_condition((SupportRequestIndexCondition *) rawreq);

	PG_RETURN_POINTER(result);
}

/*
 * A call of the function, or of an operator that was made of it.
 */
static List *
index_condition(SupportRequestIndexCondition *req)
{
	const MatchCondition *condition = find_condition(req->funcid);
	List	   *args;
	Oid			opno;
	OpExpr	   *clause;

	if (is_funcclause(req->node))
		args = ((FuncExpr *) req->node)->args;
	else if (is_opclause(req->node))
		args = ((OpExpr *) req->node)->args;
	else
		return NIL;
	if (condition == NULL || list_length(args) != 2 || req->indexarg != 0 || req->index->relam != GIN_AM_OID ||
		!is_pseudo_constant_for_index(req->root, lsecond(args), req->index))
		return NIL;

	opno = get_opfamily_member(req->opfamily, condition->left, condition->right, condition->strategy);
	if (!OidIsValid(opno) || get_opcode(opno) != condition->opcode)
		return NIL;

	clause = (OpExpr *) make_opclause(opno, BOOLOID, false, linitial(args), (Expr *) guard(lsecond(args), condition->right),
									  InvalidOid, req->indexcollation);
	clause->opfuncid = condition->opcode;
	req->lossy = true;			/* for the bounds, and for collations that are not deterministic */
	return list_make1(clause);
}

/*
 * Only a superuser can attach a support function, so the name is that of ours.
 */
static const MatchCondition *
find_condition(Oid funcid)
{
	char	   *name = get_func_name(funcid);
	Oid		   *types;
	int			ntypes;

	if (name == NULL)
		return NULL;
	(void) get_func_signature(funcid, &types, &ntypes);
	for (int i = 0; i < lengthof(conditions) && ntypes == 2; i++)
	{
		if (strcmp(name, conditions[i].function) == 0 &&
			(OidIsValid(conditions[i].type) ? types[0] == conditions[i].type : type_is_array(types[0])))
			return &conditions[i];
	}
	return NULL;
}

/*
 * match_value(value), "type" being that of its argument.
 */
static Node *
guard(Node *value, Oid type)
{
	Oid			function = taskapi_function_oid("match_value", 1, &type);

	return (Node *) makeFuncExpr(function, exprType(value), list_make1(value), InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
}
