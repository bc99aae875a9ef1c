/*-------------------------------------------------------------------------
 *
 * outbox_bound.c
 *	  Up to which number everything is decided that will ever be there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/inval.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "outbox/outbox_bound.h"

/* pg_locks.objsubid, beside those of idempotency keys (29801) and subjects (29802) */
#define LOCK_CLASS 29803

/* Has this transaction its lock?  Every number that it draws is larger than what the lock says, so one is enough. */
static bool announced = false;
static int64 announced_number = 0;
static Oid	announced_sequence = InvalidOid;

/* The bound that was found last, of which sequence and when */
static int64 recent_bound = 0;
static Oid	recent_sequence = InvalidOid;
static TimestampTz recent_at = 0;

static void forget(XactEvent event, void *arg);
static void announce(const TaskapiOutbox *outbox);

void
taskapi_outbox_bound_init(void)
{
	RegisterXactCallback(forget, NULL);
}

static void
forget(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		announced = false;
}

int64
taskapi_outbox_draw(const TaskapiOutbox *outbox)
{
	int64		number;

	/* Another outbox, which this transaction has created, has numbers of its own. */
	if (!announced || announced_sequence != outbox->message_seq)
		announce(outbox);
	number = taskapi_outbox_next_number(outbox);
	if (number <= announced_number)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the sequence of the outbox's messages was set back"),
				 errdetail("It gave " INT64_FORMAT ", and was at " INT64_FORMAT ": readers may be beyond that.",
						   number, announced_number),
				 errhint("Call setval() with the last number that was used.")));
	return number;
}

static void
announce(const TaskapiOutbox *outbox)
{
	ResourceOwner owner = CurrentResourceOwner;
	uint64		reached;
	LOCKTAG		tag;

	reached = (uint64) taskapi_outbox_last_number(outbox);
	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (reached >> 32), (uint32) reached, LOCK_CLASS);

	/* The transaction's, not the savepoint's: after ROLLBACK TO it would be gone while the transaction goes on. */
	CurrentResourceOwner = TopTransactionResourceOwner;
	PG_TRY();
	{
		(void) LockAcquire(&tag, ShareLock, false, false);
	}
	PG_FINALLY();
	{
		CurrentResourceOwner = owner;
	}
	PG_END_TRY();
	announced = true;
	announced_number = (int64) reached;
	announced_sequence = outbox->message_seq;
}

int64
taskapi_outbox_bound(const TaskapiOutbox *outbox)
{
	int64		bound = taskapi_outbox_last_number(outbox);
	LockData   *locks = GetLockStatusData();

	for (int i = 0; i < locks->nelements; i++)
	{
		const LockInstanceData *held = &locks->locks[i];
		const LOCKTAG *tag = &held->locktag;

		if (tag->locktag_type == LOCKTAG_ADVISORY && tag->locktag_field1 == MyDatabaseId &&
			tag->locktag_field4 == LOCK_CLASS && held->holdMask != 0)
			bound = Min(bound, (int64) (((uint64) tag->locktag_field2 << 32) | tag->locktag_field3));
	}
	pfree(locks->locks);
	pfree(locks);

	/*
	 * A message below the bound may be in a partition that is new to this backend, which has told of it before its transaction
	 * ended.  A table that this transaction has locked already is not asked about again.
	 */
	AcceptInvalidationMessages();
	recent_bound = bound;
	recent_sequence = outbox->message_seq;
	recent_at = GetCurrentTimestamp();
	return bound;
}

bool
taskapi_outbox_recent_bound(const TaskapiOutbox *outbox, TimestampTz now, int64 *bound)
{
	if (recent_sequence != outbox->message_seq || recent_at > now || now - recent_at > OUTBOX_RECENT)
		return false;
	*bound = recent_bound;
	return true;
}
