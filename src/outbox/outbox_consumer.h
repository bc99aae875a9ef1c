/*-------------------------------------------------------------------------
 *
 * outbox_consumer.h
 *	  The row that says how far a group is in a slot, and who has the slot.
 *
 * A row is written twice for each batch, so an old snapshot that is held elsewhere keeps thousands of its versions, of which the
 * index has an entry for each that went to another page.  So "generation" is part of the key, and is larger on each page than on
 * those before.  The newest version is then the last in the index, whichever pages they are on, and what a unique index compares
 * are the versions of one page: versions that are kept cost nothing but their space.  Where statements write the row, they give it
 * a new generation with each lease.  A backend remembers the generations that it has seen: a search begins with them.
 *
 * "parks" says whether something may be parked in the slot.  It is true from the first message on that is parked, and false again
 * when a settle() finds none: so whoever has nothing to do with parked messages does not look for them, which old versions of these
 * would make dear.
 *
 * Works on plain tables only (outbox_table.h), and for the writing on one without triggers of the owner's; otherwise its user
 * has to use statements.  Call it as the owner.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_OUTBOX_CONSUMER_H
#define TASKAPI_OUTBOX_CONSUMER_H

#include "nodes/lockoptions.h"
#include "utils/timestamp.h"

#include "outbox/outbox_table.h"

typedef struct TaskapiConsumer
{
	int32		slot;
	int64		position;
	int64		delivered;
	int64		missed;			/* 0 is none */
	bool		parks;
	bool		owned;
	int64		fencing_token;
	TimestampTz lease_expires_at;	/* 0 is none, here and below */
	TimestampTz received_at;
} TaskapiConsumer;

/*
 * For statements: the row "c" of a slot.  Whoever writes has locked it by a statement of before: if it changes its generation while
 * this one waits, it is not found.
 */
#define TASKAPI_CONSUMER_IS(group, slot_) \
	"c.\"group\" = " group " AND c.slot = " slot_ " AND c.generation = (SELECT max(l.generation) FROM @.consumer l" \
	" WHERE l.\"group\" = " group " AND l.slot = " slot_ ")"

/* And all rows "c" of a group */
#define TASKAPI_CONSUMERS_OF(group) \
	"generate_series(0, 63) s(n) CROSS JOIN LATERAL (SELECT l.* FROM @.consumer l WHERE l.\"group\" = " group \
	" AND l.slot = s.n ORDER BY l.generation DESC LIMIT 1) c"

/* A lease that is free now */
#define taskapi_consumer_is_free(consumer, now) ((consumer)->lease_expires_at == 0 || (consumer)->lease_expires_at <= (now))

/* What is written; a NULL owner ends the lease, and received_at then stays. */
typedef struct TaskapiConsumerChange
{
	int64		position;
	int64		delivered;
	text	   *owner;
	int64		fencing_token;
	TimestampTz lease_expires_at;
} TaskapiConsumerChange;

/* The table "consumer" for reading and writing; false if a statement has to do it. */
extern bool taskapi_consumer_open(TaskapiOutboxTable *table, const TaskapiOutbox *outbox);

/* As of the active snapshot; false if there is no such row. */
extern bool taskapi_consumer_read(TaskapiOutboxTable *table, Datum group, int32 slot, TaskapiConsumer *consumer);

/*
 * Its newest version, locked to the end of the transaction.  false if there is none, or if somebody has it locked and "policy" is
 * to skip it.  Only in READ COMMITTED.  Take another snapshot for what depends on it.
 */
extern bool taskapi_consumer_lock(TaskapiOutboxTable *table, Datum group, int32 slot, LockWaitPolicy policy,
								  TaskapiConsumer *consumer);

/* The row that was locked last; visible to the next snapshot. */
extern void taskapi_consumer_write(TaskapiOutboxTable *table, const TaskapiConsumerChange *change);

#endif							/* TASKAPI_OUTBOX_CONSUMER_H */
