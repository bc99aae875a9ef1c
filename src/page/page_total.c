/*-------------------------------------------------------------------------
 *
 * page_total.c
 *	  How many rows there are on all pages together (page_total.h).
 *
 * The statements are prepared each time: next to counting that is nothing, and whoever asks for no total has no plan of
 * it to keep.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/plancache.h"

#include "base/compat.h"
#include "http/problem.h"
#include "page/page_fetch.h"
#include "page/page_total.h"

static int64 count(TaskapiPageQuery *query, ParamListInfo params, int limit);
static int64 estimate(TaskapiPageQuery *query, ParamListInfo params);
static SPIPlanPtr prepare(const TaskapiPageQuery *query, const char *list, int limit, const char *end);

TaskapiPageCount
taskapi_page_count_mode(const text *mode)
{
	char	   *name = mode ? text_to_cstring(mode) : "";

	if (name[0] == '\0')
		return COUNT_NONE;
	if (strcmp(name, "exact") == 0)
		return COUNT_EXACT;
	if (strcmp(name, "estimated") == 0)
		return COUNT_ESTIMATED;
	taskapi_problem(PROBLEM_INVALID_VALUE, NIL, "Use exact or estimated.", "\"%s\" is not a way to count.", name);
}

int64
taskapi_page_total(TaskapiPageQuery *query, List *conditions, TaskapiPageCount mode, int few)
{
	ParamListInfo params = taskapi_page_params(query, conditions, NULL);
	int64		total;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (mode == COUNT_EXACT)
		total = count(query, params, 0);
	else
	{
		total = estimate(query, params);
		if (total <= few)
		{
			total = count(query, params, few + 1);
			if (total > few)
			{
				int64		estimated = estimate(query, params);	/* Max() would ask twice */

				total = Max(total, estimated);
			}
		}
	}
	SPI_finish();
	return total;
}

static int64
count(TaskapiPageQuery *query, ParamListInfo params, int limit)
{
	SPIPlanPtr	plan = limit > 0 ? prepare(query, "SELECT pg_catalog.count(*) FROM (SELECT", limit, ") AS s") :
		prepare(query, "SELECT pg_catalog.count(*)", 0, "");
	bool		isnull;
	int			rc = SPI_execute_plan_with_paramlist(plan, params, true, 1);

	if (rc != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "SPI_execute_plan failed: %s", SPI_result_code_string(rc));
	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

static int64
estimate(TaskapiPageQuery *query, ParamListInfo params)
{
	SPIPlanPtr	plan = prepare(query, "SELECT", 0, "");
	CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(plan));
	CachedPlan *planned = GetCachedPlan(source, params, NULL, NULL);
	double		rows = linitial_node(PlannedStmt, planned->stmt_list)->planTree->plan_rows;

	ReleaseCachedPlan(planned, NULL);
	return rows < 1e18 ? (int64) rint(rows) : INT64CONST(1000000000000000000);
}

static SPIPlanPtr
prepare(const TaskapiPageQuery *query, const char *list, int limit, const char *end)
{
	StringInfoData buf;
	SPIPlanPtr	plan;

	initStringInfo(&buf);
	appendStringInfo(&buf, "%s FROM %s AS r", list, query->source->sql);
	if (query->filter_sql[0])
		appendStringInfo(&buf, " WHERE %s", query->filter_sql);
	if (limit > 0)
		appendStringInfo(&buf, " LIMIT %d", limit);
	appendStringInfoString(&buf, end);
	plan = SPI_prepare_cursor(buf.data, query->nparams, query->argtypes, CURSOR_OPT_CUSTOM_PLAN | CURSOR_OPT_PARALLEL_OK);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	return plan;
}
