/*-------------------------------------------------------------------------
 *
 * resource_planner.c
 *	  The planner hook for INSERTs into resources (resource_planner.h).
 *
 * What an INSERT into a resource says travels with its rows, in a mark
 * (resource_insert_mark.h).  Mostly a default of the view puts it there, with no
 * hook at all.  The hook does it for a client that sends a cursor back, as it
 * does when it sends all that it has read: then that default has no place.
 *
 * A session that has not loaded the library by then has no hook.  A literal or a
 * parameter loads it, being a cursor; so does any column that is left out.  What
 * remains is a row of the view's type from a function or a table, with every
 * column given, as the first thing of a session: docs/operations.md tells how to
 * have the library loaded before it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "optimizer/planner.h"

#include "base/compat.h"
#include "resource/resource_insert_mark.h"
#include "resource/resource_planner.h"

static planner_hook_type next_planner_hook = NULL;

static PlannedStmt *mark_planner(Query *parse, const char *query_string, int cursor_options, ParamListInfo params TASKAPI_PLANNER_PARAM);
static void mark(Query *query);

void
taskapi_resource_planner_init(void)
{
	next_planner_hook = planner_hook;
	planner_hook = mark_planner;
}

/*
 * In place: the planner may scribble on its query as well, and whoever keeps one hands it a copy.
 */
static PlannedStmt *
mark_planner(Query *parse, const char *query_string, int cursor_options, ParamListInfo params TASKAPI_PLANNER_PARAM)
{
	ListCell   *lc;

	/* data-modifying statements stand at the top, or in a WITH at the top */
	mark(parse);
	foreach(lc, parse->cteList)
		mark(castNode(Query, lfirst_node(CommonTableExpr, lc)->ctequery));
	if (next_planner_hook)
		return next_planner_hook(parse, query_string, cursor_options, params TASKAPI_PLANNER_ARG);
	return standard_planner(parse, query_string, cursor_options, params TASKAPI_PLANNER_ARG);
}

static void
mark(Query *query)
{
	if (query->commandType == CMD_INSERT && OidIsValid(taskapi_insert_resource(query)))
		taskapi_insert_mark(query);
}
