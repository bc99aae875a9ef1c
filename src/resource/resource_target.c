/*-------------------------------------------------------------------------
 *
 * resource_target.c
 *	  The table that a kept statement must be about (resource_target.h).
 *
 * A plan is known by the very string of its text, which comes along to the
 * executor.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/hsearch.h"
#include "utils/plancache.h"

#include "base/compat.h"
#include "http/problem.h"
#include "resource/resource_target.h"

typedef struct StatementTarget
{
	const char *text;			/* key: its address */
	Oid			relid;
} StatementTarget;

static HTAB *targets = NULL;

static const char *plan_text(SPIPlanPtr plan);
static void require_target(List *relids, Oid relid);

static const char *
plan_text(SPIPlanPtr plan)
{
	return ((CachedPlanSource *) linitial(SPI_plan_get_plan_sources(plan)))->query_string;
}

SPIPlanPtr
taskapi_resource_expect_target(SPIPlanPtr plan, Oid relid)
{
	const char *text = plan_text(plan);
	StatementTarget *target;

	if (targets == NULL)
	{
		HASHCTL		ctl = {0};

		ctl.keysize = sizeof(char *);
		ctl.entrysize = sizeof(StatementTarget);
		targets = hash_create("taskapi statements", 256, &ctl, HASH_ELEM | HASH_BLOBS);
	}
	target = hash_search(targets, &text, HASH_ENTER, NULL);
	target->relid = relid;
	require_target(((CachedPlanSource *) linitial(SPI_plan_get_plan_sources(plan)))->relationOids, relid);
	return plan;
}

void
taskapi_resource_forget_target(SPIPlanPtr plan)
{
	const char *text = plan_text(plan);

	if (targets != NULL)
		hash_search(targets, &text, HASH_REMOVE, NULL);
}

void
taskapi_resource_check_target(const QueryDesc *query)
{
	const StatementTarget *target;

	if (targets == NULL)
		return;
	target = hash_search(targets, &query->sourceText, HASH_FIND, NULL);
	if (target != NULL)
		require_target(query->plannedstmt->relationOids, target->relid);
}

static void
require_target(List *relids, Oid relid)
{
	if (!list_member_oid(relids, relid))
		taskapi_problem(PROBLEM_TRY_AGAIN, NIL, "Send the request again.",
						"Another table has taken the name of one that is written.");
}
