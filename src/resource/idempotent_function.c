/*-------------------------------------------------------------------------
 *
 * idempotent_function.c
 *	  Functions that are called once for each Idempotency-Key
 *	  (idempotent_function.h).
 *
 * A function with a SET clause is called through the server's
 * fmgr_security_definer(), which tells a hook before it calls the function itself.
 * There the function's address is replaced, for this one call, by one that looks
 * into the ledger first.
 *
 * What the request was is known by the arguments.  Those that a default fills in
 * which differs with every call do not count.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/client_query.h"
#include "base/compat.h"
#include "base/counters.h"
#include "http/header.h"
#include "http/layer.h"
#include "http/problem.h"
#include "http/read_after.h"
#include "http/request.h"
#include "http/response.h"
#include "idempotency/idempotency_claim.h"
#include "resource/function_result.h"
#include "resource/idempotent_function.h"
#include "resource/request_digest.h"
#include "resource/resource_answer.h"
#include "resource/resource_client.h"
#include "resource/resource_idempotency.h"

#define SETTING "taskapi.idempotent"

static bool idempotent = false; /* the setting: a function that declares itself is being called */
static fmgr_hook_type next_fmgr_hook = NULL;

/* The call that is about to be made, and the function that it is of. */
static struct
{
	FmgrInfo   *flinfo;
	PGFunction	function;
} pending;

/* A call that has a key is being made: what it calls is its own business */
static bool calling = false;

/* The last one, by the query that made it: a key is for one call */
static uint64 last_query = 0;
static Oid	last_function = InvalidOid;

static void before_call(FmgrHookEventType event, FmgrInfo *flinfo, Datum *private);
static bool wants_key(void);
static bool is_declared(Oid function);
static Datum call_or_replay(PG_FUNCTION_ARGS);
static bool is_requested(FunctionCallInfo fcinfo);
static Datum call_with_key(FunctionCallInfo fcinfo, const char *header);
static Datum make_call(FunctionCallInfo fcinfo, TaskapiFunctionResult *result);
static void digest_call(FunctionCallInfo fcinfo, uint8 digest[TASKAPI_FINGERPRINT_LEN]);
static void digest_arguments(FunctionCallInfo fcinfo, TaskapiRequestDigest *digest);
static List *default_arguments(HeapTuple function);
static void digest_new_row(TriggerData *trigger, TaskapiRequestDigest *digest);
static Jsonb *headers_since(List *before);
static void repeat_answer(const TaskapiLedgerRow *stored);

void
taskapi_idempotent_function_init(void)
{
	DefineCustomBoolVariable(SETTING,
							 "Calls a function once for each Idempotency-Key.",
							 "It belongs into the SET clause of a function, and has no effect elsewhere.",
							 &idempotent, false, PGC_USERSET, GUC_NOT_IN_SAMPLE, NULL, NULL, NULL);
	next_fmgr_hook = fmgr_hook;
	fmgr_hook = before_call;
}

/* ---------- which call ---------- */

static void
before_call(FmgrHookEventType event, FmgrInfo *flinfo, Datum *private)
{
	if (next_fmgr_hook)
		next_fmgr_hook(event, flinfo, private);

	if (event == FHET_START && idempotent && !calling && wants_key() && is_declared(flinfo->fn_oid))
	{
		pending.flinfo = flinfo;
		pending.function = flinfo->fn_addr;
		flinfo->fn_addr = call_or_replay;
	}
	else if (event == FHET_ABORT && flinfo->fn_addr == call_or_replay && pending.flinfo == flinfo)
		flinfo->fn_addr = pending.function;
}

static bool
wants_key(void)
{
	const char *method = taskapi_request_method();

	if (method == NULL || strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 || strcmp(method, "OPTIONS") == 0)
		return false;
	return taskapi_require_idempotency_key || taskapi_request_header("Idempotency-Key") != NULL;
}

/*
 * The setting may come from a function around it, or from the session.
 */
static bool
is_declared(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	bool		isnull = true;
	bool		found = false;
	Datum		config;

	if (!HeapTupleIsValid(tuple))
		return false;
	config = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proconfig, &isnull);
	if (!isnull)
	{
		Datum	   *settings;
		int			n;

		deconstruct_array(DatumGetArrayTypeP(config), TEXTOID, -1, false, TYPALIGN_INT, &settings, NULL, &n);
		for (int i = 0; i < n; i++)
			found |= strncmp(TextDatumGetCString(settings[i]), SETTING "=", strlen(SETTING "=")) == 0;
	}
	ReleaseSysCache(tuple);
	return found;
}

static Datum
call_or_replay(PG_FUNCTION_ARGS)
{
	const char *header;

	fcinfo->flinfo->fn_addr = pending.function;
	pending.flinfo = NULL;
	if (!is_requested(fcinfo))
		return fcinfo->flinfo->fn_addr(fcinfo);
	if (taskapi_running_query_number() != 0 && last_query == taskapi_running_query_number() &&
		last_function == fcinfo->flinfo->fn_oid)
		taskapi_problem(PROBLEM_IDEMPOTENCY_KEY_INVALID, NIL, "Send one request for each call.",
						"An idempotency key covers one call of a function, and the request makes several.");
	last_query = taskapi_running_query_number();
	last_function = fcinfo->flinfo->fn_oid;

	header = taskapi_request_header("Idempotency-Key");
	return call_with_key(fcinfo, header ? pstrdup(header) : NULL);
}

/*
 * Does the request ask for this call?  The path names the function, or the statement does nothing but to call it; a
 * trigger function is that of the view that the request writes to.
 */
static bool
is_requested(FunctionCallInfo fcinfo)
{
	const char *path = taskapi_request_path();
	const char *segment;
	TaskapiQueryOwner owner;
	QueryDesc  *query = taskapi_running_query(&owner);

	if (CALLED_AS_TRIGGER(fcinfo))
	{
		TriggerData *trigger = (TriggerData *) fcinfo->context;

		return TRIGGER_FIRED_INSTEAD(trigger->tg_event) && TRIGGER_FIRED_BY_INSERT(trigger->tg_event) &&
			taskapi_resource_is_clients(RelationGetRelid(trigger->tg_relation), false);
	}
	segment = path == NULL ? NULL : strrchr(path, '/');
	if (segment != NULL && strcmp(segment + 1, get_func_name(fcinfo->flinfo->fn_oid)) == 0)
		return true;
	if (path != NULL && strncmp(path, "/rpc/", 5) == 0)
		return false;
	return owner == TASKAPI_QUERY_CLIENT && query->plannedstmt->commandType == CMD_SELECT &&
		!query->plannedstmt->hasModifyingCTE;
}

/* ---------- the call ---------- */

static Datum
call_with_key(FunctionCallInfo fcinfo, const char *header)
{
	Oid			function = fcinfo->flinfo->fn_oid;
	char	   *scope = taskapi_idempotency_request_scope(get_namespace_name(get_func_namespace(function)),
														  get_func_name(function));
	TaskapiIdempotencyKey *key = taskapi_idempotency_key(scope, header);
	uint8		digest[TASKAPI_FINGERPRINT_LEN];
	TaskapiLedgerRow *stored;
	TaskapiFunctionResult result;
	List	   *before;
	const char *status;
	Datum		value;

	digest_call(fcinfo, digest);
	taskapi_function_result_begin(&result, fcinfo);
	stored = taskapi_idempotency_claim(key, true, digest, NULL);
	if (stored != NULL)
	{
		if (stored->body == NULL || !taskapi_function_result_load(&result, stored->body))
			taskapi_idempotency_reused();
		repeat_answer(stored);
		return taskapi_function_result_give(&result, fcinfo);
	}

	before = taskapi_response_headers();
	value = make_call(fcinfo, &result);
	status = taskapi_layer_setting("response.status");
	taskapi_idempotency_store(key, digest, status ? pg_strtoint32(status) : 200,
							  (struct varlena *) headers_since(before), taskapi_function_result_body(&result));
	taskapi_read_after_announce();
	return value;
}

static Datum
make_call(FunctionCallInfo fcinfo, TaskapiFunctionResult *result)
{
	Datum		value;

	calling = true;
	PG_TRY();
	{
		value = taskapi_function_result_call(result, fcinfo);
	}
	PG_FINALLY();
	{
		calling = false;
	}
	PG_END_TRY();
	return value;
}

/* ---------- what the request was ---------- */

static void
digest_call(FunctionCallInfo fcinfo, uint8 result[TASKAPI_FINGERPRINT_LEN])
{
	TaskapiRequestDigest digest;

	taskapi_digest_begin(&digest);
	if (CALLED_AS_TRIGGER(fcinfo))
		digest_new_row((TriggerData *) fcinfo->context, &digest);
	else
		digest_arguments(fcinfo, &digest);
	taskapi_digest_end(&digest, result);
}

static void
digest_arguments(FunctionCallInfo fcinfo, TaskapiRequestDigest *digest)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(fcinfo->flinfo->fn_oid));
	Oid		   *types;
	char	  **names;
	char	   *modes;
	int			nall;
	List	   *defaults;
	int			n = 0;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", fcinfo->flinfo->fn_oid);
	nall = get_func_arg_info(tuple, &types, &names, &modes);
	defaults = default_arguments(tuple);
	appendStringInfoChar(&digest->buf, 'F');
	for (int i = 0; i < nall && n < fcinfo->nargs; i++)
	{
		int			from_end;
		TaskapiValueIO io;

		if (modes != NULL && (modes[i] == PROARGMODE_OUT || modes[i] == PROARGMODE_TABLE))
			continue;
		from_end = fcinfo->nargs - n;
		if (from_end > list_length(defaults) ||
			!contain_mutable_functions(list_nth(defaults, list_length(defaults) - from_end)))
		{
			taskapi_value_io(&io, get_fn_expr_argtype(fcinfo->flinfo, n));
			taskapi_digest_name(digest, names != NULL && names[i] != NULL ? names[i] : "");
			taskapi_digest_value(digest, &io, fcinfo->args[n].value, fcinfo->args[n].isnull);
		}
		n++;
	}
	ReleaseSysCache(tuple);
}

/*
 * The defaults of the last input arguments.
 */
static List *
default_arguments(HeapTuple function)
{
	bool		isnull;
	Datum		defaults = SysCacheGetAttr(PROCOID, function, Anum_pg_proc_proargdefaults, &isnull);

	return isnull ? NIL : castNode(List, stringToNode(TextDatumGetCString(defaults)));
}

/*
 * All that no changing default can have filled in.
 */
static void
digest_new_row(TriggerData *trigger, TaskapiRequestDigest *digest)
{
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);

	appendStringInfoChar(&digest->buf, 'T');
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		Node	   *filler = build_column_default(trigger->tg_relation, att->attnum);
		TaskapiValueIO io;
		Datum		value;
		bool		isnull;

		if (att->attisdropped || (filler && contain_mutable_functions(filler)))
			continue;
		value = heap_getattr(trigger->tg_trigtuple, i + 1, desc, &isnull);
		taskapi_value_io(&io, att->atttypid);
		taskapi_digest_name(digest, NameStr(att->attname));
		taskapi_digest_value(digest, &io, value, isnull);
	}
}

/* ---------- status and headers ---------- */

/*
 * The headers that were set meanwhile, as an object; NULL for none.
 */
static Jsonb *
headers_since(List *before)
{
	TaskapiJsonbState state = {0};
	bool		any = false;
	ListCell   *lc;

	taskapi_push_jsonb(&state, WJB_BEGIN_OBJECT, NULL);
	foreach(lc, taskapi_response_headers())
	{
		TaskapiHeader *header = lfirst(lc);
		bool		known = pg_strcasecmp(header->name, TASKAPI_READ_AFTER_HEADER) == 0;
		JsonbValue	v;
		ListCell   *lb;

		foreach(lb, before)
		{
			TaskapiHeader *old = lfirst(lb);

			known |= strcmp(old->name, header->name) == 0 && strcmp(old->value, header->value) == 0;
		}
		if (known)
			continue;
		any = true;
		v.type = jbvString;
		v.val.string.val = header->name;
		v.val.string.len = strlen(header->name);
		taskapi_push_jsonb(&state, WJB_KEY, &v);
		v.val.string.val = header->value;
		v.val.string.len = strlen(header->value);
		taskapi_push_jsonb(&state, WJB_VALUE, &v);
	}
	taskapi_push_jsonb(&state, WJB_END_OBJECT, NULL);
	return any ? JsonbValueToJsonb(state.result) : NULL;
}

static void
repeat_answer(const TaskapiLedgerRow *stored)
{
	ListCell   *lc;

	if (stored->headers != NULL)
	{
		foreach(lc, taskapi_headers_from_jsonb((Jsonb *) stored->headers, "headers"))
		{
			TaskapiHeader *header = lfirst(lc);

			taskapi_set_response_header(header->name, header->value);
		}
	}
	if (stored->status != 200)
		taskapi_set_response_status(stored->status);
	taskapi_idempotency_replayed(stored);
}
