/*-------------------------------------------------------------------------
 *
 * ratelimit.c
 *	  rate_limit(), rate_limit_allowed(), rate_limit_peek(), rate_limit_refund(),
 *	  rate_limit_reset().
 *
 * Each takes its limit with the call: nothing is declared before, and a key is
 * whatever the caller says it is.  All arguments are checked before anything
 * is charged.  None of this is transactional, needs a transaction id, or
 * writes WAL.
 *
 * The time goes by CLOCK_REALTIME, in nanoseconds: it is the only clock that
 * has the same meaning after a restart.
 *
 * What one call works out, the next one uses: the checked limit is kept with
 * the arguments that it came from, and the result is a copy of a verdict's row
 * made once, with its figures filled in.  Both are the backend's, not the call
 * site's: a statement that checks one key lives too short to learn anything.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/tupmacs.h"
#include "common/int.h"
#include "funcapi.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "base/args.h"
#include "base/compat.h"
#include "base/counters.h"
#include "ratelimit/ratelimit_denials.h"
#include "ratelimit/ratelimit_store.h"
#include "ratelimit/ratelimit_verdict.h"
#include "ratelimit/ratelimit.h"

/* Seconds since 1970, in 2149: with the longest limit added, nanoseconds still fit 63 bits */
#define MAX_TEST_CLOCK (180.0 * 365 * SECS_PER_DAY)

PG_FUNCTION_INFO_V1(taskapi_rate_limit);
PG_FUNCTION_INFO_V1(taskapi_rate_limit_allowed);
PG_FUNCTION_INFO_V1(taskapi_rate_limit_peek);
PG_FUNCTION_INFO_V1(taskapi_rate_limit_refund);
PG_FUNCTION_INFO_V1(taskapi_rate_limit_reset);
PG_FUNCTION_INFO_V1(taskapi_rate_limit_table);
PG_FUNCTION_INFO_V1(taskapi_save_rate_limits);
PG_FUNCTION_INFO_V1(taskapi_check_rate_limit_policy);

/* The arguments of the last call, and what follows from them */
typedef struct RateLimitCall
{
	bool		valid;
	int32		rate;
	int32		burst;
	int32		cost;
	Interval	per;
	TaskapiGcraRequest request;
} RateLimitCall;

/* A verdict's row without its figures, and where they go */
typedef struct VerdictForm
{
	HeapTupleHeader row;
	Size		len;
	int			offset[RATELIMIT_VERDICT_NATTS];
} VerdictForm;

/* For retry_after with a value, and for retry_after NULL */
typedef struct VerdictForms
{
	uint64		identifier;		/* of the row type's descriptor, 0 for none */
	VerdictForm form[2];
} VerdictForms;

static const TaskapiGcraRequest *charge_key(FunctionCallInfo fcinfo, TaskapiGcraVerdict *verdict);
static const TaskapiGcraRequest *get_request(int32 rate, const Interval *per, int32 burst, int32 cost);
static text *get_key(FunctionCallInfo fcinfo);
static void require_args(FunctionCallInfo fcinfo, const char *const *names, int n);
static Datum verdict_datum(FunctionCallInfo fcinfo, const TaskapiGcraRequest *request, const TaskapiGcraVerdict *verdict);
static void make_verdict_forms(VerdictForms *forms, const TypeCacheEntry *type);

void
taskapi_ratelimit_init(void)
{
	DefineCustomIntVariable("taskapi.rate_limit_max_keys",
							"Sets the least number of keys that the shared table of rate limits holds.",
							"Takes effect when the server restarts.",
							&taskapi_rate_limit_max_keys,
							100000, 1, 10000000,
							PGC_SIGHUP, 0,
							NULL, NULL, NULL);
	DefineCustomRealVariable("taskapi.test_clock",
							 "Sets a fixed clock for the rate limits, for tests.",
							 "Seconds since 1970; -1 is the real clock.",
							 &taskapi_rate_limit_test_clock,
							 -1, -1, MAX_TEST_CLOCK,
							 PGC_SUSET, GUC_NOT_IN_SAMPLE,
							 NULL, NULL, NULL);
}

static void
require_args(FunctionCallInfo fcinfo, const char *const *names, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (names[i])
			taskapi_require_arg(fcinfo, i, names[i]);
	}
}

/* Argument 0, checked; without a copy where it is stored inline. */
static text *
get_key(FunctionCallInfo fcinfo)
{
	text	   *key = PG_GETARG_TEXT_PP(0);

	taskapi_ratelimit_check_key("key", VARSIZE_ANY_EXHDR(key));
	return key;
}

/* Valid until the next call */
static const TaskapiGcraRequest *
get_request(int32 rate, const Interval *per, int32 burst, int32 cost)
{
	static RateLimitCall call = {false};

	if (!call.valid || call.rate != rate || call.burst != burst || call.cost != cost ||
		call.per.time != per->time || call.per.day != per->day || call.per.month != per->month)
	{
		call.valid = false;
		taskapi_ratelimit_check_cost(cost);
		taskapi_ratelimit_limit(&call.request.limit, rate, per, burst);
		gcra_request_init(&call.request, cost);
		call.rate = rate;
		call.burst = burst;
		call.cost = cost;
		call.per = *per;
		call.valid = true;
	}
	return &call.request;
}

/* rate_limit(key text, rate int, per interval, burst int, cost int) -> rate_limit_verdict */
Datum
taskapi_rate_limit(PG_FUNCTION_ARGS)
{
	TaskapiGcraVerdict verdict;
	const TaskapiGcraRequest *request = charge_key(fcinfo, &verdict);

	return verdict_datum(fcinfo, request, &verdict);
}

/* rate_limit_allowed(key text, rate int, per interval, burst int, cost int) -> bool, as rate_limit() */
Datum
taskapi_rate_limit_allowed(PG_FUNCTION_ARGS)
{
	TaskapiGcraVerdict verdict;

	(void) charge_key(fcinfo, &verdict);
	PG_RETURN_BOOL(verdict.allowed);
}

static const TaskapiGcraRequest *
charge_key(FunctionCallInfo fcinfo, TaskapiGcraVerdict *verdict)
{
	static const char *const names[] = {"key", "rate", "per", NULL, "cost"};
	const TaskapiGcraRequest *request;
	TaskapiRateLimitKey key;
	text	   *key_text;
	int64		now;

	require_args(fcinfo, names, lengthof(names));
	request = get_request(PG_GETARG_INT32(1), PG_GETARG_INTERVAL_P(2),
						  PG_ARGISNULL(3) ? PG_GETARG_INT32(1) : PG_GETARG_INT32(3),
						  PG_GETARG_INT32(4));
	key_text = get_key(fcinfo);

	key = taskapi_ratelimit_key(RATELIMIT_KEY, VARDATA_ANY(key_text), VARSIZE_ANY_EXHDR(key_text));
	now = taskapi_ratelimit_decide(key, request, verdict);
	if (request->cost > 0)
	{
		taskapi_count(verdict->allowed ? TASKAPI_COUNTER_RATE_LIMIT_ALLOWED : TASKAPI_COUNTER_RATE_LIMIT_DENIED, 1);
		if (!verdict->allowed)
			taskapi_denial_record(key.hash1, NULL, 0, VARDATA_ANY(key_text), VARSIZE_ANY_EXHDR(key_text), now);
	}
	return request;
}

/* rate_limit_peek(key text, rate int, per interval, burst int) -> rate_limit_verdict */
Datum
taskapi_rate_limit_peek(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"key", "rate", "per", NULL};
	const TaskapiGcraRequest *request;
	TaskapiGcraVerdict verdict;
	text	   *key;

	require_args(fcinfo, names, lengthof(names));
	request = get_request(PG_GETARG_INT32(1), PG_GETARG_INTERVAL_P(2),
						  PG_ARGISNULL(3) ? PG_GETARG_INT32(1) : PG_GETARG_INT32(3), 0);
	key = get_key(fcinfo);

	(void) taskapi_ratelimit_decide(taskapi_ratelimit_key(RATELIMIT_KEY, VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key)),
									request, &verdict);
	return verdict_datum(fcinfo, request, &verdict);
}

/* rate_limit_refund(key text, rate int, per interval, cost int) -> void */
Datum
taskapi_rate_limit_refund(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"key", "rate", "per", "cost"};
	TaskapiGcraRequest request;
	text	   *key;
	int32		cost;

	require_args(fcinfo, names, lengthof(names));
	cost = PG_GETARG_INT32(3);
	taskapi_ratelimit_check_cost(cost);
	/* the burst does not matter here, as long as the cost fits in it */
	taskapi_ratelimit_limit(&request.limit, PG_GETARG_INT32(1), PG_GETARG_INTERVAL_P(2), Max(cost, 1));
	gcra_request_init(&request, cost);
	key = get_key(fcinfo);

	taskapi_ratelimit_refund(taskapi_ratelimit_key(RATELIMIT_KEY, VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key)), &request);
	PG_RETURN_VOID();
}

/* rate_limit_reset(key text) -> void */
Datum
taskapi_rate_limit_reset(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"key"};
	text	   *key;

	require_args(fcinfo, names, lengthof(names));
	key = get_key(fcinfo);

	taskapi_ratelimit_reset(taskapi_ratelimit_key(RATELIMIT_KEY, VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key)));
	PG_RETURN_VOID();
}

/*
 * check_rate_limit_policy(rate int, per interval, burst int) -> boolean
 *
 * The CHECK of table rate_limit_policy: true, or the error that the limit would
 * raise when it is used.
 */
Datum
taskapi_check_rate_limit_policy(PG_FUNCTION_ARGS)
{
	TaskapiGcraLimit limit;

	if (!PG_ARGISNULL(0) && !PG_ARGISNULL(1))
		taskapi_ratelimit_limit(&limit, PG_GETARG_INT32(0), PG_GETARG_INTERVAL_P(1),
								PG_ARGISNULL(2) ? PG_GETARG_INT32(0) : PG_GETARG_INT32(2));
	PG_RETURN_BOOL(true);
}

/* save_rate_limits() -> how many keys were saved */
Datum
taskapi_save_rate_limits(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64((int64) taskapi_ratelimit_save());
}

/* rate_limit_table() -> (keys bigint, capacity bigint, bytes bigint) */
Datum
taskapi_rate_limit_table(PG_FUNCTION_ARGS)
{
	TaskapiRateLimitTable *table = taskapi_ratelimit_table();
	TupleDesc	tupdesc;
	Datum		values[3];
	bool		nulls[3] = {false};

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = Int64GetDatum(taskapi_ratelimit_live_keys());
	values[1] = Int64GetDatum((int64) table->nbuckets * RATELIMIT_BUCKET_ENTRIES);
	values[2] = Int64GetDatum((int64) table->nbuckets * RATELIMIT_BUCKET_SIZE);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls));
}

/* A verdict of no policy */
static Datum
verdict_datum(FunctionCallInfo fcinfo, const TaskapiGcraRequest *request, const TaskapiGcraVerdict *verdict)
{
	static TypeCacheEntry *type = NULL;
	static VerdictForms forms = {0};
	Oid			type_id = fcinfo->flinfo->fn_expr ? exprType(fcinfo->flinfo->fn_expr) : get_func_rettype(fcinfo->flinfo->fn_oid);
	const VerdictForm *form;
	char	   *row;
	int64		limit = request->limit.burst;
	double		retry_after = verdict->retry_after_ns / 1e9;
	double		reset_after = verdict->reset_after_ns / 1e9;

	/*
	 * Entries of the type cache stay where they are.  Their descriptor and its
	 * identifier go at an invalidation, and the next identifier is a new one.
	 */
	if (unlikely(type == NULL || type->type_id != type_id || type->tupDesc_identifier != forms.identifier || forms.identifier == 0))
	{
		type = lookup_type_cache(type_id, TYPECACHE_TUPDESC);
		make_verdict_forms(&forms, type);
	}

	form = &forms.form[verdict->retry_after_ns < 0];
	row = palloc(form->len);
	memcpy(row, form->row, form->len);
	memcpy(row + form->offset[0], &verdict->allowed, sizeof(bool));
	memcpy(row + form->offset[2], &limit, sizeof(int64));
	memcpy(row + form->offset[3], &verdict->remaining, sizeof(int64));
	if (verdict->retry_after_ns >= 0)
		memcpy(row + form->offset[4], &retry_after, sizeof(double));
	memcpy(row + form->offset[5], &reset_after, sizeof(double));
	return PointerGetDatum(row);
}

static void
make_verdict_forms(VerdictForms *forms, const TypeCacheEntry *type)
{
	TupleDesc	tupdesc = type->tupDesc;

	if (tupdesc->natts != RATELIMIT_VERDICT_NATTS)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("type %s has changed", format_type_be(type->type_id))));
	forms->identifier = 0;
	for (int i = 0; i < lengthof(forms->form); i++)
	{
		VerdictForm *form = &forms->form[i];
		TaskapiGcraVerdict verdict = {.retry_after_ns = -i};
		Datum		values[RATELIMIT_VERDICT_NATTS];
		bool		nulls[RATELIMIT_VERDICT_NATTS];
		HeapTuple	tuple;
		Size		offset;

		taskapi_ratelimit_verdict_values(NULL, 0, &verdict, values, nulls);
		tuple = heap_form_tuple(tupdesc, values, nulls);
		offset = tuple->t_data->t_hoff;
		for (int j = 0; j < RATELIMIT_VERDICT_NATTS; j++)
		{
			Form_pg_attribute att = TupleDescAttr(tupdesc, j);

			if (nulls[j])
				continue;
			offset = att_align_nominal(offset, att->attalign);
			form->offset[j] = offset;
			offset += att->attlen;
		}
		if (form->row)
			pfree(form->row);
		form->row = NULL;
		form->row = MemoryContextAlloc(TopMemoryContext, tuple->t_len);
		form->len = tuple->t_len;
		memcpy(form->row, tuple->t_data, tuple->t_len);
		heap_freetuple(tuple);
	}
	forms->identifier = type->tupDesc_identifier;
}
