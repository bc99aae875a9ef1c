/*-------------------------------------------------------------------------
 *
 * ratelimit_policy.c
 *	  Rate limits that have a name: table rate_limit_policy, several checked at
 *	  once, and the headers that tell the client.
 *
 * A check names subjects by policy.  It is one decision (ratelimit_store.h):
 * all are charged, or none where any denies.  A shadow policy is treated as
 * the rest, but its denial only counts: it is left uncharged, as it would be
 * were it enforced, and its verdict says allowed.  Clients are not told of it.
 *
 * The table is read as a whole into a cache of the backend's, without regard to
 * the caller's privileges, and again after it changed (table_cache.h).
 *
 * SQL: sql/install/50_ratelimit.sql
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/tuplestore.h"
#include "utils/typcache.h"

#include "base/args.h"
#include "base/compat.h"
#include "base/counters.h"
#include "base/own_objects.h"
#include "base/subject.h"
#include "base/table_cache.h"
#include "http/claims.h"
#include "http/client_address.h"
#include "http/layer.h"
#include "http/problem.h"
#include "http/response.h"
#include "ratelimit/ratelimit_denials.h"
#include "ratelimit/ratelimit_headers.h"
#include "ratelimit/ratelimit_policy.h"
#include "ratelimit/ratelimit_store.h"
#include "ratelimit/ratelimit_verdict.h"

PG_FUNCTION_INFO_V1(taskapi_check_rate_limits);
PG_FUNCTION_INFO_V1(taskapi_enforce_rate_limits_sql);
PG_FUNCTION_INFO_V1(taskapi_rate_limit_status);
PG_FUNCTION_INFO_V1(taskapi_rate_limit_headers);
PG_FUNCTION_INFO_V1(taskapi_reset_rate_limits);

/* As the table's CHECK has it */
#define MAX_POLICY_LEN 63

typedef struct Policy
{
	char		name[MAX_POLICY_LEN + 1];	/* hash key */
	TaskapiGcraLimit limit;
	bool		shadow;
} Policy;

/* One policy of a check, beside its TaskapiRateLimitItem */
typedef struct PolicySubject
{
	const Policy *policy;
	const char *subject;
	int			cost;
} PolicySubject;

/* What was asked, and what came out */
struct TaskapiRateLimitCheck
{
	int			cost;
	int			n;
	PolicySubject subject[TASKAPI_MAX_RATE_LIMIT_SUBJECTS];
	TaskapiRateLimitItem item[TASKAPI_MAX_RATE_LIMIT_SUBJECTS];
	int64		now;
	bool		allowed;
};

static HTAB *get_policies(void);
static const Policy *find_policy(const char *name);
static int	get_cost(FunctionCallInfo fcinfo);
static void add_subject(TaskapiRateLimitCheck *check, const Policy *found, const char *subject, int cost,
						const TaskapiGcraLimit *limit);
static TaskapiRateLimitCheck *subjects_to_check(FunctionCallInfo fcinfo, int cost, bool any_subject);
static void add_subjects(TaskapiRateLimitCheck *check, Jsonb *subjects);
static void require_own_subjects(const TaskapiRateLimitCheck *check);
static bool may_check_anyone(void);
static void run_check(TaskapiRateLimitCheck *check);
static void enforce(TaskapiRateLimitCheck *check);
static double policy_window(const Policy *policy);
static void return_verdicts(FunctionCallInfo fcinfo, const TaskapiRateLimitCheck *check);

static TaskapiTableCache policy_cache = {.relname = "rate_limit_policy"};
static HTAB *policies = NULL;
static MemoryContext policy_context = NULL;

/*
 * All policies, by name.  Valid until the next call of this function: nothing
 * may be kept over anything that can process invalidations and then come back
 * here.
 */
static HTAB *
get_policies(void)
{
	MemoryContext context;
	HASHCTL		ctl = {0};
	HTAB	   *result;
	uint64		generation;
	Relation	rel;
	Snapshot	snapshot;
	TableScanDesc scan;
	TupleTableSlot *slot;

	if (taskapi_table_cache_valid(&policy_cache))
		return policies;

	/* Locking the table brings in what has been committed up to now. */
	rel = table_open(taskapi_relation_oid(policy_cache.relname), AccessShareLock);
	generation = taskapi_relation_generation();

	/* Below the current context until it is complete, so that an error frees it. */
	context = AllocSetContextCreate(CurrentMemoryContext, "taskapi rate limit policies", ALLOCSET_SMALL_SIZES);
	ctl.keysize = sizeof(((Policy *) NULL)->name);
	ctl.entrysize = sizeof(Policy);
	ctl.hcxt = context;
	result = hash_create("taskapi rate limit policies", 16, &ctl, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);

	snapshot = RegisterSnapshot(GetLatestSnapshot());
	scan = taskapi_table_beginscan(rel, snapshot);
	slot = table_slot_create(rel, NULL);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		bool		null[5];
		Datum		value[5];
		char	   *name;
		TaskapiGcraLimit limit;
		Policy	   *policy;
		bool		found;

		for (int i = 0; i < 5; i++)
			value[i] = slot_getattr(slot, i + 1, &null[i]);
		name = TextDatumGetCString(value[0]);
		taskapi_ratelimit_limit(&limit, DatumGetInt32(value[1]), DatumGetIntervalP(value[2]),
								null[3] ? DatumGetInt32(value[1]) : DatumGetInt32(value[3]));
		policy = hash_search(result, name, HASH_ENTER, &found);
		policy->limit = limit;
		policy->shadow = DatumGetBool(value[4]);
		pfree(name);
	}
	ExecDropSingleTupleTableSlot(slot);
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);

	if (policy_context)
		MemoryContextDelete(policy_context);
	MemoryContextSetParent(context, CacheMemoryContext);
	policy_context = context;
	policies = result;
	taskapi_table_cache_filled(&policy_cache, generation);
	return policies;
}

static const Policy *
find_policy(const char *name)
{
	if (strlen(name) > MAX_POLICY_LEN)
		return NULL;
	return hash_search(get_policies(), name, HASH_FIND, NULL);
}

TaskapiRateLimitCheck *
taskapi_rate_limit_check(int cost)
{
	TaskapiRateLimitCheck *check = palloc0(sizeof(TaskapiRateLimitCheck));

	taskapi_ratelimit_check_cost(cost);
	check->cost = cost;
	return check;
}

void
taskapi_rate_limit_add_if_exists(TaskapiRateLimitCheck *check, const char *policy, const char *subject)
{
	if (subject != NULL)
		taskapi_rate_limit_add(check, policy, subject, check->cost, NULL);
}

void
taskapi_rate_limit_add(TaskapiRateLimitCheck *check, const char *policy, const char *subject, int cost,
					   const TaskapiGcraLimit *limit)
{
	const Policy *found = find_policy(policy);

	if (found != NULL)
		add_subject(check, found, subject, cost, limit);
}

void
taskapi_rate_limit_enforce(TaskapiRateLimitCheck *check)
{
	run_check(check);
	enforce(check);
}

static int
get_cost(FunctionCallInfo fcinfo)
{
	taskapi_require_arg(fcinfo, 1, "cost");
	taskapi_ratelimit_check_cost(PG_GETARG_INT32(1));
	return PG_GETARG_INT32(1);
}

/*
 * "limit": instead of the policy's; NULL is that.
 */
static void
add_subject(TaskapiRateLimitCheck *check, const Policy *found, const char *subject, int cost, const TaskapiGcraLimit *limit)
{
	char		key[MAX_POLICY_LEN + 1 + RATELIMIT_MAX_KEY_LEN];
	Policy	   *policy;
	TaskapiRateLimitItem *item;
	int			name_len;
	int			subject_len;

	if (check->n == TASKAPI_MAX_RATE_LIMIT_SUBJECTS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many rate limits in one check"),
				 errdetail("At most %d policies can be checked at once.", TASKAPI_MAX_RATE_LIMIT_SUBJECTS)));

	/* Before anything that may come back to get_policies() */
	policy = palloc(sizeof(Policy));
	*policy = *found;
	if (limit != NULL)
		policy->limit = *limit;

	subject = taskapi_canonical_subject(subject);
	subject_len = strlen(subject);
	taskapi_ratelimit_check_key("subject", subject_len);
	check->subject[check->n].policy = policy;
	check->subject[check->n].subject = subject;
	check->subject[check->n].cost = cost;

	item = &check->item[check->n];
	item->request.limit = policy->limit;
	gcra_request_init(&item->request, cost);
	item->shadow = policy->shadow;
	name_len = strlen(policy->name);
	memcpy(key, policy->name, name_len + 1);
	memcpy(key + name_len + 1, subject, subject_len);
	item->key = taskapi_ratelimit_key(RATELIMIT_POLICY, key, name_len + 1 + subject_len);
	check->n++;
}

/*
 * The check of argument 0.  A check that a NULL turned into none would admit
 * everything.
 */
static TaskapiRateLimitCheck *
subjects_to_check(FunctionCallInfo fcinfo, int cost, bool any_subject)
{
	TaskapiRateLimitCheck *check = taskapi_rate_limit_check(cost);

	taskapi_require_arg(fcinfo, 0, "subjects");
	add_subjects(check, PG_GETARG_JSONB_P(0));
	if (!any_subject)
		require_own_subjects(check);
	return check;
}

/*
 * Whoever may not charge any key by itself may look at and charge what counts
 * for him alone: his subject, API key, session and address.  Else one caller
 * uses up the limits of another.
 */
static void
require_own_subjects(const TaskapiRateLimitCheck *check)
{
	const char *own[4];
	Jsonb	   *claims;

	if (may_check_anyone())
		return;
	own[0] = taskapi_current_subject();
	own[1] = taskapi_client_address();
	claims = taskapi_jwt_claims();
	own[2] = taskapi_claim_text(claims, "api_key_id");
	own[3] = taskapi_claim_text(claims, "session_id");
	for (int i = 0; i < check->n; i++)
	{
		bool		is_own = false;

		for (int j = 0; j < lengthof(own); j++)
			is_own |= own[j] != NULL && strcmp(check->subject[i].subject, own[j]) == 0;
		if (!is_own)
			taskapi_problem(PROBLEM_FORBIDDEN, NIL,
							"Only roles with EXECUTE on taskapi.rate_limit() may check other subjects.",
							"The subject of rate limit policy \"%s\" is not the caller.",
							check->subject[i].policy->name);
	}
}

/* May the current user charge any key, that is, execute rate_limit()? */
static bool
may_check_anyone(void)
{
	static const Oid types[] = {TEXTOID, INT4OID, INTERVALOID, INT4OID, INT4OID};
	oidvector  *args = buildoidvector(types, lengthof(types));
	Oid			function = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum("rate_limit"),
										   PointerGetDatum(args), ObjectIdGetDatum(taskapi_schema_oid()));

	return OidIsValid(function) && taskapi_may_execute(function, GetUserId());
}

/* {"policy": "subject", ...}; a number is the text it is written as. */
static void
add_subjects(TaskapiRateLimitCheck *check, Jsonb *subjects)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	v;
	char	   *policy = NULL;

	if (!JB_ROOT_IS_OBJECT(subjects))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the subjects of rate limits must be a JSON object"),
				 errhint("It has a member for each policy, for example {\"per_user\": \"42\"}.")));

	it = JsonbIteratorInit(&subjects->root);
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			policy = pnstrdup(v.val.string.val, v.val.string.len);
		else if (token == WJB_VALUE)
		{
			char	   *subject = NULL;
			const Policy *found;

			if (v.type == jbvString)
				subject = pnstrdup(v.val.string.val, v.val.string.len);
			else if (v.type == jbvNumeric)
				subject = numeric_normalize(v.val.numeric);
			else
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("the subject of rate limit policy \"%s\" must be a string or a number", policy)));
			found = find_policy(policy);
			if (found == NULL)
				ereport(ERROR,
						(errcode(ERRCODE_UNDEFINED_OBJECT),
						 errmsg("rate limit policy \"%s\" does not exist", policy),
						 errhint("Policies are the rows of taskapi.rate_limit_policy.")));
			add_subject(check, found, subject, check->cost, NULL);
		}
	}
}

/* Decide, and count what was decided. */
static void
run_check(TaskapiRateLimitCheck *check)
{
	check->allowed = true;
	if (check->n == 0)
		return;
	check->allowed = taskapi_ratelimit_decide_all(check->item, check->n, &check->now);

	if (check->cost == 0)
		return;
	taskapi_count(check->allowed ? TASKAPI_COUNTER_RATE_LIMIT_ALLOWED : TASKAPI_COUNTER_RATE_LIMIT_DENIED, 1);
	for (int i = 0; i < check->n; i++)
	{
		const TaskapiRateLimitItem *item = &check->item[i];
		const PolicySubject *subject = &check->subject[i];

		if (item->verdict.allowed)
			continue;
		if (item->shadow)
			taskapi_count(TASKAPI_COUNTER_RATE_LIMIT_SHADOW_DENIED, 1);
		taskapi_denial_record(item->key.hash1, subject->policy->name, strlen(subject->policy->name),
							  subject->subject, strlen(subject->subject), check->now);
	}
}

/* Set the headers, or raise rate_limited with them. */
static void
enforce(TaskapiRateLimitCheck *check)
{
	TaskapiRateLimitHeaders headers;
	StringInfoData denied;
	StringInfoData hopeless;	/* those that can never admit this cost */
	List	   *list = NIL;
	int			cost = check->cost;

	taskapi_rate_limit_headers_init(&headers);
	initStringInfo(&denied);
	initStringInfo(&hopeless);
	for (int i = 0; i < check->n; i++)
	{
		const Policy *policy = check->subject[i].policy;
		const TaskapiGcraVerdict *verdict = &check->item[i].verdict;
		TaskapiRateLimitState state = {
			.name = policy->name, .quota = policy->limit.burst, .window = policy_window(policy),
			.remaining = verdict->remaining, .allowed = verdict->allowed, .can_fit = verdict->retry_after_ns >= 0,
			.retry_after = verdict->retry_after_ns / 1e9, .reset_after = verdict->reset_after_ns / 1e9
		};

		if (policy->shadow)
			continue;
		taskapi_rate_limit_headers_append(&headers, &state);
		if (!verdict->allowed)
		{
			appendStringInfo(&denied, "%s\"%s\"", denied.len > 0 ? ", " : "", policy->name);
			if (verdict->retry_after_ns < 0)
			{
				appendStringInfo(&hopeless, "%s\"%s\"", hopeless.len > 0 ? ", " : "", policy->name);
				cost = Max(cost, check->subject[i].cost);
			}
		}
	}
	if (headers.policy.len == 0)
		return;
	if (taskapi_layer_setting("response.headers") != NULL)
		taskapi_rate_limit_headers_merge(&headers, taskapi_response_header("RateLimit-Policy"),
										 taskapi_response_header("RateLimit"));

	if (check->allowed)
	{
		taskapi_set_response_headers((TaskapiHeader[]) {
			{"RateLimit-Policy", headers.policy.data}, {"RateLimit", headers.state.data}
		}, 2);
		return;
	}

	list = taskapi_headers_add(list, "RateLimit-Policy", headers.policy.data);
	list = taskapi_headers_add(list, "RateLimit", headers.state.data);
	if (hopeless.len > 0)
		taskapi_problem(PROBLEM_RATE_LIMITED, list, NULL,
						"A cost of %d is more than rate limit %s ever admits at once.", cost, hopeless.data);
	list = taskapi_headers_add(list, "Retry-After", psprintf(INT64_FORMAT, headers.retry_after));
	taskapi_problem(PROBLEM_RATE_LIMITED, list, NULL,
					"Rate limit %s is exhausted. Try again in " INT64_FORMAT " %s.",
					denied.data, headers.retry_after, headers.retry_after == 1 ? "second" : "seconds");
}

/* In seconds: the time in which a burst comes back */
static double
policy_window(const Policy *policy)
{
	return gcra_ceil(policy->limit.tolerance) / 1e9;
}

/* check_rate_limits(subjects jsonb, cost int) -> SETOF rate_limit_verdict */
Datum
taskapi_check_rate_limits(PG_FUNCTION_ARGS)
{
	TaskapiRateLimitCheck *check = subjects_to_check(fcinfo, get_cost(fcinfo), false);

	run_check(check);
	return_verdicts(fcinfo, check);
	return (Datum) 0;
}

/* enforce_rate_limits(subjects jsonb, cost int) -> void */
Datum
taskapi_enforce_rate_limits_sql(PG_FUNCTION_ARGS)
{
	TaskapiRateLimitCheck *check = subjects_to_check(fcinfo, get_cost(fcinfo), false);

	run_check(check);
	enforce(check);
	PG_RETURN_VOID();
}

/* rate_limit_status(subjects jsonb) -> SETOF rate_limit_verdict */
Datum
taskapi_rate_limit_status(PG_FUNCTION_ARGS)
{
	TaskapiRateLimitCheck *check = subjects_to_check(fcinfo, 0, false);

	run_check(check);
	return_verdicts(fcinfo, check);
	return (Datum) 0;
}

/* reset_rate_limits(subjects jsonb) -> void */
Datum
taskapi_reset_rate_limits(PG_FUNCTION_ARGS)
{
	TaskapiRateLimitCheck *check = subjects_to_check(fcinfo, 0, true);

	for (int i = 0; i < check->n; i++)
		taskapi_ratelimit_reset(check->item[i].key);
	PG_RETURN_VOID();
}

static void
return_verdicts(FunctionCallInfo fcinfo, const TaskapiRateLimitCheck *check)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < check->n; i++)
	{
		const Policy *policy = check->subject[i].policy;
		TaskapiGcraVerdict verdict = check->item[i].verdict;
		Datum		values[RATELIMIT_VERDICT_NATTS];
		bool		nulls[RATELIMIT_VERDICT_NATTS];

		if (policy->shadow)
		{
			verdict.allowed = true;
			verdict.retry_after_ns = 0;
		}
		taskapi_ratelimit_verdict_values(policy->name, policy->limit.burst, &verdict, values, nulls);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
}

/*
 * rate_limit_headers(verdicts rate_limit_verdict[]) -> jsonb
 *
 * {"RateLimit-Policy", "RateLimit", and where any denied "Retry-After"}.  The
 * window of a policy is looked up; a verdict without one is named "default".
 */
Datum
taskapi_rate_limit_headers(PG_FUNCTION_ARGS)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(0);
	TaskapiRateLimitHeaders headers;
	TypeCacheEntry *type = lookup_type_cache(ARR_ELEMTYPE(array), TYPECACHE_TUPDESC);
	Datum	   *elements;
	bool	   *element_nulls;
	int			n;

	taskapi_rate_limit_headers_init(&headers);
	deconstruct_array(array, type->type_id, type->typlen, type->typbyval, type->typalign,
					  &elements, &element_nulls, &n);
	for (int i = 0; i < n; i++)
	{
		HeapTupleHeader header;
		HeapTupleData tuple;
		TupleDesc	tupdesc;
		Datum		values[RATELIMIT_VERDICT_NATTS];
		bool		nulls[RATELIMIT_VERDICT_NATTS];
		char	   *name;
		const Policy *policy = NULL;
		TaskapiRateLimitState state;

		if (element_nulls[i])
			continue;
		header = DatumGetHeapTupleHeader(elements[i]);
		tupdesc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(header), HeapTupleHeaderGetTypMod(header));
		tuple.t_len = HeapTupleHeaderGetDatumLength(header);
		tuple.t_data = header;
		ItemPointerSetInvalid(&tuple.t_self);
		tuple.t_tableOid = InvalidOid;
		heap_deform_tuple(&tuple, tupdesc, values, nulls);
		ReleaseTupleDesc(tupdesc);

		if (nulls[0] || nulls[2] || nulls[3] || nulls[5])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("a rate limit verdict must not have null in allowed, limit, remaining or reset_after")));
		name = nulls[1] ? "default" : TextDatumGetCString(values[1]);
		if (!nulls[1])
			policy = find_policy(name);
		if (policy && policy->shadow)
			continue;
		state.name = name;
		state.quota = DatumGetInt64(values[2]);
		state.window = policy ? policy_window(policy) : -1;
		state.remaining = DatumGetInt64(values[3]);
		state.allowed = DatumGetBool(values[0]);
		state.can_fit = !nulls[4];
		state.retry_after = nulls[4] ? 0 : DatumGetFloat8(values[4]);
		state.reset_after = DatumGetFloat8(values[5]);
		taskapi_rate_limit_headers_append(&headers, &state);
	}
	PG_RETURN_JSONB_P(taskapi_rate_limit_headers_jsonb(&headers));
}
