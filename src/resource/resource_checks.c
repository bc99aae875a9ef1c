/*-------------------------------------------------------------------------
 *
 * resource_checks.c
 *	  The CHECK constraints of tables, read once (resource_checks.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "storage/proc.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "base/table_cache.h"
#include "resource/resource_checks.h"

#define MAX_TABLES 64

/* The constraints of a table */
typedef struct Checks
{
	Oid			relid;			/* InvalidOid is a free place */
	uint64		names;			/* the generation that they were planned in */
	int			n;
	char	  **texts;
	Expr	  **planned;		/* NULL if they are the server's to read */
	MemoryContext context;
	LocalTransactionId replaced;	/* the transaction that last had others in this place */
} Checks;

static Checks tables[MAX_TABLES];
static int	next_table = 0;

static Checks *find_checks(Relation rel);
static bool is_current(const Checks *checks, const TupleConstr *constr);
static void read_checks(Checks *checks, Relation rel);
static bool forget_checks(Checks *checks);
static bool is_strange(Node *node, void *context);
static bool is_strange_function(Oid function, void *context);

void
taskapi_prepare_checks(QueryDesc *query)
{
	ModifyTableState *modify = (ModifyTableState *) query->planstate;

	if (!IsA(modify, ModifyTableState) || (query->estate->es_top_eflags & EXEC_FLAG_EXPLAIN_ONLY) != 0)
		return;
	for (int i = 0; i < modify->mt_nrels; i++)
	{
		ResultRelInfo *info = &modify->resultRelInfo[i];
		Checks	   *checks = find_checks(info->ri_RelationDesc);
		MemoryContext old;
		ExprState **states;

		if (checks == NULL || taskapi_check_states(info) != NULL)
			continue;
		old = MemoryContextSwitchTo(query->estate->es_query_cxt);
		states = palloc(checks->n * sizeof(ExprState *));
		for (int j = 0; j < checks->n; j++)
			states[j] = ExecInitExpr(checks->planned[j], NULL);
		taskapi_check_states(info) = states;
		MemoryContextSwitchTo(old);
	}
}

/*
 * NULL if there are none, or if they are the server's to read.
 */
static Checks *
find_checks(Relation rel)
{
	const TupleConstr *constr = RelationGetDescr(rel)->constr;
	Checks	   *checks = NULL;

	if (rel->rd_rel->relkind != RELKIND_RELATION || constr == NULL || constr->num_check == 0 ||
		constr->num_check != rel->rd_rel->relchecks)
		return NULL;
	for (int i = 0; i < MAX_TABLES && checks == NULL; i++)
	{
		if (tables[i].relid == RelationGetRelid(rel))
			checks = &tables[i];
	}
	if (checks == NULL)
	{
		checks = &tables[next_table];
		next_table = (next_table + 1) % MAX_TABLES;
		if (!forget_checks(checks))
			return NULL;
	}
	else if (!is_current(checks, constr) && !forget_checks(checks))
		return NULL;
	if (!OidIsValid(checks->relid))
		read_checks(checks, rel);
	return checks->planned ? checks : NULL;
}

static bool
is_current(const Checks *checks, const TupleConstr *constr)
{
	if (checks->names != taskapi_names_generation() || checks->n != constr->num_check)
		return false;
	for (int i = 0; i < checks->n; i++)
	{
		if (strcmp(checks->texts[i], constr->check[i].ccbin) != 0)
			return false;
	}
	return checks->planned == NULL || !taskapi_leaves_checks(constr);
}

static void
read_checks(Checks *checks, Relation rel)
{
	const TupleConstr *constr = RelationGetDescr(rel)->constr;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "taskapi checks", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Checks		read = {.relid = RelationGetRelid(rel), .n = constr->num_check, .context = context};
	bool		strange = taskapi_leaves_checks(constr);

	/* before anything is looked up */
	read.names = taskapi_names_generation();
	read.texts = palloc(read.n * sizeof(char *));
	read.planned = palloc(read.n * sizeof(Expr *));
	for (int i = 0; i < read.n; i++)
	{
		Node	   *expr = stringToNode(constr->check[i].ccbin);

		read.texts[i] = pstrdup(constr->check[i].ccbin);
		strange = strange || is_strange(expr, NULL);
		if (!strange)
			read.planned[i] = expression_planner((Expr *) expr);
	}
	if (strange)
		read.planned = NULL;
	MemoryContextSwitchTo(old);
	MemoryContextSetParent(context, CacheMemoryContext);
	read.replaced = checks->replaced;
	*checks = read;
}

/*
 * Make a place free, once in a transaction, since what was there takes memory until its end.
 */
static bool
forget_checks(Checks *checks)
{
	if (!OidIsValid(checks->relid))
		return true;
	if (checks->replaced == taskapi_local_transaction())
		return false;
	MemoryContextSetParent(checks->context, TopTransactionContext);
	checks->relid = InvalidOid;
	checks->replaced = taskapi_local_transaction();
	return true;
}

/*
 * Does it have anything that is not the server's own?  A domain has constraints of its own.
 */
static bool
is_strange(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, CoerceToDomain) || IsA(node, Query) || IsA(node, SubLink) ||
		check_functions_in_node(node, is_strange_function, context))
		return true;
	return expression_tree_walker(node, TASKAPI_WALKER(is_strange), context);
}

static bool
is_strange_function(Oid function, void *context)
{
	return function >= FirstNormalObjectId;
}
