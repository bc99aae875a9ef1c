/*-------------------------------------------------------------------------
 *
 * resource_insert_portal.c
 *	  What the session's own statement tells of an INSERT.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/namespace.h"
#include "miscadmin.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "tcop/pquery.h"
#include "utils/plancache.h"
#include "utils/portal.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "resource/resource_insert_portal.h"

static TimestampTz loaded_at = 0;

void
taskapi_insert_portal_init(void)
{
	loaded_at = GetCurrentTimestamp();
	if (!process_shared_preload_libraries_in_progress)
		ResetPlanCache();
}

bool
taskapi_insert_planned_before_load(void)
{
	return ActivePortal == NULL || ActivePortal->creation_time <= loaded_at;
}

bool
taskapi_insert_copies_into(Oid view)
{
	PlannedStmt *stmt = ActivePortal != NULL && list_length(ActivePortal->stmts) == 1 ? linitial(ActivePortal->stmts) : NULL;
	CopyStmt   *copy = stmt != NULL && stmt->utilityStmt != NULL && IsA(stmt->utilityStmt, CopyStmt) ?
		(CopyStmt *) stmt->utilityStmt : NULL;

	return copy != NULL && copy->relation != NULL && RangeVarGetRelid(copy->relation, NoLock, true) == view;
}

bool
taskapi_insert_ask_portal(TaskapiWrite *write, Bitmapset **given)
{
	bool		found = false;
	int			n = write->view->ncolumns;
	Bitmapset  *returned = NULL;
	ListCell   *lc;

	*given = NULL;
	if (ActivePortal == NULL)
		return false;
	foreach(lc, ActivePortal->stmts)
	{
		PlannedStmt *stmt = lfirst_node(PlannedStmt, lc);
		int			place = 0;
		int			rti;

		while ((rti = taskapi_next_result_relation(stmt, &place)) != 0)
		{
			RangeTblEntry *rte = rt_fetch(rti, stmt->rtable);

			if (rte->relid != write->statement->view)
				continue;
			*given = bms_add_members(*given, taskapi_insert_view_columns(taskapi_inserted_columns(stmt, rte), n));
			returned = bms_add_members(returned, taskapi_insert_view_columns(taskapi_selected_columns(stmt, rte), n));
			found = true;
		}
	}
	write->returned = returned;
	return found;
}

Bitmapset *
taskapi_insert_view_columns(const Bitmapset *attributes, int ncolumns)
{
	Bitmapset  *columns = NULL;
	int			i = -1;

	if (bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, attributes))
		return ncolumns > 0 ? bms_add_range(NULL, 0, ncolumns - 1) : NULL;
	while ((i = bms_next_member(attributes, i)) >= 0)
	{
		int			column = i + FirstLowInvalidHeapAttributeNumber - 1;

		if (column >= 0 && column < ncolumns)
			columns = bms_add_member(columns, column);
	}
	return columns;
}
