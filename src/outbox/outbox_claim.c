/*-------------------------------------------------------------------------
 *
 * outbox_claim.c
 *	  Which slot a worker gets: the one that was served longest ago of those that are free and have something.
 *
 * A backend remembers for a moment in which order it found the free slots, and goes on there: a worker with a backlog does not read
 * all 64 rows for every batch.  What it goes by is looked at again when the row is locked; and a slot that was served meanwhile, by
 * whomever, has lost its place.
 *
 * SQL: sql/install/75_outbox.sql
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "outbox/outbox_bound.h"
#include "outbox/outbox_claim.h"

/* The inner order makes the search stop at the first few; since nothing is locked here, the next statement asks again. */
static TaskapiOutboxStatement candidates = {
	"SELECT c.slot::int4 FROM (SELECT f.slot, f.position, f.missed FROM (SELECT c.* FROM " TASKAPI_CONSUMERS_OF("$1") ") f"
	" WHERE f.lease_expires_at IS NULL OR f.lease_expires_at <= clock_timestamp()"
	" ORDER BY f.received_at NULLS FIRST, f.slot OFFSET 0) c"
	" WHERE EXISTS (SELECT FROM @.message m WHERE m.slot = c.slot AND m.seq > c.position AND m.seq <= $2)"
	" OR EXISTS (SELECT FROM @.parked p WHERE p.\"group\" = $1 AND p.slot = c.slot AND p.seq <= c.position"
	" AND p.due_at <= clock_timestamp() AND NOT EXISTS (SELECT FROM @.parked b WHERE b.\"group\" = $1 AND b.slot = p.slot"
	" AND b.key = p.key AND b.seq < p.seq AND b.due_at > clock_timestamp())) OR c.missed IS NOT NULL"
	" LIMIT $3 OFFSET $4",
	"tbii", "i"
};

#define MAX_CANDIDATES 8

static TaskapiOutboxStatement lock = {
	"SELECT c.slot::int4, c.position, g.topics, c.missed, c.fencing_token, c.parks"
	" FROM @.consumer c JOIN @.consumer_group g ON g.name = c.\"group\""
	" WHERE " TASKAPI_CONSUMER_IS("$1", "$2") " AND (c.lease_expires_at IS NULL OR c.lease_expires_at <= clock_timestamp())"
	" FOR UPDATE OF c SKIP LOCKED",
	"ti", "ibTbbn"
};

static const TaskapiOutboxLayout group_layout = {1, 2, {{"name", TEXTOID}, {"topics", TEXTARRAYOID}}};
#define PARKED_KEY 2
#define PARKED_SEQ 3
#define PARKED_DUE_AT 4
static const TaskapiOutboxLayout parked_layout = {
	4, 5, {{"group", TEXTOID}, {"slot", INT2OID}, {"key", TEXTOID}, {"seq", INT8OID}, {"due_at", TIMESTAMPTZOID}}
};

/* The free slots of a group, those first that were served longest ago */
static struct
{
	Oid			message;
	int			group_len;
	char		group[NAMEDATALEN];
	TimestampTz made_at;
	int			n;
	int			next;			/* those before it had their turn */
	TaskapiConsumer slots[OUTBOX_SLOTS];
} order;

static bool claim_by_statements(TaskapiReceiver *receiver, TaskapiClaim *claim);
static bool claim_directly(TaskapiReceiver *receiver, TaskapiClaim *claim);
static bool order_is_valid(const TaskapiReceiver *receiver, TimestampTz now);
static void make_order(TaskapiReceiver *receiver, TimestampTz now);
static int	compare_slots(const void *a, const void *b);
static bool has_something(TaskapiReceiver *receiver, const TaskapiConsumer *slot, TimestampTz now);
static bool has_parked_due(TaskapiReceiver *receiver, const TaskapiConsumer *slot, TimestampTz now);
static bool lock_slot(TaskapiReceiver *receiver, const TaskapiConsumer *slot, bool remembered, TaskapiClaim *claim);

void
taskapi_receiver_begin(TaskapiReceiver *receiver, const TaskapiOutbox *outbox, Datum group)
{
	TaskapiOutboxOwner saved;

	memset(receiver, 0, sizeof(TaskapiReceiver));
	receiver->outbox = outbox;
	receiver->group = group;
	if (taskapi_outbox_recent_bound(outbox, GetCurrentTimestamp(), &receiver->bound))
		receiver->bound_is_fresh = false;
	else
	{
		receiver->bound = taskapi_outbox_bound(outbox);
		receiver->bound_is_fresh = true;
	}
	saved = taskapi_outbox_as_owner();
	taskapi_messages_open(&receiver->messages, outbox);
	receiver->direct = receiver->messages.plain && taskapi_consumer_open(&receiver->consumer, outbox) &&
		taskapi_outbox_table_open_name(&receiver->consumer_group, outbox, "consumer_group", &group_layout, AccessShareLock) &&
		taskapi_outbox_table_open_name(&receiver->parked, outbox, "parked", &parked_layout, AccessShareLock);
	taskapi_outbox_end_as_owner(saved);
}

void
taskapi_receiver_end(TaskapiReceiver *receiver)
{
	taskapi_messages_close(&receiver->messages);
	taskapi_outbox_table_close(&receiver->parked);
	taskapi_outbox_table_close(&receiver->consumer_group);
	taskapi_outbox_table_close(&receiver->consumer);
}

void
taskapi_receiver_refresh(TaskapiReceiver *receiver)
{
	if (receiver->bound_is_fresh)
		return;
	taskapi_messages_close(&receiver->messages);
	receiver->bound = taskapi_outbox_bound(receiver->outbox);
	receiver->bound_is_fresh = true;
	taskapi_messages_open(&receiver->messages, receiver->outbox);
}

bool
taskapi_outbox_claim(TaskapiReceiver *receiver, TaskapiClaim *claim)
{
	bool		claimed = false;

	if (receiver->direct)
	{
		TaskapiOutboxOwner saved = taskapi_outbox_as_owner();

		claimed = claim_directly(receiver, claim);
		if (!claimed && receiver->messages.plain && !receiver->bound_is_fresh)
		{
			taskapi_receiver_refresh(receiver);
			claimed = claim_directly(receiver, claim);
		}
		taskapi_outbox_end_as_owner(saved);
		if (claimed || receiver->messages.plain)
			return claimed;
		receiver->direct = false;
	}
	taskapi_receiver_refresh(receiver);
	return claim_by_statements(receiver, claim);
}

static bool
claim_by_statements(TaskapiReceiver *receiver, TaskapiClaim *claim)
{
	Datum		values[4];
	int32		slots[MAX_CANDIDATES];
	int			nslots = MAX_CANDIDATES;
	bool		isnull;

	values[0] = receiver->group;
	for (int tried = 0; nslots == MAX_CANDIDATES && tried < OUTBOX_SLOTS; tried += MAX_CANDIDATES)
	{
		values[1] = Int64GetDatum(receiver->bound);
		values[2] = Int32GetDatum(MAX_CANDIDATES);
		values[3] = Int32GetDatum(tried);
		nslots = (int) taskapi_outbox_run(&candidates, values, NULL);
		for (int i = 0; i < nslots; i++)
			slots[i] = DatumGetInt32(taskapi_outbox_value(i, 0, &isnull));
		for (int i = 0; i < nslots; i++)
		{
			values[1] = Int32GetDatum(slots[i]);
			if (taskapi_outbox_run(&lock, values, NULL) == 0)
				continue;
			claim->slot = slots[i];
			claim->position = taskapi_outbox_int64(0, 1);
			claim->topics = taskapi_outbox_value(0, 2, &claim->all_topics);
			claim->missed = taskapi_outbox_int64(0, 3);
			claim->last_token = taskapi_outbox_int64(0, 4);
			claim->has_parked = DatumGetBool(taskapi_outbox_value(0, 5, &isnull)) || isnull;
			return true;
		}
	}
	return false;
}

/*
 * The snapshot is younger than the bound.
 */
static bool
claim_directly(TaskapiReceiver *receiver, TaskapiClaim *claim)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		remembered = order_is_valid(receiver, now);
	bool		claimed = false;

	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (!remembered)
		make_order(receiver, now);
	while (!claimed && receiver->messages.plain)
	{
		const TaskapiConsumer *slot;

		if (order.next == order.n)
		{
			if (!remembered)
				break;
			remembered = false;
			make_order(receiver, now);
			continue;
		}
		slot = &order.slots[order.next++];
		claimed = has_something(receiver, slot, now) && lock_slot(receiver, slot, remembered, claim);
	}
	PopActiveSnapshot();
	/* Whoever has found nothing must not begin where he ended. */
	if (!claimed)
		order.n = order.next = 0;
	return claimed;
}

static bool
order_is_valid(const TaskapiReceiver *receiver, TimestampTz now)
{
	const text *group = DatumGetTextPP(receiver->group);

	return order.next < order.n && order.message == receiver->outbox->message && order.made_at <= now &&
		now - order.made_at <= OUTBOX_RECENT && order.group_len == VARSIZE_ANY_EXHDR(group) &&
		memcmp(order.group, VARDATA_ANY(group), order.group_len) == 0;
}

/*
 * As of the active snapshot
 */
static void
make_order(TaskapiReceiver *receiver, TimestampTz now)
{
	const text *group = DatumGetTextPP(receiver->group);

	order.n = order.next = 0;
	order.message = receiver->outbox->message;
	order.made_at = now;
	order.group_len = VARSIZE_ANY_EXHDR(group);
	if (order.group_len > sizeof(order.group))
		return;					/* no group has such a name */
	memcpy(order.group, VARDATA_ANY(group), order.group_len);
	for (int32 slot = 0; slot < OUTBOX_SLOTS; slot++)
	{
		TaskapiConsumer *consumer = &order.slots[order.n];

		if (taskapi_consumer_read(&receiver->consumer, receiver->group, slot, consumer) && taskapi_consumer_is_free(consumer, now))
			order.n++;
	}
	qsort(order.slots, order.n, sizeof(TaskapiConsumer), compare_slots);
}

static int
compare_slots(const void *a, const void *b)
{
	const TaskapiConsumer *first = a;
	const TaskapiConsumer *second = b;

	if (first->received_at != second->received_at)
		return first->received_at < second->received_at ? -1 : 1;
	return first->slot - second->slot;
}

/*
 * Is there anything that could be handed out?  What it goes by may be old.
 */
static bool
has_something(TaskapiReceiver *receiver, const TaskapiConsumer *slot, TimestampTz now)
{
	if (slot->missed != 0 || taskapi_messages_first(&receiver->messages, slot->slot, slot->position, receiver->bound) != 0)
		return true;
	return slot->parks && has_parked_due(receiver, slot, now);
}

/*
 * Is a message due that was parked, and none before it of its key is in its pause?  Those of a key come in order.
 */
static bool
has_parked_due(TaskapiReceiver *receiver, const TaskapiConsumer *slot, TimestampTz now)
{
	Datum		keys[2] = {receiver->group, Int16GetDatum((int16) slot->slot)};
	text	   *key = NULL;
	bool		pauses = false;
	bool		found = false;

	taskapi_outbox_scan_begin(&receiver->parked, keys, lengthof(keys), NULL);
	while (!found && taskapi_outbox_scan_next(&receiver->parked, ForwardScanDirection))
	{
		int64		seq = taskapi_outbox_number(&receiver->parked, PARKED_SEQ);
		TimestampTz due_at = taskapi_outbox_number(&receiver->parked, PARKED_DUE_AT);
		bool		isnull;
		Datum		next = taskapi_outbox_column(&receiver->parked, PARKED_KEY, &isnull);

		if (key == NULL || !DatumGetBool(DirectFunctionCall2Coll(texteq, C_COLLATION_OID, PointerGetDatum(key), next)))
		{
			key = DatumGetTextPCopy(next);
			pauses = false;
		}
		pauses = pauses || due_at > now;
		found = !pauses && due_at != 0 && seq <= slot->position;
	}
	taskapi_outbox_scan_end(&receiver->parked);
	return found;
}

static bool
lock_slot(TaskapiReceiver *receiver, const TaskapiConsumer *slot, bool remembered, TaskapiClaim *claim)
{
	TaskapiConsumer locked;
	bool		claimed;

	if (!taskapi_consumer_lock(&receiver->consumer, receiver->group, slot->slot, LockWaitSkip, &locked) ||
		!taskapi_consumer_is_free(&locked, GetCurrentTimestamp()) ||
		(remembered && locked.received_at != slot->received_at))
		return false;

	claim->slot = locked.slot;
	claim->position = locked.position;
	claim->missed = locked.missed;
	claim->last_token = locked.fencing_token;
	claim->has_parked = locked.parks;
	PushActiveSnapshot(GetTransactionSnapshot());
	claimed = taskapi_outbox_find_last(&receiver->consumer_group, &receiver->group, 1, NULL);
	if (claimed)
	{
		claim->topics = taskapi_outbox_column(&receiver->consumer_group, 1, &claim->all_topics);
		if (!claim->all_topics)
			claim->topics = PointerGetDatum(DatumGetArrayTypePCopy(claim->topics));
	}
	PopActiveSnapshot();
	return claimed;
}
