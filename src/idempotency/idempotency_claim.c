/*-------------------------------------------------------------------------
 *
 * idempotency_claim.c
 *	  Keys claimed and completed within one transaction.
 *
 * States of a key, as seen by one transaction:
 *
 *		absent	-- claim -->  claimed  -- store -->  stored
 *
 * "claimed" is an entry in this backend's memory and the key's lock, "stored"
 * that and the ledger row.  Each transition belongs to the subtransaction that
 * made it: when that rolls back, the lock, the row and the entry's state go
 * together.  At the end of the transaction the entries are forgotten; a key that
 * is still "claimed" then leaves nothing.
 *
 * claim takes the lock without waiting, then looks for the row.  Where the lock
 * is held by somebody else, it looks for the row first: it may be complete, and
 * the other one another replay.  A replay gives the lock back at once.  So
 * requests with a completed key never queue.
 *
 * A transaction with a claimed key cannot be prepared: what is to follow the
 * claim would have to come from a session that knows nothing of it.  With stored
 * keys it can; the prepared transaction keeps their locks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "common/hashfn.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "base/args.h"
#include "base/compat.h"
#include "base/counters.h"
#include "base/own_objects.h"
#include "idempotency/idempotency_claim.h"
#include "http/key_notice.h"
#include "http/layer.h"
#include "http/problem.h"
#include "http/read_after.h"
#include "http/response.h"
#include "http/standby.h"

/* The id of a key as hash key; see TaskapiIdempotencyKey. */
typedef struct ClaimId
{
	const char *bytes;
	int			len;
} ClaimId;

/*
 * A key that this transaction has claimed.  Elements move when the table grows.
 */
typedef struct Claim
{
	ClaimId		id;
	char		status;			/* simplehash's */
	bool		has_ttl;
	bool		has_fingerprint;
	SubTransactionId claimed_in;
	SubTransactionId stored_in; /* invalid: not stored */
	TimestampTz claimed_at;
	Interval	ttl;
	uint8		fingerprint[TASKAPI_FINGERPRINT_LEN];
} Claim;

#define SH_PREFIX claims
#define SH_ELEMENT_TYPE Claim
#define SH_KEY_TYPE ClaimId
#define SH_KEY id
#define SH_HASH_KEY(tb, key) hash_bytes((const unsigned char *) (key).bytes, (key).len)
#define SH_EQUAL(tb, a, b) ((a).len == (b).len && memcmp((a).bytes, (b).bytes, (a).len) == 0)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

int			taskapi_idempotency_ttl = 24 * 60 * 60;

/* In TopTransactionContext; NULL where this transaction has claimed nothing. */
static claims_hash *claims = NULL;

static void xact_callback(XactEvent event, void *arg);
static void subxact_callback(SubXactEvent event, SubTransactionId subid, SubTransactionId parent, void *arg);
static Claim *find_claim(const TaskapiIdempotencyKey *key);
static void add_claim(const TaskapiIdempotencyKey *key, const uint8 *fingerprint, const Interval *ttl,
					  TimestampTz now);

void
taskapi_idempotency_init(void)
{
	DefineCustomIntVariable("taskapi.idempotency_ttl",
							"Sets how long the stored response of an idempotency key is kept.",
							"After that the key counts as new.",
							&taskapi_idempotency_ttl,
							24 * 60 * 60, 1, 366 * 24 * 60 * 60,
							PGC_USERSET, GUC_UNIT_S,
							NULL, NULL, NULL);
	DefineCustomIntVariable("taskapi.idempotency_wait",
							"Sets how long a request waits for another one with the same idempotency key.",
							"After that it is refused as idempotency_key_in_progress; 0 does not wait.",
							&taskapi_idempotency_wait,
							2000, 0, 60 * 60 * 1000,
							PGC_USERSET, GUC_UNIT_MS,
							NULL, NULL, NULL);
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}

/* ---------- this transaction's claims ---------- */

static void
xact_callback(XactEvent event, void *arg)
{
	if (claims == NULL)
		return;

	switch (event)
	{
		case XACT_EVENT_PRE_PREPARE:
			{
				claims_iterator it;
				Claim	   *claim;

				claims_start_iterate(claims, &it);
				while ((claim = claims_iterate(claims, &it)) != NULL)
				{
					if (claim->stored_in == InvalidSubTransactionId)
						ereport(ERROR,
								(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
								 errmsg("cannot PREPARE a transaction that has begun an idempotency key and not completed it"),
								 errhint("Call taskapi.idempotency_complete() first.")));
				}
				break;
			}
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			claims = NULL;
			break;
		default:
			break;
	}
}

static void
subxact_callback(SubXactEvent event, SubTransactionId subid, SubTransactionId parent, void *arg)
{
	claims_iterator it;
	Claim	   *claim;

	if (claims == NULL || (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB))
		return;

	claims_start_iterate(claims, &it);
	while ((claim = claims_iterate(claims, &it)) != NULL)
	{
		if (event == SUBXACT_EVENT_COMMIT_SUB)
		{
			if (claim->claimed_in == subid)
				claim->claimed_in = parent;
			if (claim->stored_in == subid)
				claim->stored_in = parent;
		}
		else if (claim->claimed_in == subid)
			claims_delete_item(claims, claim);
		else if (claim->stored_in == subid)
			claim->stored_in = InvalidSubTransactionId;
	}
}

static Claim *
find_claim(const TaskapiIdempotencyKey *key)
{
	ClaimId		id = {key->id, key->idlen};

	return claims ? claims_lookup(claims, id) : NULL;
}

static void
add_claim(const TaskapiIdempotencyKey *key, const uint8 *fingerprint, const Interval *ttl, TimestampTz now)
{
	ClaimId		id;
	Claim	   *claim;
	bool		found;

	if (claims == NULL)
		claims = claims_create(TopTransactionContext, 4, NULL);

	id.bytes = memcpy(MemoryContextAlloc(TopTransactionContext, key->idlen), key->id, key->idlen);
	id.len = key->idlen;
	claim = claims_insert(claims, id, &found);

	/* It is there already where its row, stored by this transaction, has expired since. */
	claim->claimed_in = GetCurrentSubTransactionId();
	claim->stored_in = InvalidSubTransactionId;
	claim->claimed_at = now;
	claim->has_ttl = ttl != NULL;
	if (ttl)
		claim->ttl = *ttl;
	claim->has_fingerprint = fingerprint != NULL;
	if (fingerprint)
		memcpy(claim->fingerprint, fingerprint, TASKAPI_FINGERPRINT_LEN);
}

bool
taskapi_idempotency_claimed(const TaskapiIdempotencyKey *key)
{
	Claim	   *claim = find_claim(key);

	return claim && claim->stored_in == InvalidSubTransactionId;
}

/* ---------- claim and store ---------- */

TaskapiLedgerRow *
taskapi_idempotency_claim(const TaskapiIdempotencyKey *key, bool check, const uint8 *fingerprint,
						  const Interval *ttl)
{
	TaskapiLedgerRow *row;
	bool		locked;
	TimestampTz now;

	if (taskapi_idempotency_claimed(key))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("idempotency key \"%s\" was already begun in this transaction", key->key)));

	row = taskapi_idempotency_look(key, &locked, &now);
	if (row == NULL)
	{
		add_claim(key, fingerprint, ttl, now);
		return NULL;
	}

	if (locked)
		taskapi_idempotency_unlock(key);
	if (check && !taskapi_fingerprint_matches(row, fingerprint))
		taskapi_idempotency_reused();
	if (row->status == 0)
		taskapi_idempotency_in_progress(row->lease_expires_at == DT_NOBEGIN ? 0 : row->lease_expires_at - now);
	if (check)
		taskapi_count(TASKAPI_COUNTER_IDEMPOTENCY_REPLAYS, 1);
	return row;
}

TaskapiLedgerRow *
taskapi_idempotency_look(const TaskapiIdempotencyKey *key, bool *locked, TimestampTz *now)
{
	TaskapiLedgerRow *row;

	taskapi_require_primary(TASKAPI_KEYED_REQUEST);
	taskapi_count(TASKAPI_COUNTER_IDEMPOTENCY_BEGINS, 1);
	taskapi_key_honoured();
	*locked = taskapi_idempotency_lock(key, true);
	if (!*locked)
	{
		/* The other one may be replaying a complete row as we are about to. */
		row = taskapi_ledger_find(key);
		*now = GetCurrentTimestamp();
		if (row && row->status != 0 && !taskapi_ledger_row_expired(row, *now))
			return row;
		taskapi_count(TASKAPI_COUNTER_IDEMPOTENCY_WAITS, 1);
		*locked = taskapi_idempotency_lock(key, false);
	}

	row = taskapi_ledger_find(key);
	*now = GetCurrentTimestamp();
	if (row && taskapi_ledger_row_expired(row, *now))
	{
		taskapi_ledger_delete(key, row);
		row = NULL;
	}
	return row;
}

void
taskapi_idempotency_replayed(const TaskapiLedgerRow *row)
{
	TaskapiHeader headers[2] = {{"Idempotency-Replayed", "true"}, {TASKAPI_READ_AFTER_HEADER, NULL}};

	if (!taskapi_in_request())
		return;
	headers[1].value = taskapi_read_after_of(row->xmin);
	taskapi_set_response_headers(headers, headers[1].value ? 2 : 1);
}

bool
taskapi_fingerprint_matches(const TaskapiLedgerRow *row, const uint8 *fingerprint)
{
	if (row->fingerprint == NULL || fingerprint == NULL)
		return row->fingerprint == NULL && fingerprint == NULL;
	return VARSIZE_ANY_EXHDR(row->fingerprint) == TASKAPI_FINGERPRINT_LEN &&
		memcmp(VARDATA_ANY(row->fingerprint), fingerprint, TASKAPI_FINGERPRINT_LEN) == 0;
}

struct varlena *
taskapi_fingerprint_datum(const uint8 *fingerprint)
{
	bytea	   *result;

	if (fingerprint == NULL)
		return NULL;
	result = palloc(VARHDRSZ + TASKAPI_FINGERPRINT_LEN);
	SET_VARSIZE(result, VARHDRSZ + TASKAPI_FINGERPRINT_LEN);
	memcpy(VARDATA(result), fingerprint, TASKAPI_FINGERPRINT_LEN);
	return result;
}

void
taskapi_idempotency_reused(void)
{
	taskapi_count(TASKAPI_COUNTER_IDEMPOTENCY_REUSED, 1);
	taskapi_problem(PROBLEM_IDEMPOTENCY_KEY_REUSED, NIL, "Use a new key for a new request.",
					"The key was first used with a request that differs from this one.");
}

void
taskapi_idempotency_store(const TaskapiIdempotencyKey *key, const uint8 *fingerprint, int status,
						  struct varlena *headers, struct varlena *body)
{
	Claim	   *claim = find_claim(key);
	TaskapiLedgerRow row = {0};
	TimestampTz now = GetCurrentTimestamp();

	if (claim == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("idempotency key \"%s\" has not been begun in this transaction", key->key),
				 errhint("Call taskapi.idempotency_begin() with the same key and scope first.")));
	if (claim->stored_in != InvalidSubTransactionId)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("idempotency key \"%s\" was already completed in this transaction", key->key)));

	if (fingerprint == NULL && claim->has_fingerprint)
		fingerprint = claim->fingerprint;

	row.created_at = claim->claimed_at;
	row.completed_at = now;
	if (claim->has_ttl)
		row.expires_at = taskapi_idempotency_deadline(now, &claim->ttl, "ttl");
	else
		row.expires_at = now + taskapi_idempotency_ttl * USECS_PER_SEC;
	row.status = status;
	row.headers = headers;
	row.body = body;
	row.fingerprint = taskapi_fingerprint_datum(fingerprint);
	taskapi_ledger_insert(key, &row);
	claim->stored_in = GetCurrentSubTransactionId();
}

void
taskapi_idempotency_check_response(int status, Jsonb *headers)
{
	if (status < 200 || status > 599)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("status %d is not the status of a final HTTP response", status)));
	if (headers)
		(void) taskapi_headers_from_jsonb(headers, "headers");
}

/* ---------- the SQL functions ---------- */

/*
 * idempotency_begin(key text, request jsonb, scope text, ttl interval) -> idempotency_entry
 */
PG_FUNCTION_INFO_V1(taskapi_idempotency_begin);
Datum
taskapi_idempotency_begin(PG_FUNCTION_ARGS)
{
	TaskapiIdempotencyKey *key;
	TaskapiLedgerRow *row;
	Interval   *ttl = PG_ARGISNULL(3) ? NULL : PG_GETARG_INTERVAL_P(3);
	uint8		fingerprint[TASKAPI_FINGERPRINT_LEN];
	Oid			type;
	TupleDesc	desc;
	HeapTuple	result;
	Datum		values[4] = {0};
	bool		nulls[4] = {false, true, true, true};

	taskapi_require_primary(TASKAPI_KEYED_REQUEST);
	PreventCommandIfReadOnly("taskapi.idempotency_begin()");
	PreventCommandIfParallelMode("taskapi.idempotency_begin()");

	key = taskapi_idempotency_key(taskapi_arg_cstring(fcinfo, 2), taskapi_arg_cstring(fcinfo, 0));
	if (ttl)
		(void) taskapi_idempotency_deadline(GetCurrentTimestamp(), ttl, "ttl");
	if (!PG_ARGISNULL(1))
		taskapi_fingerprint_jsonb(PG_GETARG_JSONB_P(1), fingerprint);

	row = taskapi_idempotency_claim(key, true, PG_ARGISNULL(1) ? NULL : fingerprint, ttl);
	if (row == NULL)
		values[0] = CStringGetTextDatum("new");
	else
	{
		values[0] = CStringGetTextDatum("replay");
		values[1] = Int32GetDatum(row->status);
		nulls[1] = false;
		values[2] = PointerGetDatum(row->headers);
		nulls[2] = row->headers == NULL;
		values[3] = PointerGetDatum(row->body);
		nulls[3] = row->body == NULL;
		taskapi_idempotency_replayed(row);
	}

	/* get_call_result_type() would copy the descriptor on each call */
	type = get_fn_expr_rettype(fcinfo->flinfo);
	desc = lookup_rowtype_tupdesc(OidIsValid(type) ? type : taskapi_type_oid("idempotency_entry"), -1);
	result = heap_form_tuple(desc, values, nulls);
	ReleaseTupleDesc(desc);
	PG_RETURN_DATUM(HeapTupleGetDatum(result));
}

/*
 * idempotency_complete(key text, status int, body json, headers jsonb, scope text) -> void
 */
PG_FUNCTION_INFO_V1(taskapi_idempotency_complete);
Datum
taskapi_idempotency_complete(PG_FUNCTION_ARGS)
{
	TaskapiIdempotencyKey *key;
	Jsonb	   *headers = PG_ARGISNULL(3) ? NULL : PG_GETARG_JSONB_P(3);

	PreventCommandIfReadOnly("taskapi.idempotency_complete()");
	PreventCommandIfParallelMode("taskapi.idempotency_complete()");
	taskapi_require_arg(fcinfo, 1, "status");

	taskapi_idempotency_check_response(PG_GETARG_INT32(1), headers);
	key = taskapi_idempotency_key(taskapi_arg_cstring(fcinfo, 4), taskapi_arg_cstring(fcinfo, 0));
	taskapi_idempotency_store(key, NULL, PG_GETARG_INT32(1), (struct varlena *) headers,
							  taskapi_arg_varlena(fcinfo, 2));
	taskapi_read_after_announce();
	PG_RETURN_VOID();
}
