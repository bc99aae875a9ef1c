/*-------------------------------------------------------------------------
 *
 * simple_view.c
 *	  Seeing through a view to the one table behind it (simple_view.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

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

AttrNumber *
taskapi_simple_view_columns(const Query *query, int rtindex, int natts)
{
	AttrNumber *columns = palloc0(sizeof(AttrNumber) * Max(natts, 1));
	ListCell   *cell;

	foreach(cell, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		Var		   *var = (Var *) entry->expr;

		if (!entry->resjunk && entry->resno <= natts && IsA(var, Var) &&
			var->varno == rtindex && var->varlevelsup == 0 && var->varattno > 0)
			columns[entry->resno - 1] = var->varattno;
	}
	return columns;
}
