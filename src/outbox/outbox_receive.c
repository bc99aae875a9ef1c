/*-------------------------------------------------------------------------
 *
 * outbox_receive.c
 *	  receive() and extend_lease(): a worker takes a slot and gets its messages.
 *
 * A slot is one of 64 parts of a group's messages, by the key.  Whoever holds its lease is alone in it, so the order of a key is
 * that of the numbers.  Its messages are those behind its position, and those parked before the position whose time has come, with
 * all that wait behind them.  Of the messages behind the position, those of a key that is parked are parked too, at once: so what
 * was handed out up to a number is all that settle() has to know.
 *
 * The snapshot must be younger than the bound (outbox_bound.h), so each statement takes its own: READ COMMITTED only.
 *
 * SQL: sql/install/75_outbox.sql
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "base/args.h"
#include "base/compat.h"
#include "base/role.h"
#include "http/problem.h"
#include "outbox/outbox_bound.h"
#include "outbox/outbox_claim.h"
#include "outbox/outbox_consumer.h"
#include "outbox/outbox_lease.h"

PG_FUNCTION_INFO_V1(taskapi_receive);
PG_FUNCTION_INFO_V1(taskapi_extend_lease);

#define MAX_BATCH 10000

/* Slots that are passed by before the worker is told that there is nothing */
#define MAX_PASSES 256

/* Columns of taskapi.message */
static const Oid message_types[] = {
	INT8OID, INT4OID, TEXTOID, TEXTOID, JSONBOID, JSONBOID, TIMESTAMPTZOID, INT4OID, INT8OID
};

#define MESSAGE_RESULT "bittjjzib"

/*
 * Of each key whose first one is due: that one, and those behind it up to one that has a pause of its own, or is dead and holds the
 * key.
 */
static TaskapiOutboxStatement take_parked = {
	"WITH taken AS (UPDATE @.parked p SET fencing_token = $4 WHERE p.\"group\" = $1 AND p.seq = ANY (ARRAY("
	"SELECT w.seq FROM @.parked w WHERE w.\"group\" = $1 AND w.slot = $2 AND w.seq <= $3 AND w.key = ANY (ARRAY("
	"SELECT h.key FROM @.parked h WHERE h.\"group\" = $1 AND h.slot = $2 AND h.seq <= $3 AND h.due_at <= clock_timestamp()))"
	" AND NOT EXISTS (SELECT FROM @.parked b WHERE b.\"group\" = $1 AND b.slot = $2 AND b.key = w.key AND b.seq <= w.seq"
	" AND b.due_at > clock_timestamp())"
	" ORDER BY w.seq LIMIT $5)) RETURNING p.*)"
	" SELECT t.seq, t.slot::int4, t.topic, t.key, t.payload, t.headers, t.created_at, t.attempts, t.fencing_token"
	" FROM taken t ORDER BY t.seq",
	"tibbi", MESSAGE_RESULT
};

/* The next messages behind the position. */
#define BEHIND \
	" FROM @.message m WHERE m.slot = $1 AND m.seq > $2 AND m.seq <= $3 AND ($4 IS NULL OR m.topic = ANY ($4))" \
	" ORDER BY m.seq LIMIT $5"

static TaskapiOutboxStatement take = {
	"SELECT m.seq, m.slot::int4, m.topic, m.key, m.payload, m.headers, m.created_at, 0, $6, true" BEHIND,
	"ibbTib", MESSAGE_RESULT "n"
};

/* The same, and those of a parked key are parked.  The last columns say which are to be handed out, and which were not parked. */
static TaskapiOutboxStatement take_and_park = {
	"WITH w AS MATERIALIZED (SELECT m.*, EXISTS (SELECT FROM @.parked p WHERE p.\"group\" = $7 AND p.slot = $1 AND p.key = m.key)"
	" AS waits" BEHIND "), waiting AS (INSERT INTO @.parked (\"group\", seq, slot, topic, key, payload, headers, created_at)"
	" SELECT $7, w.seq, w.slot, w.topic, w.key, w.payload, w.headers, w.created_at FROM w WHERE w.waits"
	" ON CONFLICT DO NOTHING RETURNING seq)"
	" SELECT w.seq, w.slot::int4, w.topic, w.key, w.payload, w.headers, w.created_at, 0, $6, NOT w.waits,"
	" w.waits AND w.seq NOT IN (SELECT i.seq FROM waiting i UNION ALL SELECT p.seq FROM @.parked p"
	" WHERE p.\"group\" = $7 AND p.slot = $1)"
	" FROM w ORDER BY w.seq",
	"ibbTibt", MESSAGE_RESULT "nn"
};

static TaskapiOutboxStatement hand_over = {
	"UPDATE @.consumer c SET owner = $3, fencing_token = $4, lease_expires_at = clock_timestamp() + $5,"
	" received_at = clock_timestamp(), delivered = $6, generation = c.generation + 1 WHERE " TASKAPI_CONSUMER_IS("$1", "$2"),
	"titbvb", ""
};

/* Nothing of it is for this group. */
static TaskapiOutboxStatement pass = {
	"UPDATE @.consumer c SET position = $3, delivered = $3, owner = NULL, lease_expires_at = NULL,"
	" generation = c.generation + 1 WHERE " TASKAPI_CONSUMER_IS("$1", "$2"),
	"tib", ""
};

/* How far the group has come; no row if there is no group */
static TaskapiOutboxStatement reach = {
	"SELECT (SELECT max(c.position) FROM " TASKAPI_CONSUMERS_OF("$1") ") FROM @.consumer_group g WHERE g.name = $1",
	"t", "b"
};

/* Nothing is locked before: a lease that goes on is in its generation. */
static TaskapiOutboxStatement extend = {
	"UPDATE @.consumer c SET lease_expires_at = clock_timestamp() + $4"
	" WHERE " TASKAPI_CONSUMER_IS("$1", "$2") " AND c.fencing_token = $3 AND c.owner IS NOT NULL RETURNING 1",
	"tibv", "i"
};

static void require_fresh_snapshots(void);
static void require_group(const TaskapiOutbox *outbox, Datum group);
static bool hand_over_batch(TaskapiReceiver *receiver, FunctionCallInfo fcinfo, TaskapiClaim *claim);
static uint64 hand_out(TaskapiReceiver *receiver, int32 batch, TaskapiClaim *claim, ReturnSetInfo *rsinfo);
static bool hand_out_directly(TaskapiReceiver *receiver, int32 batch, TaskapiClaim *claim, ReturnSetInfo *rsinfo,
							  uint64 *handed_out);
static bool put_message(TaskapiOutboxTable *row, int64 seq, void *arg);
static uint64 hand_out_by_statements(TaskapiReceiver *receiver, int32 batch, TaskapiClaim *claim, ReturnSetInfo *rsinfo);
static void write_lease(TaskapiReceiver *receiver, FunctionCallInfo fcinfo, const TaskapiClaim *claim);
static void write_pass(TaskapiReceiver *receiver, const TaskapiClaim *claim);
static uint64 put_rows(ReturnSetInfo *rsinfo, bool flagged);
static int64 draw_token(const TaskapiReceiver *receiver, const TaskapiClaim *claim);

/*
 * receive("group" text, worker text, batch int, lease interval) -> SETOF message
 *
 * Errors: not_found for a group, invalid_value for the other arguments and for the wrong kind of transaction, cursor_expired if
 * messages of the group were dropped unread.
 */
Datum
taskapi_receive(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"group", "worker", "batch", "lease"};
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	TaskapiReceiver receiver;
	int32		batch;

	for (int i = 0; i < lengthof(names); i++)
		taskapi_require_arg(fcinfo, i, names[i]);
	if (VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(1)) == 0)
		taskapi_problem(PROBLEM_INVALID_VALUE, NIL, NULL, "The name of the worker must not be empty.");
	batch = PG_GETARG_INT32(2);
	if (batch < 1 || batch > MAX_BATCH)
		taskapi_problem(PROBLEM_INVALID_VALUE, NIL, NULL, "batch must be between 1 and %d.", MAX_BATCH);
	taskapi_outbox_check_lease(PG_GETARG_INTERVAL_P(3));
	require_fresh_snapshots();

	InitMaterializedSRF(fcinfo, 0);
	if (rsinfo->setDesc->natts != lengthof(message_types))
		elog(ERROR, "taskapi.message has other columns than the extension gave it");
	for (int i = 0; i < lengthof(message_types); i++)
		if (TupleDescAttr(rsinfo->setDesc, i)->atttypid != message_types[i])
			elog(ERROR, "taskapi.message has other columns than the extension gave it");

	SPI_connect();
	taskapi_receiver_begin(&receiver, taskapi_outbox_open(), PointerGetDatum(PG_GETARG_TEXT_PP(0)));
	for (int passes = 0; passes < MAX_PASSES; passes++)
	{
		TaskapiClaim claim = {0};

		CHECK_FOR_INTERRUPTS();
		if (!taskapi_outbox_claim(&receiver, &claim))
		{
			if (passes == 0)
				require_group(receiver.outbox, receiver.group);
			break;
		}
		if (hand_over_batch(&receiver, fcinfo, &claim))
			break;
	}
	taskapi_receiver_end(&receiver);
	SPI_finish();
	return (Datum) 0;
}

/*
 * What the claimed slot has is the result, and the lease is written; false if it has nothing for this group, which is written too.
 */
static bool
hand_over_batch(TaskapiReceiver *receiver, FunctionCallInfo fcinfo, TaskapiClaim *claim)
{
	if (claim->missed != 0)
		taskapi_problem(PROBLEM_CURSOR_EXPIRED, NIL,
						"Call taskapi.create_consumer_group() with from_seq => 0 to go on with what is kept.",
						"Messages up to " INT64_FORMAT " were dropped before group \"%s\" received them.",
						claim->missed, TextDatumGetCString(receiver->group));
	claim->fencing_token = draw_token(receiver, claim);
	if (hand_out(receiver, PG_GETARG_INT32(2), claim, (ReturnSetInfo *) fcinfo->resultinfo) == 0)
	{
		write_pass(receiver, claim);
		return false;
	}
	write_lease(receiver, fcinfo, claim);
	return true;
}

/*
 * The bound is worth nothing to a snapshot that is older, and a lease cannot be taken on a standby.
 */
static void
require_fresh_snapshots(void)
{
	if (RecoveryInProgress())
		taskapi_problem_sqlstate(PROBLEM_INVALID_VALUE, ERRCODE_READ_ONLY_SQL_TRANSACTION, NIL, "Connect to the primary.",
								 "Messages cannot be received on a standby.");
	if (XactReadOnly)
		taskapi_problem_sqlstate(PROBLEM_INVALID_VALUE, ERRCODE_READ_ONLY_SQL_TRANSACTION, NIL, NULL,
								 "Messages cannot be received in a read-only transaction.");
	if (IsolationUsesXactSnapshot())
		taskapi_problem_sqlstate(PROBLEM_INVALID_VALUE, ERRCODE_ACTIVE_SQL_TRANSACTION, NIL,
								 "Use READ COMMITTED.",
								 "Messages cannot be received in a transaction with one snapshot.");
}

/*
 * A worker that finds nothing asks why: the group may not be there; or new messages have numbers that it believes to have read.
 */
static void
require_group(const TaskapiOutbox *outbox, Datum group)
{
	int64		last;

	if (taskapi_outbox_run(&reach, &group, NULL) == 0)
		taskapi_outbox_no_group(TextDatumGetCString(group));
	last = taskapi_outbox_last_number(outbox);
	if (taskapi_outbox_int64(0, 0) > last)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the sequence of the outbox's messages was set back"),
				 errdetail("It is at " INT64_FORMAT ", and group \"%s\" has read up to " INT64_FORMAT ".",
						   last, TextDatumGetCString(group), taskapi_outbox_int64(0, 0)),
				 errhint("SELECT setval('%s.message_seq', " INT64_FORMAT "). What was published meanwhile is not received.",
						 outbox->schema, taskapi_outbox_int64(0, 0))));
}

/*
 * A token that another lease of the slot has had would let that one's worker settle this lease.
 */
static int64
draw_token(const TaskapiReceiver *receiver, const TaskapiClaim *claim)
{
	const TaskapiOutbox *outbox = receiver->outbox;
	TaskapiRole saved = taskapi_become(outbox->owner, SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	int64		token = DatumGetInt64(DirectFunctionCall1(nextval_oid, ObjectIdGetDatum(outbox->fencing_token)));

	taskapi_role_restore(saved);
	if (token <= claim->last_token)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the sequence of the outbox's fencing tokens was set back"),
				 errdetail("It gave " INT64_FORMAT ", and slot %d of group \"%s\" has had " INT64_FORMAT ".",
						   token, claim->slot, TextDatumGetCString(receiver->group), claim->last_token),
				 errhint("SELECT setval('%s.fencing_token', (SELECT max(fencing_token) FROM %s.consumer)).",
						 outbox->schema, outbox->schema)));
	return token;
}

/*
 * Put what the slot has into the result; the number of rows.  A slot that has something parked is for statements.
 */
static uint64
hand_out(TaskapiReceiver *receiver, int32 batch, TaskapiClaim *claim, ReturnSetInfo *rsinfo)
{
	uint64		handed_out = 0;

	if (receiver->direct && !claim->has_parked)
	{
		TaskapiOutboxOwner saved = taskapi_outbox_as_owner();
		bool		done = hand_out_directly(receiver, batch, claim, rsinfo, &handed_out);

		taskapi_outbox_end_as_owner(saved);
		if (done)
			return handed_out;
		tuplestore_clear(rsinfo->setResult);
	}
	taskapi_receiver_refresh(receiver);
	return hand_out_by_statements(receiver, batch, claim, rsinfo);
}

/* Where messages go, and which */
typedef struct Handing
{
	ReturnSetInfo *rsinfo;
	Datum	   *topics;
	int			ntopics;		/* -1 is all */
	int64		fencing_token;
	int32		batch;
	int32		handed_out;
	int64		last;
} Handing;

/*
 * false: a partition has to be read by statements.
 */
static bool
hand_out_directly(TaskapiReceiver *receiver, int32 batch, TaskapiClaim *claim, ReturnSetInfo *rsinfo, uint64 *handed_out)
{
	Handing		handing = {.rsinfo = rsinfo, .ntopics = -1, .fencing_token = claim->fencing_token, .batch = batch};
	int64		after = claim->position;

	if (!claim->all_topics)
		deconstruct_array(DatumGetArrayTypeP(claim->topics), TEXTOID, -1, false, TYPALIGN_INT, &handing.topics, NULL,
						  &handing.ntopics);
	for (;;)
	{
		CommandCounterIncrement();
		PushActiveSnapshot(GetTransactionSnapshot());
		taskapi_messages_read(&receiver->messages, claim->slot, after, receiver->bound, put_message, &handing);
		PopActiveSnapshot();
		if (!receiver->messages.plain)
			return false;
		if (handing.handed_out == batch || receiver->bound_is_fresh)
			break;
		/* A batch that is not full may be so with what was published a moment ago. */
		after = Max(after, receiver->bound);
		taskapi_receiver_refresh(receiver);
	}
	claim->window_end = handing.handed_out == batch ? handing.last : Max(receiver->bound, claim->position);
	*handed_out = handing.handed_out;
	return true;
}

static bool
put_message(TaskapiOutboxTable *row, int64 seq, void *arg)
{
	static const int columns[] = {
		MESSAGE_SEQ, MESSAGE_SLOT, MESSAGE_TOPIC, MESSAGE_KEY, MESSAGE_PAYLOAD, MESSAGE_HEADERS, MESSAGE_CREATED_AT
	};
	Handing    *handing = arg;
	Datum		values[lengthof(message_types)];
	bool		nulls[lengthof(message_types)] = {false};
	bool		wanted = handing->ntopics < 0;

	for (int i = 0; i < lengthof(columns); i++)
		values[i] = taskapi_outbox_column(row, columns[i], &nulls[i]);
	for (int i = 0; i < handing->ntopics && !wanted; i++)
		wanted = !nulls[2] && DatumGetBool(DirectFunctionCall2Coll(texteq, C_COLLATION_OID, values[2], handing->topics[i]));
	if (!wanted)
		return true;
	values[1] = Int32GetDatum(DatumGetInt16(values[1]));	/* a key, never NULL */
	values[7] = Int32GetDatum(0);
	values[8] = Int64GetDatum(handing->fencing_token);
	tuplestore_putvalues(handing->rsinfo->setResult, handing->rsinfo->setDesc, values, nulls);
	handing->last = seq;
	return ++handing->handed_out < handing->batch;
}

static uint64
hand_out_by_statements(TaskapiReceiver *receiver, int32 batch, TaskapiClaim *claim, ReturnSetInfo *rsinfo)
{
	Datum		values[7];
	char		nulls[] = "       ";
	uint64		handed_out = 0;
	uint64		found;

	claim->window_end = claim->position;
	if (claim->has_parked)
	{
		values[0] = receiver->group;
		values[1] = Int32GetDatum(claim->slot);
		values[2] = Int64GetDatum(claim->position);
		values[3] = Int64GetDatum(claim->fencing_token);
		values[4] = Int32GetDatum(batch);
		(void) taskapi_outbox_run(&take_parked, values, NULL);
		handed_out = put_rows(rsinfo, false);
	}
	if (handed_out >= batch)
		return handed_out;

	values[0] = Int32GetDatum(claim->slot);
	values[1] = Int64GetDatum(claim->position);
	values[2] = Int64GetDatum(receiver->bound);
	values[3] = claim->topics;
	nulls[3] = claim->all_topics ? 'n' : ' ';
	values[4] = Int32GetDatum(batch - (int32) handed_out);
	values[5] = Int64GetDatum(claim->fencing_token);
	values[6] = receiver->group;
	found = taskapi_outbox_run(claim->has_parked ? &take_and_park : &take, values, nulls);
	claim->window_end = found < batch - (int32) handed_out ? Max(receiver->bound, claim->position) :
		taskapi_outbox_int64(found - 1, 0);
	return handed_out + put_rows(rsinfo, true);
}

static void
write_lease(TaskapiReceiver *receiver, FunctionCallInfo fcinfo, const TaskapiClaim *claim)
{
	Datum		values[6];

	if (receiver->direct)
	{
		TimestampTz now = GetCurrentTimestamp();
		TaskapiConsumerChange change = {
			.position = claim->position,
			.delivered = claim->window_end,
			.owner = PG_GETARG_TEXT_PP(1),
			.fencing_token = claim->fencing_token,
			.lease_expires_at = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(now),
																		PG_GETARG_DATUM(3)))
		};
		TaskapiOutboxOwner saved = taskapi_outbox_as_owner();

		taskapi_consumer_write(&receiver->consumer, &change);
		taskapi_outbox_end_as_owner(saved);
		return;
	}
	values[0] = receiver->group;
	values[1] = Int32GetDatum(claim->slot);
	values[2] = PG_GETARG_DATUM(1);
	values[3] = Int64GetDatum(claim->fencing_token);
	values[4] = PG_GETARG_DATUM(3);
	values[5] = Int64GetDatum(claim->window_end);
	taskapi_outbox_write(&hand_over, values, NULL, 1);
}

static void
write_pass(TaskapiReceiver *receiver, const TaskapiClaim *claim)
{
	Datum		values[3];

	if (receiver->direct)
	{
		TaskapiConsumerChange change = {.position = claim->window_end, .delivered = claim->window_end};
		TaskapiOutboxOwner saved = taskapi_outbox_as_owner();

		taskapi_consumer_write(&receiver->consumer, &change);
		taskapi_outbox_end_as_owner(saved);
		return;
	}
	values[0] = receiver->group;
	values[1] = Int32GetDatum(claim->slot);
	values[2] = Int64GetDatum(claim->window_end);
	taskapi_outbox_write(&pass, values, NULL, 1);
}

/*
 * "flagged": only rows that say so in their last column.
 */
static uint64
put_rows(ReturnSetInfo *rsinfo, bool flagged)
{
	uint64		put = 0;

	for (uint64 row = 0; row < SPI_processed; row++)
	{
		Datum		values[lengthof(message_types)];
		bool		nulls[lengthof(message_types)];
		bool		isnull;

		if (flagged && !DatumGetBool(taskapi_outbox_value(row, lengthof(message_types), &isnull)))
		{
			if (DatumGetBool(taskapi_outbox_value(row, lengthof(message_types) + 1, &isnull)))
				taskapi_outbox_not_written();
			continue;
		}
		for (int i = 0; i < lengthof(message_types); i++)
			values[i] = taskapi_outbox_value(row, i, &nulls[i]);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		put++;
	}
	return put;
}

/*
 * extend_lease("group" text, slot int, fencing_token bigint, lease interval) -> void
 *
 * Errors: lease_lost, not_found, invalid_value.
 */
Datum
taskapi_extend_lease(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"group", "slot", "fencing_token", "lease"};
	Datum		values[4];

	for (int i = 0; i < lengthof(names); i++)
	{
		taskapi_require_arg(fcinfo, i, names[i]);
		values[i] = PG_GETARG_DATUM(i);
	}
	taskapi_outbox_check_lease(PG_GETARG_INTERVAL_P(3));
	(void) taskapi_outbox_open();
	SPI_connect();
	if (taskapi_outbox_run(&extend, values, NULL) == 0)
		taskapi_outbox_lease_lost(PG_GETARG_DATUM(0), PG_GETARG_INT32(1));
	SPI_finish();
	PG_RETURN_VOID();
}
