/*-------------------------------------------------------------------------
 *
 * idempotency_ledger.h
 *	  The lock on a key, and the rows of the ledger.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_IDEMPOTENCY_LEDGER_H
#define TASKAPI_IDEMPOTENCY_LEDGER_H

#include "storage/itemptr.h"

#include "base/compat.h"
#include "idempotency/idempotency_key.h"

/* GUC taskapi.idempotency_wait, milliseconds; 0 does not wait */
extern int	taskapi_idempotency_wait;

/* In progress elsewhere, for another "remaining" microseconds at most (0: not known). */
pg_noreturn extern void taskapi_idempotency_in_progress(int64 remaining);

/*
 * A row of taskapi.idempotency_key.  Varlena fields are NULL where the column
 * is; "status" is 0 while a lease's work is in progress.
 */
typedef struct TaskapiLedgerRow
{
	ItemPointerData tid;
	TransactionId xmin;
	TimestampTz created_at;
	TimestampTz expires_at;
	int64		fencing_token;	/* 0: not written through a lease */
	int			status;
	TimestampTz completed_at;	/* meaningless while status is 0 */
	TimestampTz lease_expires_at;	/* DT_NOBEGIN: released; meaningless once complete */
	Interval   *lease;
	Interval   *ttl;			/* NULL: not written through a lease */
	struct varlena *fingerprint;	/* bytea */
	struct varlena *recovery_point; /* text */
	struct varlena *state;		/* jsonb */
	struct varlena *headers;	/* jsonb */
	struct varlena *body;		/* json */
} TaskapiLedgerRow;

/*
 * Take the key's lock until the end of the transaction, waiting up to taskapi_idempotency_wait for another transaction:
 * idempotency_key_in_progress after that, try_again for a deadlock.  With "nowait", false instead of waiting.
 */
extern bool taskapi_idempotency_lock(const TaskapiIdempotencyKey *key, bool nowait);
extern void taskapi_idempotency_unlock(const TaskapiIdempotencyKey *key);

/* The key's row as of this moment, or NULL.  It may count as absent: see below. */
extern TaskapiLedgerRow *taskapi_ledger_find(const TaskapiIdempotencyKey *key);

/*
 * Does the row count as absent?  Expired, and either complete or without a live lease and without anything done: what an
 * owner has done is never forgotten before the work is finished.
 */
extern bool taskapi_ledger_row_expired(const TaskapiLedgerRow *row, TimestampTz now);

/* Write rows; all need the key's lock.  delete and update return false where the row went away meanwhile (purge). */
extern void taskapi_ledger_insert(const TaskapiIdempotencyKey *key, const TaskapiLedgerRow *row);
extern bool taskapi_ledger_update(const TaskapiIdempotencyKey *key, const TaskapiLedgerRow *row);
extern bool taskapi_ledger_delete(const TaskapiIdempotencyKey *key, const TaskapiLedgerRow *row);

#endif							/* TASKAPI_IDEMPOTENCY_LEDGER_H */
