/*-------------------------------------------------------------------------
 *
 * ratelimit_plan.c
 *	  The policies that tables apply to a request (ratelimit_plan.h).
 *
 * Rules and routes are few and kept by the backend.  Subjects may be many: a caller's row is looked up by index, with the
 * newest snapshot and without regard to the caller's privileges, for each request that some rule may apply to.
 *
 * A path is compared as the layer routes it, without percent-encoding: else a client would choose another spelling.
 *
 * SQL: sql/install/50_ratelimit.sql
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_collation.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "base/own_objects.h"
#include "base/subject.h"
#include "base/table_cache.h"
#include "http/claims.h"
#include "http/layer.h"
#include "ratelimit/ratelimit_plan.h"
#include "ratelimit/ratelimit_verdict.h"

/* Columns, as sql/install/50_ratelimit.sql declares them */
enum
{
	POLICY_NAME = 1, POLICY_COUNTS = 7, POLICY_PLAN, POLICY_METHOD, POLICY_PATH
};
enum
{
	ROUTE_PATH = 1, ROUTE_METHOD, ROUTE_COST
};
enum
{
	SUBJECT_SUBJECT = 1, SUBJECT_PLAN
};
enum
{
	OVERRIDE_SUBJECT = 1, OVERRIDE_POLICY, OVERRIDE_RATE, OVERRIDE_PER, OVERRIDE_BURST
};

/* Which requests; NULL is all */
typedef struct Route
{
	char	   *method;
	char	   *path;
} Route;

typedef struct PlanPolicy
{
	char	   *name;
	char	   *counts;
	char	   *plan;			/* NULL is every caller's */
	Route		route;
} PlanPolicy;

typedef struct RouteCost
{
	Route		route;
	int			cost;
} RouteCost;

/* One row of rate_limit_override */
typedef struct Override
{
	char	   *policy;
	TaskapiGcraLimit limit;
} Override;

static char *default_plan;

static TaskapiTableCache policy_cache = {.relname = "rate_limit_policy"};
static MemoryContext policy_context = NULL;
static List *plan_policies = NIL;	/* of PlanPolicy */

static TaskapiTableCache route_cache = {.relname = "rate_limit_route"};
static MemoryContext route_context = NULL;
static List *route_costs = NIL; /* of RouteCost */

static void load(TaskapiTableCache *cache, MemoryContext *context, List **list, void *(*read) (HeapTuple, TupleDesc));
static void *read_policy(HeapTuple tuple, TupleDesc desc);
static void *read_route(HeapTuple tuple, TupleDesc desc);
static char *get_text(HeapTuple tuple, TupleDesc desc, int column);
static bool fits(const Route *route, const char *method, const char *path);
static int	closeness(const Route *route);
static int	request_cost(const char *method, const char *path);
static const char *plan_of(const char *subject);
static List *overrides_of(const char *subject);
static const TaskapiGcraLimit *find_override(List *overrides, const char *policy);
static List *scan_subject(const char *relname, const char *index, const char *subject, void *(*read) (HeapTuple, TupleDesc));
static void *read_plan(HeapTuple tuple, TupleDesc desc);
static void *read_override(HeapTuple tuple, TupleDesc desc);

void
taskapi_rate_limit_plan_init(void)
{
	DefineCustomStringVariable("taskapi.default_plan",
							   "Sets the rate limit plan of callers without a plan of their own.",
							   "An empty value means no plan.",
							   &default_plan,
							   "",
							   PGC_SUSET, 0,
							   NULL, NULL, NULL);
}

void
taskapi_rate_limit_add_plan(TaskapiRateLimitCheck *check, const TaskapiRateLimitCaller *caller)
{
	const char *method = taskapi_request_method();
	const char *plan;
	const char *path;
	List	   *overrides;
	int			cost;
	ListCell   *lc;

	if (!taskapi_table_cache_valid(&policy_cache))
		load(&policy_cache, &policy_context, &plan_policies, read_policy);
	if (plan_policies == NIL || method == NULL)
		return;

	path = taskapi_decoded_path();
	plan = caller->subject ? plan_of(caller->subject) : NULL;
	overrides = caller->subject ? overrides_of(caller->subject) : NIL;
	cost = request_cost(method, path);

	/* The tables that were read may have let in that the policies changed: they are what they are now */
	if (!taskapi_table_cache_valid(&policy_cache))
		load(&policy_cache, &policy_context, &plan_policies, read_policy);
	foreach(lc, plan_policies)
	{
		PlanPolicy *policy = lfirst(lc);
		const char *subject = strcmp(policy->counts, "subject") == 0 ? caller->subject :
			strcmp(policy->counts, "api_key") == 0 ? caller->api_key : caller->address;

		if (subject != NULL && fits(&policy->route, method, path) &&
			(policy->plan == NULL || (plan != NULL && strcmp(plan, policy->plan) == 0)))
			taskapi_rate_limit_add(check, policy->name, subject, cost, find_override(overrides, policy->name));
	}
}

/*
 * Read a table into a list, which replaces the one that was read before.
 */
static void
load(TaskapiTableCache *cache, MemoryContext *context, List **list, void *(*read) (HeapTuple, TupleDesc))
{
	uint64		generation;
	Relation	rel = table_open(taskapi_relation_oid(cache->relname), AccessShareLock);
	Snapshot	snapshot;
	SysScanDesc scan;
	HeapTuple	tuple;
	MemoryContext fresh = AllocSetContextCreate(CurrentMemoryContext, "taskapi rate limit rules", ALLOCSET_SMALL_SIZES);
	MemoryContext oldcontext = MemoryContextSwitchTo(fresh);
	List	   *found = NIL;

	/* locking the table has brought in what was committed up to now */
	generation = taskapi_relation_generation();
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		void	   *entry = read(tuple, RelationGetDescr(rel));

		if (entry != NULL)
			found = lappend(found, entry);
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
	MemoryContextSwitchTo(oldcontext);

	MemoryContextSetParent(fresh, CacheMemoryContext);
	if (*context)
		MemoryContextDelete(*context);
	*context = fresh;
	*list = found;
	taskapi_table_cache_filled(cache, generation);
}

static void *
read_policy(HeapTuple tuple, TupleDesc desc)
{
	PlanPolicy *policy = palloc(sizeof(PlanPolicy));

	policy->counts = get_text(tuple, desc, POLICY_COUNTS);
	if (policy->counts == NULL)
		return NULL;
	policy->name = get_text(tuple, desc, POLICY_NAME);
	policy->plan = get_text(tuple, desc, POLICY_PLAN);
	policy->route.method = get_text(tuple, desc, POLICY_METHOD);
	policy->route.path = get_text(tuple, desc, POLICY_PATH);
	return policy;
}

static void *
read_route(HeapTuple tuple, TupleDesc desc)
{
	RouteCost  *cost = palloc(sizeof(RouteCost));
	bool		isnull;

	cost->route.path = get_text(tuple, desc, ROUTE_PATH);
	cost->route.method = get_text(tuple, desc, ROUTE_METHOD);
	if (strcmp(cost->route.method, "*") == 0)
		cost->route.method = NULL;
	cost->cost = DatumGetInt32(heap_getattr(tuple, ROUTE_COST, desc, &isnull));
	return cost;
}

static char *
get_text(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

/*
 * GET stands for HEAD too, which does the same.  A path that ends with * stands for all that begin like it.
 */
static bool
fits(const Route *route, const char *method, const char *path)
{
	int			len = route->path ? strlen(route->path) : 0;

	if (route->method != NULL && strcmp(route->method, strcmp(method, "HEAD") == 0 ? "GET" : method) != 0 &&
		strcmp(route->method, method) != 0)
		return false;
	if (route->path == NULL)
		return true;
	return route->path[len - 1] == '*' ? strncmp(route->path, path, len - 1) == 0 : strcmp(route->path, path) == 0;
}

/*
 * Of two routes that a request fits, the one with more of this says what it costs: the whole path before a longer
 * beginning of it, and a method before any.
 */
static int
closeness(const Route *route)
{
	int			len = strlen(route->path);

	return (route->path[len - 1] == '*' ? 2 * len : 1 << 20) + (route->method != NULL);
}

static int
request_cost(const char *method, const char *path)
{
	const RouteCost *best = NULL;
	ListCell   *lc;

	if (!taskapi_table_cache_valid(&route_cache))
		load(&route_cache, &route_context, &route_costs, read_route);
	foreach(lc, route_costs)
	{
		const RouteCost *cost = lfirst(lc);

		if (fits(&cost->route, method, path) && (best == NULL || closeness(&cost->route) > closeness(&best->route)))
			best = cost;
	}
	return best ? best->cost : 1;
}

static const char *
plan_of(const char *subject)
{
	List	   *rows = scan_subject("rate_limit_subject", "rate_limit_subject_pkey", subject, read_plan);
	const char *claim = rows == NIL ? taskapi_claim_text(taskapi_jwt_claims(), "plan") : NULL;

	if (rows != NIL)
		return linitial(rows);
	if (claim != NULL)
		return claim;
	return default_plan[0] != '\0' ? default_plan : NULL;
}

static List *
overrides_of(const char *subject)
{
	return scan_subject("rate_limit_override", "rate_limit_override_pkey", subject, read_override);
}

static const TaskapiGcraLimit *
find_override(List *overrides, const char *policy)
{
	ListCell   *lc;

	foreach(lc, overrides)
	{
		Override   *override = lfirst(lc);

		if (strcmp(override->policy, policy) == 0)
			return &override->limit;
	}
	return NULL;
}

/*
 * What is read of the rows of a subject, by an index that begins with it.
 */
static List *
scan_subject(const char *relname, const char *index, const char *subject, void *(*read) (HeapTuple, TupleDesc))
{
	Relation	rel = table_open(taskapi_relation_oid(relname), AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *found = NIL;

	ScanKeyEntryInitialize(&key, 0, SUBJECT_SUBJECT, BTEqualStrategyNumber, InvalidOid, C_COLLATION_OID, F_TEXTEQ,
						   CStringGetTextDatum(taskapi_canonical_subject(subject)));
	scan = systable_beginscan(rel, taskapi_relation_oid(index), true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		found = lappend(found, read(tuple, RelationGetDescr(rel)));
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

static void *
read_plan(HeapTuple tuple, TupleDesc desc)
{
	return get_text(tuple, desc, SUBJECT_PLAN);
}

static void *
read_override(HeapTuple tuple, TupleDesc desc)
{
	Override   *override = palloc(sizeof(Override));
	bool		isnull;
	int32		rate = DatumGetInt32(heap_getattr(tuple, OVERRIDE_RATE, desc, &isnull));
	Interval   *per = DatumGetIntervalP(heap_getattr(tuple, OVERRIDE_PER, desc, &isnull));
	int32		burst = DatumGetInt32(heap_getattr(tuple, OVERRIDE_BURST, desc, &isnull));

	override->policy = get_text(tuple, desc, OVERRIDE_POLICY);
	taskapi_ratelimit_limit(&override->limit, rate, per, isnull ? rate : burst);
	return override;
}
