/*-------------------------------------------------------------------------
 *
 * outbox_bound.h
 *	  Up to which number everything is decided that will ever be there.
 *
 * Numbers are drawn from a sequence, and transactions commit in another order: a reader who goes by the largest number that it
 * sees skips what commits later.  So a transaction, before it draws its first number, takes a lock in share mode, which nothing
 * conflicts with, whose tag says what the sequence had reached.  It draws larger numbers only, and holds the lock to its end, over
 * savepoints and PREPARE TRANSACTION.
 *
 * A reader reads, in this order: the sequence, the locks, and with a snapshot that is taken afterwards the messages up to the least
 * of what it found.  A transaction whose lock it does not see has either not taken it yet, and draws numbers above what the
 * sequence had reached before; or has ended, and what it committed is visible to the snapshot, since locks are released after that.
 *
 * The locks are found by GetLockStatusData(), which copies the server's whole lock table: 50 us with few locks, half a millisecond
 * with a thousand.  The server has no function that walks one class of them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_OUTBOX_BOUND_H
#define TASKAPI_OUTBOX_BOUND_H

#include "utils/timestamp.h"

#include "outbox/outbox.h"

/* Registers the callback that forgets the lock when the transaction ends. */
extern void taskapi_outbox_bound_init(void);

/* The next number, under the lock.  An error if it is not above what the lock says. */
extern int64 taskapi_outbox_draw(const TaskapiOutbox *outbox);

/* Take the snapshot that reads the messages, and look for their partitions, after it returns. */
extern int64 taskapi_outbox_bound(const TaskapiOutbox *outbox);

/*
 * The same as it was a moment ago: what is decided stays so.  It is enough for who finds all that he wants below it.  false if
 * there is none.
 */
extern bool taskapi_outbox_recent_bound(const TaskapiOutbox *outbox, TimestampTz now, int64 *bound);

/* A moment, in microseconds */
#define OUTBOX_RECENT 20000

#endif							/* TASKAPI_OUTBOX_BOUND_H */
