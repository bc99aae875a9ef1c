/*-------------------------------------------------------------------------
 *
 * idempotency_lease.c
 *	  Leases: idempotent work that spans transactions.
 *
 * Work with effects outside this database cannot share one commit with the
 * ledger row, so the row is committed first, without a status, and says who is
 * at work (the fencing token), until when (lease_expires_at) and how far the
 * work got (recovery_point, state):
 *
 *		absent	  -- acquire -->	held by token t
 *		held t	  -- checkpoint -->	held t, extended
 *				  -- finish -->		complete
 *				  -- release -->	absent, or free with its recovery point
 *		free, or run out
 *				  -- acquire -->	held by token t' > t, same recovery point
 *
 * Tokens come from one sequence, under the key's lock, so those of one key grow
 * with every change of owner, also across a purge of the row.  Whoever gives a
 * token that is not the row's is refused: it was taken over (a zombie), or never
 * an owner.  An owner whose lease ran out is still the owner as long as nobody
 * took over; there is nobody to harm then.
 *
 * A row in progress outlives its ttl while the lease is live, and for good once it
 * has a recovery point: what was done outside this database must not be done again
 * because nobody went on in time.  idempotency_abandoned() finds such work.
 * acquire and finish set expires_at anew; checkpoint leaves it, since it is
 * indexed, which keeps the row's update a heap-only one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "commands/sequence.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "base/args.h"
#include "base/compat.h"
#include "base/counters.h"
#include "base/own_objects.h"
#include "idempotency/idempotency_claim.h"
#include "http/layer.h"
#include "http/problem.h"
#include "http/standby.h"

#define SEQUENCE "idempotency_fencing_token"

static int64 next_token(void);
static TimestampTz ledger_deadline(TimestampTz now, const Interval *ttl);
static TaskapiIdempotencyKey *key_argument(FunctionCallInfo fcinfo, int key_argno, int scope_argno);
static TaskapiLedgerRow *owned_row(const TaskapiIdempotencyKey *key, int64 token, TimestampTz *now);
static int64 token_argument(FunctionCallInfo fcinfo, int argno);
static void update_owned(const TaskapiIdempotencyKey *key, const TaskapiLedgerRow *row);
pg_noreturn static void lease_lost(const char *details);

/* ---------- owners ---------- */

static int64
next_token(void)
{
	return nextval_internal(taskapi_relation_oid(SEQUENCE), false);
}

static TimestampTz
ledger_deadline(TimestampTz now, const Interval *ttl)
{
	return ttl ? taskapi_idempotency_deadline(now, ttl, "ttl") :
		now + taskapi_idempotency_ttl * USECS_PER_SEC;
}

/*
 * Take the key's lock and return its row, provided that the lease on it is the token's.
 */
static TaskapiLedgerRow *
owned_row(const TaskapiIdempotencyKey *key, int64 token, TimestampTz *now)
{
	TaskapiLedgerRow *row;

	taskapi_idempotency_lock(key, false);
	row = taskapi_ledger_find(key);
	*now = GetCurrentTimestamp();

	if (row == NULL || row->fencing_token == 0 || taskapi_ledger_row_expired(row, *now))
		lease_lost("There is no lease on this key, or it expired together with the key.");
	if (row->fencing_token > token)
		lease_lost("Another owner has taken the lease over.");
	if (row->fencing_token < token)
		lease_lost("The fencing token was not issued for the lease on this key.");
	if (row->status != 0)
		lease_lost("The work under this lease has been finished already.");
	if (row->lease_expires_at == DT_NOBEGIN)
		lease_lost("The lease has been released already.");
	return row;
}

static void
update_owned(const TaskapiIdempotencyKey *key, const TaskapiLedgerRow *row)
{
	if (!taskapi_ledger_update(key, row))
		lease_lost("The lease expired together with the key.");
}

static void
lease_lost(const char *details)
{
	taskapi_problem(PROBLEM_IDEMPOTENCY_LEASE_LOST, NIL, NULL, "%s", details);
}

/* ---------- the SQL functions ---------- */

static TaskapiIdempotencyKey *
key_argument(FunctionCallInfo fcinfo, int key_argno, int scope_argno)
{
	return taskapi_idempotency_key(taskapi_arg_cstring(fcinfo, scope_argno), taskapi_arg_cstring(fcinfo, key_argno));
}

static int64
token_argument(FunctionCallInfo fcinfo, int argno)
{
	taskapi_require_arg(fcinfo, argno, "fencing_token");
	return PG_GETARG_INT64(argno);
}

/* The stored response of a complete row; what another owner still works on, or another request asked, is refused. */
static Datum
replay_row(TupleDesc desc, const TaskapiLedgerRow *row, const uint8 *fingerprint, TimestampTz now)
{
	Datum		values[7] = {0};
	bool		nulls[7] = {false, true, true, true, true, true, true};

	if (!taskapi_fingerprint_matches(row, fingerprint))
		taskapi_idempotency_reused();
	if (row->status == 0)
		taskapi_idempotency_in_progress(row->lease_expires_at - now);

	taskapi_count(TASKAPI_COUNTER_IDEMPOTENCY_REPLAYS, 1);
	values[0] = CStringGetTextDatum("replay");
	values[4] = Int32GetDatum(row->status);
	nulls[4] = false;
	values[5] = PointerGetDatum(row->headers);
	nulls[5] = row->headers == NULL;
	values[6] = PointerGetDatum(row->body);
	nulls[6] = row->body == NULL;
	taskapi_idempotency_replayed(row);
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

/* The row of a key that is new (former is NULL), or that a lapsed lease left behind, for its new owner. */
static void
take_over(TaskapiLedgerRow *row, const TaskapiLedgerRow *former, const uint8 *fingerprint, Interval *lease,
		  Interval *ttl, TimestampTz now)
{
	/* What was done in the name of the key was done for one request, so only that one goes on. */
	if (former && !taskapi_fingerprint_matches(former, fingerprint))
		taskapi_idempotency_reused();

	if (former)
		*row = *former;
	else
	{
		row->created_at = now;
		row->fingerprint = taskapi_fingerprint_datum(fingerprint);
	}
	row->fencing_token = next_token();
	if (former && row->fencing_token <= former->fencing_token)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("fencing tokens were set back"),
				 errdetail("Sequence \"%s.%s\" gives " INT64_FORMAT " where " INT64_FORMAT " has been given before.",
						   TASKAPI_SCHEMA, SEQUENCE, row->fencing_token, former->fencing_token)));
	row->lease = lease;
	row->lease_expires_at = taskapi_idempotency_deadline(now, lease, "lease");
	row->expires_at = ledger_deadline(now, ttl);
}

/*
 * idempotency_acquire(key text, request jsonb, lease interval, scope text, ttl interval) -> idempotency_lease
 */
PG_FUNCTION_INFO_V1(taskapi_idempotency_acquire);
Datum
taskapi_idempotency_acquire(PG_FUNCTION_ARGS)
{
	TaskapiIdempotencyKey *key;
	TaskapiLedgerRow *row;
	TaskapiLedgerRow new_row = {0};
	Interval   *lease;
	Interval   *ttl = PG_ARGISNULL(4) ? NULL : PG_GETARG_INTERVAL_P(4);
	Interval	default_ttl = {.time = taskapi_idempotency_ttl * USECS_PER_SEC};
	uint8		digest[TASKAPI_FINGERPRINT_LEN];
	uint8	   *fingerprint = NULL;
	bool		locked;
	TimestampTz now = GetCurrentTimestamp();
	TupleDesc	desc;
	Datum		values[7] = {0};
	bool		nulls[7] = {false, true, true, true, true, true, true};

	taskapi_require_primary(TASKAPI_KEYED_REQUEST);
	PreventCommandIfReadOnly("taskapi.idempotency_acquire()");
	PreventCommandIfParallelMode("taskapi.idempotency_acquire()");
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	taskapi_require_arg(fcinfo, 2, "lease");
	lease = PG_GETARG_INTERVAL_P(2);
	(void) taskapi_idempotency_deadline(now, lease, "lease");
	(void) ledger_deadline(now, ttl);
	key = key_argument(fcinfo, 0, 3);
	if (!PG_ARGISNULL(1))
	{
		taskapi_fingerprint_jsonb(PG_GETARG_JSONB_P(1), digest);
		fingerprint = digest;
	}
	if (taskapi_idempotency_claimed(key))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("idempotency key \"%s\" was already begun in this transaction", key->key)));

	row = taskapi_idempotency_look(key, &locked, &now);
	if (row && (row->status != 0 || row->lease_expires_at > now))
	{
		if (locked)
			taskapi_idempotency_unlock(key);
		PG_RETURN_DATUM(replay_row(desc, row, fingerprint, now));
	}

	take_over(&new_row, row, fingerprint, lease, ttl, now);
	new_row.ttl = ttl ? ttl : &default_ttl;

	/* A purge does not touch a row that lapsed before its ttl is over, or has a recovery point; another is absent to us as well. */
	if (row == NULL || !taskapi_ledger_update(key, &new_row))
		taskapi_ledger_insert(key, &new_row);

	values[0] = CStringGetTextDatum("acquired");
	values[1] = Int64GetDatum(new_row.fencing_token);
	nulls[1] = false;
	values[2] = PointerGetDatum(new_row.recovery_point);
	nulls[2] = new_row.recovery_point == NULL;
	values[3] = PointerGetDatum(new_row.state);
	nulls[3] = new_row.state == NULL;
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/*
 * idempotency_checkpoint(key text, fencing_token bigint, recovery_point text, state jsonb, scope text, lease interval)
 * -> void
 *
 * A NULL recovery point or state leaves the one that is there; a NULL lease extends by the length that it was acquired
 * with.
 */
PG_FUNCTION_INFO_V1(taskapi_idempotency_checkpoint);
Datum
taskapi_idempotency_checkpoint(PG_FUNCTION_ARGS)
{
	TaskapiIdempotencyKey *key;
	TaskapiLedgerRow *row;
	Interval   *lease = PG_ARGISNULL(5) ? NULL : PG_GETARG_INTERVAL_P(5);
	int64		token;
	TimestampTz now = GetCurrentTimestamp();

	PreventCommandIfReadOnly("taskapi.idempotency_checkpoint()");
	PreventCommandIfParallelMode("taskapi.idempotency_checkpoint()");
	token = token_argument(fcinfo, 1);
	if (lease)
		(void) taskapi_idempotency_deadline(now, lease, "lease");
	key = key_argument(fcinfo, 0, 4);

	row = owned_row(key, token, &now);
	if (lease)
		row->lease = lease;
	row->lease_expires_at = taskapi_idempotency_deadline(now, row->lease, "lease");
	if (!PG_ARGISNULL(2))
		row->recovery_point = (struct varlena *) PG_GETARG_TEXT_PP(2);
	if (!PG_ARGISNULL(3))
		row->state = (struct varlena *) PG_GETARG_JSONB_P(3);
	update_owned(key, row);
	PG_RETURN_VOID();
}

/*
 * idempotency_finish(key text, fencing_token bigint, status int, body json, headers jsonb, scope text) -> void
 */
PG_FUNCTION_INFO_V1(taskapi_idempotency_finish);
Datum
taskapi_idempotency_finish(PG_FUNCTION_ARGS)
{
	TaskapiIdempotencyKey *key;
	TaskapiLedgerRow *row;
	Jsonb	   *headers = PG_ARGISNULL(4) ? NULL : PG_GETARG_JSONB_P(4);
	int64		token;
	TimestampTz now;

	PreventCommandIfReadOnly("taskapi.idempotency_finish()");
	PreventCommandIfParallelMode("taskapi.idempotency_finish()");
	token = token_argument(fcinfo, 1);
	taskapi_require_arg(fcinfo, 2, "status");
	taskapi_idempotency_check_response(PG_GETARG_INT32(2), headers);
	key = key_argument(fcinfo, 0, 5);

	row = owned_row(key, token, &now);
	row->status = PG_GETARG_INT32(2);
	row->completed_at = now;
	row->expires_at = ledger_deadline(now, row->ttl);
	row->lease = NULL;
	row->recovery_point = NULL;
	row->state = NULL;
	row->headers = (struct varlena *) headers;
	row->body = taskapi_arg_varlena(fcinfo, 3);
	update_owned(key, row);
	PG_RETURN_VOID();
}

/*
 * idempotency_release(key text, fencing_token bigint, scope text) -> void
 *
 * Without a checkpoint nothing has been done yet, and the key is as if it had never been used; otherwise it keeps its
 * request and its recovery point.
 */
PG_FUNCTION_INFO_V1(taskapi_idempotency_release);
Datum
taskapi_idempotency_release(PG_FUNCTION_ARGS)
{
	TaskapiIdempotencyKey *key;
	TaskapiLedgerRow *row;
	int64		token;
	TimestampTz now;

	PreventCommandIfReadOnly("taskapi.idempotency_release()");
	PreventCommandIfParallelMode("taskapi.idempotency_release()");
	token = token_argument(fcinfo, 1);
	key = key_argument(fcinfo, 0, 2);

	row = owned_row(key, token, &now);
	if (row->recovery_point == NULL && row->state == NULL)
	{
		if (!taskapi_ledger_delete(key, row))
			lease_lost("The lease expired together with the key.");
	}
	else
	{
		row->lease_expires_at = DT_NOBEGIN;
		update_owned(key, row);
	}
	PG_RETURN_VOID();
}
