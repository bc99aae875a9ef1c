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
#include "resource/resource_insert_mark.h"
#include "resource/resource_put.h"
#include "resource/resource_registry.h"

static planner_hook_type next_planner_hook = NULL;

static PlannedStmt *put_planner(Query *parse, const char *query_string, int cursor_options, ParamListInfo params);
static bool is_put(const Query *query);
static bool is_resource_insert(const Query *query);
static bool any_insert(const Query *query, bool (*is_such) (const Query *));
static void strip(Query *query);
static void mark(Query *query);

void
taskapi_resource_put_init(void)
{
	next_planner_hook = planner_hook;
	planner_hook = put_planner;
}

static PlannedStmt *
put_planner(Query *parse, const char *query_string, int cursor_options, ParamListInfo params)
{
	if (any_insert(parse, is_put))
	{
		parse = copyObject(parse);
		strip(parse);
	}
	if (any_insert(parse, is_resource_insert))
	{
		parse = copyObject(parse);
		mark(parse);
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

static bool
is_resource_insert(const Query *query)
{
	return query->commandType == CMD_INSERT && OidIsValid(taskapi_insert_resource(query));
}

/*
 * Data-modifying statements stand at the top, or in a WITH at the top.
 */
static bool
any_insert(const Query *query, bool (*is_such) (const Query *))
{
	ListCell   *lc;

	if (is_such(query))
		return true;
	foreach(lc, query->cteList)
	{
		const Query *cte = (const Query *) lfirst_node(CommonTableExpr, lc)->ctequery;

		if (is_such(cte))
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

/*
 * A client that sends the cursor that it got leaves no room for the view's default (resource_insert_mark.h).
 */
static void
mark(Query *query)
{
	ListCell   *lc;

	if (is_resource_insert(query))
		taskapi_insert_mark(query);
	foreach(lc, query->cteList)
	{
		Query	   *cte = castNode(Query, lfirst_node(CommonTableExpr, lc)->ctequery);

		if (is_resource_insert(cte))
			taskapi_insert_mark(cte);
	}
}
