/*-------------------------------------------------------------------------
 *
 * resource_put.c
 *	  Lets the statement through that an HTTP layer makes of PUT.
 *
 * PostgREST sends PUT as INSERT ... ON CONFLICT (key) DO UPDATE, in a WITH.  On a
 * view with an INSTEAD OF trigger PostgreSQL cannot infer what the clause is
 * about: the planner raises 42P10.  The trigger knows by request.method what is
 * asked for, and does it, so the clause is taken off before planning.
 *
 * Only for a PUT, and only from an INSERT ... DO UPDATE into a resource, in a
 * database that has resources; the privileges that
 * the clause needs, UPDATE above all, are still checked.  The query is changed in
 * a copy, since it may belong to a prepared statement.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "optimizer/planner.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "base/compat.h"
#include "http/layer.h"
#include "resource/resource_registry.h"
#include "resource/resource_put.h"

static planner_hook_type next_planner_hook = NULL;

static PlannedStmt *put_planner(Query *parse, const char *query_string, int cursor_options, ParamListInfo params);
static bool is_put(const Query *query);
static bool any_put(const Query *query);
static void strip(Query *query);

void
taskapi_resource_put_init(void)
{
	next_planner_hook = planner_hook;
	planner_hook = put_planner;
}

static PlannedStmt *
put_planner(Query *parse, const char *query_string, int cursor_options, ParamListInfo params)
{
	if (any_put(parse))
	{
		parse = copyObject(parse);
		strip(parse);
	}
	if (next_planner_hook)
		return next_planner_hook(parse, query_string, cursor_options, params);
	return standard_planner(parse, query_string, cursor_options, params);
}

static bool
is_put(const Query *query)
{
	const char *method;
	Oid			relid;

	if (query->commandType != CMD_INSERT || query->onConflict == NULL ||
		query->onConflict->action != ONCONFLICT_UPDATE)
		return false;
	method = taskapi_request_method();
	if (method == NULL || strcmp(method, "PUT") != 0)
		return false;
	relid = rt_fetch(query->resultRelation, query->rtable)->relid;
	return get_rel_relkind(relid) == RELKIND_VIEW && taskapi_resource_find(relid) != NULL;
}

/*
 * Data-modifying statements stand at the top, or in a WITH at the top.
 */
static bool
any_put(const Query *query)
{
	ListCell   *lc;

	if (is_put(query))
		return true;
	foreach(lc, query->cteList)
	{
		const Query *cte = (const Query *) lfirst_node(CommonTableExpr, lc)->ctequery;

		if (is_put(cte))
			return true;
	}
	return false;
}

static void
strip(Query *query)
{
	ListCell   *lc;

	if (is_put(query))
		query->onConflict = NULL;
	foreach(lc, query->cteList)
	{
		Query	   *cte = castNode(Query, lfirst_node(CommonTableExpr, lc)->ctequery);

		if (is_put(cte))
			cte->onConflict = NULL;
	}
}
