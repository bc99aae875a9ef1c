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
 * Headers follow draft-ietf-httpapi-ratelimit-headers-10.  The quota q of a
 * policy is its burst, and its window w the time in which a whole burst comes
 * back, so that q / w is the sustained rate, and the remaining r never exceeds
 * q.  The t of a policy is when its whole quota is back, or when to retry
 * where it denied, so that Retry-After is never earlier.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

#include "base/args.h"
#include "base/compat.h"
#include "base/counters.h"
#include "base/own_objects.h"
#include "base/table_cache.h"
#include "http/grammar.h"
#include "http/problem.h"
#include "ratelimit/ratelimit_policy.h"
#include "ratelimit/ratelimit_denials.h"
#include "ratelimit/ratelimit_store.h"
#include "ratelimit/ratelimit_verdict.h"
#include "http/response.h"

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
	GcraLimit	limit;
	bool		shadow;
} Policy;

/* One policy of a check, beside its RateLimitItem */
typedef struct PolicySubject
{
	const Policy *policy;
	const char *subject;
} PolicySubject;

/* A check: what was asked, and what came out */
typedef struct PolicyCheck
{
	int			n;
	PolicySubject subject[TASKAPI_MAX_RATE_LIMIT_SUBJECTS];
	RateLimitItem item[TASKAPI_MAX_RATE_LIMIT_SUBJECTS];
	int64		now;
	bool		allowed;
} PolicyCheck;

/* The three response headers while they are made */
typedef struct HeaderBuilder
{
	StringInfoData policy;
	StringInfoData state;
	int64		retry_after;	/* whole seconds; -1 is none */
} HeaderBuilder;

static HTAB *get_policies(void);
static const Policy *find_policy(const char *name);
static Jsonb *get_subjects(FunctionCallInfo fcinfo);
static int	get_cost(FunctionCallInfo fcinfo);
static void add_subject(PolicyCheck *check, const char *policy, const char *subject, int cost);
static void add_subjects(PolicyCheck *check, Jsonb *subjects, int cost);
static void run_check(PolicyCheck *check, int cost);
static void enforce(PolicyCheck *check, int cost);
static void return_verdicts(FunctionCallInfo fcinfo, const PolicyCheck *check);
static void headers_init(HeaderBuilder *headers);
static void headers_append(HeaderBuilder *headers, const char *name, const Policy *policy, int64 quota,
						   int64 remaining, bool allowed, bool can_fit, double retry_after, double reset_after);
static Datum headers_to_jsonb(const HeaderBuilder *headers);

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
	scan = table_beginscan(rel, snapshot, 0, NULL);
	slot = table_slot_create(rel, NULL);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		bool		null[5];
		Datum		value[5];
		char	   *name;
		GcraLimit	limit;
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

bool
taskapi_rate_limit_policy_exists(const char *policy)
{
	return find_policy(policy) != NULL;
}

/* Arguments 0 and 1.  A check that a NULL turned into none would admit everything. */
static Jsonb *
get_subjects(FunctionCallInfo fcinfo)
{
	taskapi_require_arg(fcinfo, 0, "subjects");
	return PG_GETARG_JSONB_P(0);
}

static int
get_cost(FunctionCallInfo fcinfo)
{
	taskapi_require_arg(fcinfo, 1, "cost");
	taskapi_ratelimit_check_cost(PG_GETARG_INT32(1));
	return PG_GETARG_INT32(1);
}

static void
add_subject(PolicyCheck *check, const char *policy_name, const char *subject, int cost)
{
	char		key[MAX_POLICY_LEN + 1 + RATELIMIT_MAX_KEY_LEN];
	const Policy *found;
	Policy	   *policy;
	RateLimitItem *item;
	int			name_len;
	int			subject_len = strlen(subject);

	if (check->n == TASKAPI_MAX_RATE_LIMIT_SUBJECTS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many rate limits in one check"),
				 errdetail("At most %d policies can be checked at once.", TASKAPI_MAX_RATE_LIMIT_SUBJECTS)));
	found = find_policy(policy_name);
	if (found == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("rate limit policy \"%s\" does not exist", policy_name),
				 errhint("Policies are the rows of taskapi.rate_limit_policy.")));
	taskapi_ratelimit_check_key("subject", subject_len);

	policy = palloc(sizeof(Policy));
	*policy = *found;
	check->subject[check->n].policy = policy;
	check->subject[check->n].subject = subject;

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

/* {"policy": "subject", ...}; a number is the text it is written as. */
static void
add_subjects(PolicyCheck *check, Jsonb *subjects, int cost)
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

			if (v.type == jbvString)
				subject = pnstrdup(v.val.string.val, v.val.string.len);
			else if (v.type == jbvNumeric)
				subject = numeric_normalize(v.val.numeric);
			else
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("the subject of rate limit policy \"%s\" must be a string or a number", policy)));
			add_subject(check, policy, subject, cost);
		}
	}
}

/* Decide, and count what was decided. */
static void
run_check(PolicyCheck *check, int cost)
{
	check->allowed = true;
	if (check->n == 0)
		return;
	check->allowed = taskapi_ratelimit_decide_all(check->item, check->n, &check->now);

	if (cost == 0)
		return;
	taskapi_count(check->allowed ? TASKAPI_COUNTER_RATE_LIMIT_ALLOWED : TASKAPI_COUNTER_RATE_LIMIT_DENIED, 1);
	for (int i = 0; i < check->n; i++)
	{
		const RateLimitItem *item = &check->item[i];
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
enforce(PolicyCheck *check, int cost)
{
	HeaderBuilder headers;
	StringInfoData denied;
	StringInfoData hopeless;	/* those that can never admit this cost */
	List	   *list = NIL;

	headers_init(&headers);
	initStringInfo(&denied);
	initStringInfo(&hopeless);
	for (int i = 0; i < check->n; i++)
	{
		const Policy *policy = check->subject[i].policy;
		const GcraVerdict *verdict = &check->item[i].verdict;

		if (policy->shadow)
			continue;
		headers_append(&headers, policy->name, policy, policy->limit.burst, verdict->remaining,
					   verdict->allowed, verdict->retry_after_ns >= 0,
					   verdict->retry_after_ns / 1e9, verdict->reset_after_ns / 1e9);
		if (!verdict->allowed)
		{
			appendStringInfo(&denied, "%s\"%s\"", denied.len > 0 ? ", " : "", policy->name);
			if (verdict->retry_after_ns < 0)
				appendStringInfo(&hopeless, "%s\"%s\"", hopeless.len > 0 ? ", " : "", policy->name);
		}
	}
	if (headers.policy.len == 0)
		return;

	if (check->allowed)
	{
		taskapi_set_response_header("RateLimit-Policy", headers.policy.data);
		taskapi_set_response_header("RateLimit", headers.state.data);
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

void
taskapi_enforce_rate_limits(const TaskapiRateLimitSubject *subjects, int n, int cost)
{
	PolicyCheck *check = palloc0(sizeof(PolicyCheck));

	taskapi_ratelimit_check_cost(cost);
	for (int i = 0; i < n; i++)
		add_subject(check, subjects[i].policy, subjects[i].subject, cost);
	run_check(check, cost);
	enforce(check, cost);
}

/* check_rate_limits(subjects jsonb, cost int) -> SETOF rate_limit_verdict */
Datum
taskapi_check_rate_limits(PG_FUNCTION_ARGS)
{
	PolicyCheck *check = palloc0(sizeof(PolicyCheck));
	int			cost = get_cost(fcinfo);

	add_subjects(check, get_subjects(fcinfo), cost);
	run_check(check, cost);
	return_verdicts(fcinfo, check);
	return (Datum) 0;
}

/* enforce_rate_limits(subjects jsonb, cost int) -> void */
Datum
taskapi_enforce_rate_limits_sql(PG_FUNCTION_ARGS)
{
	PolicyCheck *check = palloc0(sizeof(PolicyCheck));
	int			cost = get_cost(fcinfo);

	add_subjects(check, get_subjects(fcinfo), cost);
	run_check(check, cost);
	enforce(check, cost);
	PG_RETURN_VOID();
}

/* rate_limit_status(subjects jsonb) -> SETOF rate_limit_verdict */
Datum
taskapi_rate_limit_status(PG_FUNCTION_ARGS)
{
	PolicyCheck *check = palloc0(sizeof(PolicyCheck));

	add_subjects(check, get_subjects(fcinfo), 0);
	run_check(check, 0);
	return_verdicts(fcinfo, check);
	return (Datum) 0;
}

/* reset_rate_limits(subjects jsonb) -> void */
Datum
taskapi_reset_rate_limits(PG_FUNCTION_ARGS)
{
	PolicyCheck *check = palloc0(sizeof(PolicyCheck));

	add_subjects(check, get_subjects(fcinfo), 0);
	for (int i = 0; i < check->n; i++)
		taskapi_ratelimit_reset(check->item[i].key);
	PG_RETURN_VOID();
}

static void
return_verdicts(FunctionCallInfo fcinfo, const PolicyCheck *check)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < check->n; i++)
	{
		const Policy *policy = check->subject[i].policy;
		GcraVerdict verdict = check->item[i].verdict;
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
	HeaderBuilder headers;
	TypeCacheEntry *type = lookup_type_cache(ARR_ELEMTYPE(array), TYPECACHE_TUPDESC);
	Datum	   *elements;
	bool	   *element_nulls;
	int			n;

	headers_init(&headers);
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
		headers_append(&headers, name, policy, DatumGetInt64(values[2]), DatumGetInt64(values[3]),
					   DatumGetBool(values[0]), !nulls[4],
					   nulls[4] ? 0 : DatumGetFloat8(values[4]), DatumGetFloat8(values[5]));
	}
	return headers_to_jsonb(&headers);
}

static void
headers_init(HeaderBuilder *headers)
{
	initStringInfo(&headers->policy);
	initStringInfo(&headers->state);
	headers->retry_after = -1;
}

/* Whole seconds, rounded up, within what a Structured Field integer holds */
static int64
ceil_seconds(double seconds)
{
	if (!(seconds > 0))
		return 0;
	return (int64) Min(ceil(seconds), 999999999999999.0);
}

static void
headers_append(HeaderBuilder *headers, const char *name, const Policy *policy, int64 quota,
			   int64 remaining, bool allowed, bool can_fit, double retry_after, double reset_after)
{
	const char *separator = headers->policy.len > 0 ? ", " : "";

	appendStringInfoString(&headers->policy, separator);
	taskapi_sf_append_string(&headers->policy, name);
	appendStringInfo(&headers->policy, ";q=" INT64_FORMAT, quota);
	if (policy)
		appendStringInfo(&headers->policy, ";w=" INT64_FORMAT,
						 ceil_seconds(gcra_ceil(policy->limit.tolerance) / 1e9));

	appendStringInfoString(&headers->state, separator);
	taskapi_sf_append_string(&headers->state, name);
	appendStringInfo(&headers->state, ";r=" INT64_FORMAT ";t=" INT64_FORMAT, Max(remaining, 0),
					 ceil_seconds(!allowed && can_fit ? retry_after : reset_after));

	if (!allowed && can_fit)
		headers->retry_after = Max(headers->retry_after, ceil_seconds(retry_after));
}

static Datum
headers_to_jsonb(const HeaderBuilder *headers)
{
	JsonbParseState *state = NULL;
	JsonbValue *result;
	const char *names[3] = {"RateLimit-Policy", "RateLimit", "Retry-After"};
	const char *values[3] = {headers->policy.data, headers->state.data, NULL};

	if (headers->retry_after >= 0)
		values[2] = psprintf(INT64_FORMAT, headers->retry_after);

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < lengthof(names) && headers->policy.len > 0; i++)
	{
		JsonbValue	v;

		if (values[i] == NULL)
			continue;
		v.type = jbvString;
		v.val.string.val = unconstify(char *, names[i]);
		v.val.string.len = strlen(names[i]);
		(void) pushJsonbValue(&state, WJB_KEY, &v);
		v.val.string.val = unconstify(char *, values[i]);
		v.val.string.len = strlen(values[i]);
		(void) pushJsonbValue(&state, WJB_VALUE, &v);
	}
	result = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	PG_RETURN_JSONB_P(JsonbValueToJsonb(result));
}
