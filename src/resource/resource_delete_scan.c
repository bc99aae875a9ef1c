/*-------------------------------------------------------------------------
 *
 * resource_delete_scan.c
 *	  Finding and locking what a DELETE would delete, and a DELETE of the row at a
 *	  place (resource_delete_scan.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_class.h"
#include "catalog/pg_operator.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "optimizer/planner.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"

#include "base/compat.h"
#include "resource/resource_delete_scan.h"
#include "resource/resource_plan.h"

static planner_hook_type next_planner_hook = NULL;

/* The DELETE that is being run, and how to plan it. */
typedef struct PlannedDelete
{
	const char *text;			/* that very string, which its plan source holds */
	bool		scan;			/* as a scan, then */
	const TaskapiTable *table;	/* of whose row, or NULL */
	Oid			placed_in;		/* the table of the place, or InvalidOid */
	int			place;			/* its parameter */
} PlannedDelete;

static PlannedDelete planned = {0};

static PlannedStmt *scan_planner(Query *query, const char *query_string, int cursor_options,
								 ParamListInfo params TASKAPI_PLANNER_PARAM);
static Query *at_place(const Query *query);
static Query *scan_of(const Query *query, const TaskapiTable *table);
static void add_column(Query *query, AttrNumber attno, bool test);

void
taskapi_delete_scan_init(void)
{
	next_planner_hook = planner_hook;
	planner_hook = scan_planner;
}

static PlannedStmt *
scan_planner(Query *query, const char *query_string, int cursor_options, ParamListInfo params TASKAPI_PLANNER_PARAM)
{
	if (planned.text != NULL && query_string == planned.text && query->commandType == CMD_DELETE)
	{
		if (OidIsValid(planned.placed_in))
			query = at_place(query);
		if (planned.scan)
			query = scan_of(query, planned.table);
	}
	if (next_planner_hook)
		return next_planner_hook(query, query_string, cursor_options, params TASKAPI_PLANNER_ARG);
	return standard_planner(query, query_string, cursor_options, params TASKAPI_PLANNER_ARG);
}

/*
 * The DELETE, rewritten already, with one more condition.  The planner's input may be of a plan that is kept, and is not
 * changed.  Another table that has taken the name is refused when the plan is started.
 */
static Query *
at_place(const Query *query)
{
	const RangeTblEntry *rte = rt_fetch(query->resultRelation, query->rtable);
	Query	   *placed = makeNode(Query);
	Param	   *place = makeNode(Param);
	Expr	   *condition;

	*placed = *query;
	if (rte->rtekind != RTE_RELATION || rte->relid != planned.placed_in || rte->relkind != RELKIND_RELATION)
		return placed;
	place->paramkind = PARAM_EXTERN;
	place->paramid = planned.place;
	place->paramtype = TIDOID;
	place->paramtypmod = -1;
	place->location = -1;
	condition = make_opclause(TIDEqualOperator, BOOLOID, false,
							  (Expr *) makeVar(query->resultRelation, SelfItemPointerAttributeNumber, TIDOID, -1,
											   InvalidOid, 0),
							  (Expr *) place, InvalidOid, InvalidOid);
	placed->jointree = makeFromExpr(query->jointree->fromlist,
									make_and_qual(query->jointree->quals, (Node *) condition));
	return placed;
}

/*
 * The SELECT of the rows that a DELETE, rewritten already, would delete.  The planner's input is not changed here either.
 * The permission to read columns is that of the statement as it was parsed.
 */
static Query *
scan_of(const Query *query, const TaskapiTable *table)
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

	/* another table that has taken the name is refused when the plan is started */
	if (table == NULL || rt_fetch(mark->rti, query->rtable)->relid != table->entry.relid)
		return scan;

	/* what taskapi_row_list() lists */
	scan->targetList = NIL;
	add_column(scan, SelfItemPointerAttributeNumber, false);
	add_column(scan, TableOidAttributeNumber, false);
	add_column(scan, table->deleted_at_attno, true);
	add_column(scan, table->deletion_id_attno, false);
	add_column(scan, table->deleted_at_attno, false);
	for (int i = 0; i < table->ncolumns; i++)
		add_column(scan, table->columns[i].attno, false);
	return scan;
}

/*
 * Add a column of the table to what the query returns, or whether it is null.  It is called by its number, by which
 * taskapi_row_receiver() knows it.
 */
static void
add_column(Query *query, AttrNumber attno, bool test)
{
	int			rti = ((RowMarkClause *) linitial(query->rowMarks))->rti;
	Oid			relid = rt_fetch(rti, query->rtable)->relid;
	Oid			type;
	int32		typmod;
	Oid			collation;
	Expr	   *expr;

	get_atttypetypmodcoll(relid, attno, &type, &typmod, &collation);
	expr = (Expr *) makeVar(rti, attno, type, typmod, collation, 0);
	if (test)
	{
		NullTest   *is_null = makeNode(NullTest);

		is_null->arg = expr;
		is_null->nulltesttype = IS_NULL;
		is_null->location = -1;
		expr = (Expr *) is_null;
	}
	query->targetList = lappend(query->targetList,
								makeTargetEntry(expr, list_length(query->targetList) + 1, psprintf("%d", attno), false));
}

bool
taskapi_delete_scan(SPIPlanPtr plan, TaskapiTable *table, Datum *values, const char *nulls, TaskapiRow **row)
{
	CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(plan));
	MemoryContext context = CurrentMemoryContext;
	PlannedDelete outer = planned;
	TaskapiRowReceiver receiver;
	uint64		found = 0;
	volatile bool again = false;
	volatile int result = SPI_OK_SELECT;

	taskapi_row_receiver(&receiver, table);
	PG_TRY();
	{
		planned = (PlannedDelete) {.text = source->query_string, .scan = true, .table = table};
		again = taskapi_resource_run_again(plan, values, nulls, &receiver.pub, &found);
		if (!again)
			result = SPI_execute_plan(plan, values, nulls, false, 0);
	}
	PG_FINALLY();
	{
		planned = outer;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);

	/* another extension's planner hook that does not call ours would have deleted the rows */
	if (result != SPI_OK_SELECT)
		elog(ERROR, "a DELETE that was to be a scan returned %s", SPI_result_code_string(result));
	if (!again)
	{
		found = SPI_processed;
		taskapi_resource_pass_result(&receiver.pub);
	}
	if (row != NULL)
		*row = receiver.row;
	return found > 0;
}

uint64
taskapi_delete_at(SPIPlanPtr plan, Oid table, Datum *values, const char *nulls)
{
	CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(plan));
	PlannedDelete outer = planned;
	volatile uint64 deleted = 0;

	PG_TRY();
	{
		planned = (PlannedDelete) {.text = source->query_string, .placed_in = table, .place = SPI_getargcount(plan)};
		deleted = taskapi_resource_run(plan, values, nulls);
	}
	PG_FINALLY();
	{
		planned = outer;
	}
	PG_END_TRY();
	return deleted;
}
