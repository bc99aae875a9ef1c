/*-------------------------------------------------------------------------
 *
 * outbox_lease.c
 *	  settle(), redrive() and discard(): what became of the messages of a lease.
 *
 * A settled message is done, parked or dead.  The first that failed of a key is parked with all that follow it, which were handed
 * out in vain; the slot goes on with other keys.  Nobody says what is done but by a number up to which: what a worker forgets would
 * be skipped otherwise.
 *
 * The consumer's row is locked first, so that no other settle(), receive() or redrive() of the slot is between these statements.
 *
 * SQL: sql/install/75_outbox.sql
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "base/args.h"
#include "base/compat.h"
#include "http/problem.h"
#include "outbox/outbox_consumer.h"
#include "outbox/outbox_lease.h"
#include "outbox/outbox_messages.h"

PG_FUNCTION_INFO_V1(taskapi_settle);
PG_FUNCTION_INFO_V1(taskapi_redrive);
PG_FUNCTION_INFO_V1(taskapi_discard);

static TaskapiOutboxStatement group_exists = {"SELECT 1 FROM @.consumer_group g WHERE g.name = $1", "t", "i"};

static TaskapiOutboxStatement lock_slot = {
	"SELECT c.position, c.delivered, c.fencing_token, c.owner IS NOT NULL FROM @.consumer c"
	" WHERE c.\"group\" = $1 AND c.slot = $2 ORDER BY c.generation DESC LIMIT 1 FOR UPDATE",
	"ti", "bbbn"
};

/* Was this number handed out in this lease, and was each of those? */
static TaskapiOutboxStatement was_handed_out = {
	"SELECT n.seq FROM unnest($5) n(seq) WHERE n.seq IS NULL"
	" OR NOT (EXISTS (SELECT FROM @.message m WHERE m.slot = $2 AND m.seq = n.seq AND m.seq > $4)"
	" OR EXISTS (SELECT FROM @.parked p WHERE p.\"group\" = $1 AND p.seq = n.seq AND p.slot = $2 AND p.fencing_token = $3))"
	" LIMIT 1",
	"tibbB", "b"
};

/* The first that failed of each key. */
#define FAILURES \
	"WITH failure AS (SELECT k.key, min(k.seq) AS seq FROM (" \
	"SELECT p.key, p.seq FROM @.parked p WHERE p.\"group\" = $1 AND p.slot = $2 AND p.seq = ANY ($5)" \
	" UNION SELECT m.key, m.seq FROM @.message m WHERE m.slot = $2 AND m.seq = ANY ($5)) k GROUP BY k.key)"

#define DUE_AGAIN(attempts) \
	"clock_timestamp() + least(power(2, " attempts " - 1), 3600) * (0.5 + random()) * interval '1 second'"

/* Is another of its key before it?  Then that one has to be due: what has not failed itself has no time. */
#define IS_BEHIND(key_, seq_) \
	"EXISTS (SELECT FROM @.parked b WHERE b.\"group\" = $1 AND b.slot = $2 AND b.key = " key_ " AND b.seq < " seq_ ")"

static TaskapiOutboxStatement unpark_done = {
	FAILURES
	" DELETE FROM @.parked p WHERE p.\"group\" = $1 AND p.slot = $2 AND p.fencing_token = $3 AND p.seq <= $4"
	" AND p.seq <= $6"
	" AND NOT EXISTS (SELECT FROM failure f WHERE f.key = p.key AND f.seq <= p.seq)",
	"tibbBb", ""
};

static TaskapiOutboxStatement park_again = {
	FAILURES
	" UPDATE @.parked p SET attempts = p.attempts + 1, error = $3, due_at = " DUE_AGAIN("(p.attempts + 1)")
	" FROM failure f WHERE p.\"group\" = $1 AND p.slot = $2 AND p.seq = f.seq AND p.seq <= $4",
	"titbB", ""
};

static TaskapiOutboxStatement park = {
	FAILURES
	" INSERT INTO @.parked (\"group\", seq, slot, topic, key, payload, headers, created_at, attempts, due_at, error)"
	" SELECT $1, m.seq, m.slot, m.topic, m.key, m.payload, m.headers, m.created_at, CASE WHEN m.seq = f.seq THEN 1 ELSE 0 END,"
	" CASE WHEN m.seq = f.seq THEN " DUE_AGAIN("1") " END,"
	" CASE WHEN m.seq = f.seq THEN $3 END"
	" FROM failure f JOIN @.message m ON m.key = f.key AND m.slot = $2 AND m.seq >= f.seq AND m.seq > $4 AND m.seq <= $6"
	" JOIN @.consumer_group g ON g.name = $1 AND (g.topics IS NULL OR m.topic = ANY (g.topics) OR m.seq = f.seq)"
	" ON CONFLICT DO NOTHING",
	"titbBb", ""
};

/* All that failed, and what was handed out in vain behind it, is parked or dead; a trigger may have seen to something else. */
static TaskapiOutboxStatement lost = {
	FAILURES
	" SELECT n.seq FROM (SELECT u.seq FROM unnest($5) u(seq) UNION ALL SELECT m.seq FROM failure f"
	" JOIN @.message m ON m.key = f.key AND m.slot = $2 AND m.seq > f.seq AND m.seq > $4 AND m.seq <= $6"
	" JOIN @.consumer_group g ON g.name = $1 AND (g.topics IS NULL OR m.topic = ANY (g.topics))) n"
	" WHERE NOT EXISTS (SELECT FROM @.parked p WHERE p.\"group\" = $1 AND p.seq = n.seq)"
	" AND NOT EXISTS (SELECT FROM @.dead_letter d WHERE d.\"group\" = $1 AND d.seq = n.seq) LIMIT 1",
	"titbBb", "b"
};

/* A group that holds keys leaves the dead one parked as well, for ever: so all of its key wait as they always do. */
static TaskapiOutboxStatement bury = {
	FAILURES
	", dead AS (SELECT p.*, g.hold_key FROM failure f JOIN @.parked p ON p.\"group\" = $1 AND p.seq = f.seq AND p.seq <= $4"
	" JOIN @.consumer_group g ON g.name = $1 AND p.attempts >= g.max_attempts),"
	" gone AS (DELETE FROM @.parked p USING dead d WHERE p.\"group\" = $1 AND p.seq = d.seq AND NOT d.hold_key),"
	" held AS (UPDATE @.parked p SET due_at = 'infinity', fencing_token = NULL FROM dead d"
	" WHERE p.\"group\" = $1 AND p.seq = d.seq AND d.hold_key)"
	" INSERT INTO @.dead_letter (\"group\", seq, slot, topic, key, payload, headers, created_at, attempts, error)"
	" SELECT d.\"group\", d.seq, d.slot, d.topic, d.key, d.payload, d.headers, d.created_at, d.attempts, d.error FROM dead d"
	" ON CONFLICT (\"group\", seq) DO UPDATE SET attempts = excluded.attempts, error = excluded.error, died_at = excluded.died_at",
	"titbB", ""
};

/* Whoever is first of its key now is tried at once, unless it has failed itself. */
static TaskapiOutboxStatement next_of_key = {
	"UPDATE @.parked p SET due_at = clock_timestamp() WHERE p.\"group\" = $1 AND p.slot = $2 AND p.due_at IS NULL"
	" AND NOT EXISTS (SELECT FROM @.parked b WHERE b.\"group\" = $1 AND b.slot = $2 AND b.key = p.key AND b.seq < p.seq)",
	"ti", ""
};

static TaskapiOutboxStatement end_lease = {
	"UPDATE @.consumer c SET position = greatest(c.position, $3), delivered = greatest(c.position, $3), owner = NULL,"
	" lease_expires_at = NULL, parks = EXISTS (SELECT FROM @.parked p WHERE p.\"group\" = $1 AND p.slot = $2)"
	" WHERE " TASKAPI_CONSUMER_IS("$1", "$2"),
	"tib", ""
};

static TaskapiOutboxStatement find_dead = {
	"SELECT d.slot::int4 FROM @.dead_letter d WHERE d.\"group\" = $1 AND d.seq = $2", "tb", "i"
};

/* Those of its key that wait are behind it again; one that has failed keeps its pause. */
static TaskapiOutboxStatement revive = {
	"WITH alive AS (DELETE FROM @.dead_letter d WHERE d.\"group\" = $1 AND d.seq = $3 RETURNING d.*)"
	" INSERT INTO @.parked (\"group\", seq, slot, topic, key, payload, headers, created_at, due_at)"
	" SELECT a.\"group\", a.seq, a.slot, a.topic, a.key, a.payload, a.headers, a.created_at,"
	" CASE WHEN NOT " IS_BEHIND("a.key", "a.seq") " THEN clock_timestamp() END FROM alive a"
	" ON CONFLICT (\"group\", seq) DO UPDATE SET attempts = 0, due_at = excluded.due_at, error = NULL, fencing_token = NULL",
	"tib", ""
};

static TaskapiOutboxStatement says_that_it_parks = {
	"UPDATE @.consumer c SET parks = true WHERE " TASKAPI_CONSUMER_IS("$1", "$2"), "ti", ""
};

/* If it is held, it stands in both. */
static TaskapiOutboxStatement forget = {
	"WITH dead AS (DELETE FROM @.dead_letter d WHERE d.\"group\" = $1 AND d.slot = $2 AND d.seq = $3 RETURNING d.seq)"
	" DELETE FROM @.parked p USING dead d WHERE p.\"group\" = $1 AND p.seq = d.seq",
	"tib", ""
};

static bool settle_directly(const TaskapiOutbox *outbox, Datum group, int32 slot, int64 token, int64 upto);
static int32 lock_dead_letter(FunctionCallInfo fcinfo);
static void check_handed_out(Datum group, int32 slot, int64 token, int64 position, int64 delivered, int64 upto, Datum failed);

void
taskapi_outbox_check_lease(const Interval *lease)
{
	double		seconds = lease->month * (30.0 * SECS_PER_DAY) + lease->day * (double) SECS_PER_DAY + lease->time / 1e6;

	if (!(seconds > 0 && seconds <= SECS_PER_DAY))
		taskapi_problem(PROBLEM_INVALID_VALUE, NIL, NULL, "A lease must be positive and at most a day.");
}

bool
taskapi_outbox_group_exists(Datum group)
{
	return taskapi_outbox_run(&group_exists, &group, NULL) > 0;
}

void
taskapi_outbox_lease_lost(Datum group, int32 slot)
{
	if (!taskapi_outbox_group_exists(group))
		taskapi_outbox_no_group(TextDatumGetCString(group));
	if (slot < 0 || slot >= OUTBOX_SLOTS)
		taskapi_problem(PROBLEM_INVALID_VALUE, NIL, NULL, "There is no slot %d; there are %d, from 0 on.", slot, OUTBOX_SLOTS);
	taskapi_problem(PROBLEM_LEASE_LOST, NIL, "Call taskapi.receive() again.",
					"The lease of slot %d of group \"%s\" has ended, or another worker has it.",
					slot, TextDatumGetCString(group));
}

/*
 * settle("group" text, slot int, fencing_token bigint, upto bigint, failed bigint[], error text) -> void
 *
 * Errors: lease_lost, not_found, and invalid_value for numbers that were not handed out.
 */
Datum
taskapi_settle(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"group", "slot", "fencing_token", "upto", "failed"};
	const TaskapiOutbox *outbox;
	Datum		group;
	int32		slot;
	int64		token;
	int64		upto;
	int64		position;
	int64		delivered;
	Datum		failed;
	bool		isnull;
	bool		any_failed;
	Datum		values[6];
	char		nulls[] = "      ";

	for (int i = 0; i < lengthof(names); i++)
		taskapi_require_arg(fcinfo, i, names[i]);
	group = PG_GETARG_DATUM(0);
	slot = PG_GETARG_INT32(1);
	token = PG_GETARG_INT64(2);
	upto = PG_GETARG_INT64(3);
	failed = PointerGetDatum(PG_GETARG_ARRAYTYPE_P(4));
	any_failed = ArrayGetNItems(ARR_NDIM(DatumGetArrayTypeP(failed)), ARR_DIMS(DatumGetArrayTypeP(failed))) > 0;

	outbox = taskapi_outbox_open();
	SPI_connect();
	if (!any_failed && settle_directly(outbox, group, slot, token, upto))
	{
		SPI_finish();
		PG_RETURN_VOID();
	}
	values[0] = group;
	values[1] = Int32GetDatum(slot);
	if (taskapi_outbox_run(&lock_slot, values, NULL) == 0 ||
		taskapi_outbox_int64(0, 2) != token || !DatumGetBool(taskapi_outbox_value(0, 3, &isnull)))
		taskapi_outbox_lease_lost(group, slot);
	position = taskapi_outbox_int64(0, 0);
	delivered = taskapi_outbox_int64(0, 1);
	check_handed_out(group, slot, token, position, delivered, upto, failed);

	values[2] = Int64GetDatum(token);
	values[3] = Int64GetDatum(upto);
	values[4] = failed;
	values[5] = Int64GetDatum(position);
	(void) taskapi_outbox_run(&unpark_done, values, NULL);
	if (any_failed)
	{
		values[2] = PG_GETARG_DATUM(5);
		nulls[2] = PG_ARGISNULL(5) ? 'n' : ' ';
		values[3] = Int64GetDatum(position);
		(void) taskapi_outbox_run(&park_again, values, nulls);
		values[5] = Int64GetDatum(upto);
		(void) taskapi_outbox_run(&park, values, nulls);
		values[3] = Int64GetDatum(upto);
		(void) taskapi_outbox_run(&bury, values, nulls);
		values[3] = Int64GetDatum(position);
		if (taskapi_outbox_run(&lost, values, nulls) > 0)
			taskapi_outbox_not_written();
	}
	(void) taskapi_outbox_run(&next_of_key, values, NULL);
	values[2] = Int64GetDatum(upto);
	taskapi_outbox_write(&end_lease, values, NULL, 1);
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * What settle() does if nothing has failed and nothing is parked in the slot: the position moves, and the lease ends.  false if
 * it is not as simple, or not right: then nothing is written, and the statements say what is wrong.
 */
static bool
settle_directly(const TaskapiOutbox *outbox, Datum group, int32 slot, int64 token, int64 upto)
{
	TaskapiOutboxOwner saved;
	TaskapiOutboxTable consumer = {0};
	TaskapiMessages messages = {0};
	TaskapiConsumer row;
	bool		simple = false;

	if (IsolationUsesXactSnapshot() || slot < 0 || slot >= OUTBOX_SLOTS)
		return false;
	saved = taskapi_outbox_as_owner();
	if (taskapi_consumer_open(&consumer, outbox) &&
		taskapi_consumer_lock(&consumer, group, slot, LockWaitBlock, &row))
	{
		taskapi_messages_open(&messages, outbox);
		PushActiveSnapshot(GetTransactionSnapshot());
		simple = row.fencing_token == token && row.owned && !row.parks && upto > row.position && upto <= row.delivered &&
			taskapi_messages_first(&messages, slot, upto - 1, upto) == upto;
		PopActiveSnapshot();
		taskapi_messages_close(&messages);
	}
	if (simple)
	{
		TaskapiConsumerChange change = {.position = upto, .delivered = upto};

		taskapi_consumer_write(&consumer, &change);
	}
	taskapi_outbox_table_close(&consumer);
	taskapi_outbox_end_as_owner(saved);
	return simple;
}

/*
 * "failed" is a bigint[].
 */
static void
check_handed_out(Datum group, int32 slot, int64 token, int64 position, int64 delivered, int64 upto, Datum failed)
{
	Datum		upto_datum = Int64GetDatum(upto);
	Datum		values[5];
	Datum	   *numbers;
	bool	   *number_nulls;
	int			nnumbers;

	values[0] = group;
	values[1] = Int32GetDatum(slot);
	values[2] = Int64GetDatum(token);
	values[3] = Int64GetDatum(position);
	values[4] = PointerGetDatum(construct_array(&upto_datum, 1, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	if (upto > delivered || taskapi_outbox_run(&was_handed_out, values, NULL) > 0)
		taskapi_problem(PROBLEM_INVALID_VALUE, NIL, "Give the number of a message that receive() returned.",
						"Message " INT64_FORMAT " was not handed out with this lease.", upto);

	values[4] = failed;
	deconstruct_array(DatumGetArrayTypeP(failed), INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE,
					  &numbers, &number_nulls, &nnumbers);
	for (int i = 0; i < nnumbers; i++)
		if (number_nulls[i] || DatumGetInt64(numbers[i]) > upto)
			taskapi_problem(PROBLEM_INVALID_VALUE, NIL, NULL, "Numbers of failed messages must be at most " INT64_FORMAT ".", upto);
	if (nnumbers > 0 && taskapi_outbox_run(&was_handed_out, values, NULL) > 0)
		taskapi_problem(PROBLEM_INVALID_VALUE, NIL, "Give numbers of messages that receive() returned.",
						"Message " INT64_FORMAT " was not handed out with this lease.", taskapi_outbox_int64(0, 0));
}

/*
 * The slot of a dead letter, which is locked: problem not_found if it is none.  Connects to SPI.
 */
static int32
lock_dead_letter(FunctionCallInfo fcinfo)
{
	Datum		values[2];
	Datum		slot[2];
	bool		isnull;

	taskapi_require_arg(fcinfo, 0, "group");
	taskapi_require_arg(fcinfo, 1, "seq");
	values[0] = slot[0] = PG_GETARG_DATUM(0);
	values[1] = PG_GETARG_DATUM(1);
	(void) taskapi_outbox_open();
	SPI_connect();
	if (taskapi_outbox_run(&find_dead, values, NULL) > 0)
	{
		slot[1] = taskapi_outbox_value(0, 0, &isnull);
		(void) taskapi_outbox_run(&lock_slot, slot, NULL);
		/* whoever had the lock may have been here for the same one */
		if (taskapi_outbox_run(&find_dead, values, NULL) > 0)
			return DatumGetInt32(slot[1]);
	}
	if (!taskapi_outbox_group_exists(values[0]))
		taskapi_outbox_no_group(TextDatumGetCString(values[0]));
	taskapi_problem(PROBLEM_NOT_FOUND, NIL, "The table dead_letter of the outbox lists them.",
					"Message " INT64_FORMAT " is not a dead letter of group \"%s\".",
					DatumGetInt64(values[1]), TextDatumGetCString(values[0]));
}

/*
 * redrive("group" text, seq bigint) -> void
 *
 * Errors: not_found.
 */
Datum
taskapi_redrive(PG_FUNCTION_ARGS)
{
	Datum		values[3];

	values[1] = Int32GetDatum(lock_dead_letter(fcinfo));
	values[0] = PG_GETARG_DATUM(0);
	values[2] = PG_GETARG_DATUM(1);
	taskapi_outbox_write(&revive, values, NULL, 1);
	taskapi_outbox_write(&says_that_it_parks, values, NULL, 1);
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * discard("group" text, seq bigint) -> void
 *
 * Errors: not_found.
 */
Datum
taskapi_discard(PG_FUNCTION_ARGS)
{
	Datum		values[3];

	values[1] = Int32GetDatum(lock_dead_letter(fcinfo));
	values[0] = PG_GETARG_DATUM(0);
	values[2] = PG_GETARG_DATUM(1);
	(void) taskapi_outbox_run(&forget, values, NULL);
	(void) taskapi_outbox_run(&next_of_key, values, NULL);
	SPI_finish();
	PG_RETURN_VOID();
}
