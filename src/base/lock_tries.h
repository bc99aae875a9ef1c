/*-------------------------------------------------------------------------
 *
 * lock_tries.h
 *	  Work under strong locks, without a queue behind it.
 *
 * Who waits for a strong lock makes all who come later wait behind him, readers
 * too.  So a lock is waited for shortly, then everything that was locked and done
 * is given back, and after a pause it is tried again: longer each time, up to ten
 * times the wait, and of random length, so that two who try do not meet for ever.
 *
 * A try is a subtransaction, whose rollback gives its locks back.  What the
 * transaction locked before, it keeps during the pauses.
 *
 * A try within a try is a part of it: it waits no longer, and is not repeated.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_LOCK_TRIES_H
#define TASKAPI_LOCK_TRIES_H

#include "datatype/timestamp.h"
#include "storage/lockdefs.h"

#define TASKAPI_TRY_TIMEOUT 100	/* ms: who queues behind a try hardly notices */

typedef struct TaskapiLockTries
{
	int			timeout;		/* ms that a try waits for one lock at most; a lower lock_timeout counts */
	int			give_up_after;	/* ms; 0 is one try */
	bool		transactions;	/* end the transaction after a try; SPI must be connected as not atomic */

	/* out */
	int			tries;
	TimestampTz started;		/* when the last one began */
	TimestampTz deadline;		/* of its waits in taskapi_lock_in_try() */
} TaskapiLockTries;

typedef void (*TaskapiTryBody) (void *arg);

/*
 * Call "body" until it comes through.  Errors but of a lock that was not to be had, or a deadlock, are passed on.
 * Errors: lock_not_available, after the last try.
 */
extern void taskapi_try_locks(TaskapiLockTries *tries, TaskapiTryBody body, void *arg);

/*
 * In "body", first of all: lock a relation until the transaction ends.  All these waits together take no longer than a
 * try, and what is left of it is the lock_timeout of what follows.
 */
extern void taskapi_lock_in_try(Oid relid, LOCKMODE mode);

#endif							/* TASKAPI_LOCK_TRIES_H */
