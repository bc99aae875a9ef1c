/*-------------------------------------------------------------------------
 *
 * resource_planner.c
 *	  The hooks of the parser and the planner for INSERTs into resources
 *	  (resource_planner.h).
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
 * A column that is left out gets a default of the view, which is nothing but a
 * note for layers (resource_default.h): the planner makes it NULL.  But the server
 * reads it from its text for each statement, and a tenth of a POST went there.
 * So where the hook is, it is NULL from the parser on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "optimizer/planner.h"
#include "parser/analyze.h"

#include "base/compat.h"
#include "resource/resource_insert_mark.h"
#include "resource/resource_planner.h"

static post_parse_analyze_hook_type next_post_parse_analyze_hook = NULL;
static planner_hook_type next_planner_hook = NULL;

static void fill_in(ParseState *pstate, Query *query, TASKAPI_JUMBLE_STATE *jstate);
static void leave_out(Query *query);
static PlannedStmt *mark_planner(Query *parse, const char *query_string, int cursor_options,
								 ParamListInfo params TASKAPI_PLANNER_PARAM);
static void mark(Query *query);

void
taskapi_resource_planner_init(void)
{
	next_planner_hook = planner_hook;
	planner_hook = mark_planner;
	next_post_parse_analyze_hook = post_parse_analyze_hook;
	post_parse_analyze_hook = fill_in;
}

static void
fill_in(ParseState *pstate, Query *query, TASKAPI_JUMBLE_STATE *jstate)
{
	ListCell   *lc;

	if (next_post_parse_analyze_hook)
		next_post_parse_analyze_hook(pstate, query, jstate);
	leave_out(query);
	foreach(lc, query->cteList)
		leave_out(castNode(Query, lfirst_node(CommonTableExpr, lc)->ctequery));
}

/*
 * Whether a column was named is noted elsewhere, with the rights that the statement needs.
 */
static void
leave_out(Query *query)
{
	const TaskapiView *view;
	Bitmapset  *missing;
	int			i = -1;
	ListCell   *lc;

	if (query->commandType != CMD_INSERT || !OidIsValid(taskapi_insert_resource(query)))
		return;
	view = taskapi_resource_view_as_is(taskapi_insert_resource(query));
	missing = bms_copy(view->own_defaults);
	foreach(lc, query->targetList)
		missing = bms_del_member(missing, lfirst_node(TargetEntry, lc)->resno - 1);
	while ((i = bms_next_member(missing, i)) >= 0)
		query->targetList = lappend(query->targetList,
									makeTargetEntry((Expr *) makeNullConst(view->columns[i].type, -1, InvalidOid),
													i + 1, NULL, false));
	bms_free(missing);
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
