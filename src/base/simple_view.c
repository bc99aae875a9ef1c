/*-------------------------------------------------------------------------
 *
 * simple_view.c
 *	  Seeing through a view to the one table behind it (simple_view.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/primnodes.h"
#include "parser/parsetree.h"

#include "base/simple_view.h"

RangeTblEntry *
taskapi_simple_view(Query *query, int *rtindex)
{
	Node	   *from;
	RangeTblEntry *rte;

	if (query->commandType != CMD_SELECT || query->hasAggs || query->hasWindowFuncs || query->hasTargetSRFs ||
		query->hasModifyingCTE || query->groupClause || query->groupingSets || query->havingQual ||
		query->distinctClause || query->setOperations || query->limitCount || query->limitOffset ||
		query->cteList || list_length(query->jointree->fromlist) != 1)
		return NULL;
	from = linitial(query->jointree->fromlist);
	if (!IsA(from, RangeTblRef))
		return NULL;
	*rtindex = ((RangeTblRef *) from)->rtindex;
	rte = rt_fetch(*rtindex, query->rtable);
	if (rte->rtekind != RTE_RELATION || rte->tablesample)
		return NULL;
	return rte;
}

const Var *
taskapi_simple_view_column(const Node *expression, int rtindex)
{
	const Var  *var = (const Var *) expression;

	if (IsA(expression, CaseExpr))
	{
		const CaseExpr *cases = (const CaseExpr *) expression;
		const CaseWhen *when = linitial_node(CaseWhen, cases->args);
		const Const *condition = (const Const *) when->expr;

		if (cases->arg != NULL || list_length(cases->args) != 1 || !IsA(condition, Const) || condition->constisnull ||
			condition->consttype != BOOLOID || !DatumGetBool(condition->constvalue) || !equal(when->result, cases->defresult))
			return NULL;
		var = (const Var *) when->result;
	}
	return IsA(var, Var) && var->varno == rtindex && var->varlevelsup == 0 && var->varattno > 0 ? var : NULL;
}

AttrNumber *
taskapi_simple_view_columns(const Query *query, int rtindex, int natts)
{
	AttrNumber *columns = palloc0(sizeof(AttrNumber) * Max(natts, 1));
	ListCell   *cell;

	foreach(cell, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		const Var  *var = taskapi_simple_view_column((Node *) entry->expr, rtindex);

		if (!entry->resjunk && entry->resno <= natts && var)
			columns[entry->resno - 1] = var->varattno;
	}
	return columns;
}
