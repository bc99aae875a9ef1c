/*-------------------------------------------------------------------------
 *
 * idempotency.h
 *	  The idempotency-key ledger: an effect once for every key.
 *
 * Ledger row, effect and stored response are written by one transaction:
 *
 *		claim	takes the key for this transaction, or finds the response that
 *				an earlier one stored
 *		store	writes the response; it becomes visible when the transaction
 *				commits, together with the effect
 *
 * A claim is a heavyweight lock on (scope, key) plus an entry in this backend's
 * memory, and writes nothing.  Both belong to the current subtransaction and go
 * when it rolls back.  The ledger row is inserted once, by store, and never
 * updated.  A transaction that claims a key and commits without store leaves
 * nothing behind: the key is new to the next request.
 *
 * The invariant that everything here rests on: a ledger row is inserted,
 * changed or deleted only by a transaction that holds the key's lock until its
 * end.  The one exception is the purge, which deletes only rows that count as
 * absent already.  So whoever holds the lock and reads with a fresh view sees
 * the key's last committed state, whatever the isolation level and however old
 * the transaction's snapshot.  The primary key is the last guard.
 *
 * The table is read and written directly, not through the executor's permission
 * checks: the caller needs EXECUTE on the functions and no right to the table.
 *
 * Work that spans transactions takes a lease instead: a row without a status,
 * committed before the work begins, whose owner is known by a fencing token
 * (idempotency_lease.c).  To a claim such a row is a key in progress.
 *
 * Strings and datums that are returned are palloc'd in the current context.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_IDEMPOTENCY_H
#define TASKAPI_IDEMPOTENCY_H

#include "datatype/timestamp.h"
#include "storage/itemptr.h"

#include "base/fingerprint.h"

/* GUC variables */
extern int	taskapi_idempotency_ttl;	/* seconds */
extern int	taskapi_idempotency_wait;	/* milliseconds; 0 does not wait */
extern bool taskapi_require_idempotency_key;

/* ---------- keys: idempotency_key.c ---------- */

/*
 * Which key: scope and key as stored, and what the lock is taken on.  "id" is
 * both with a zero byte between, "idlen" bytes long.
 */
typedef struct TaskapiIdempotencyKey
{
	const char *scope;
	const char *key;
	const char *id;
	int			idlen;
	uint64		hash;
} TaskapiIdempotencyKey;

/*
 * Apply the key rules to what the client sent (NULL: idempotency_key_missing), and find the scope: the one given, or
 * with NULL the request's subject, method and path (idempotency_scope_missing without a subject).
 */
extern TaskapiIdempotencyKey *taskapi_idempotency_key(const char *scope, const char *key);

/* The end of a period that begins at "from": an error where ttl is not within (0, 1 year]. */
extern TimestampTz taskapi_idempotency_deadline(TimestampTz from, const Interval *length, const char *argname);

/* ---------- the ledger: idempotency_ledger.c ---------- */

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

/* Does the row count as absent?  Expired and either complete or without a live lease. */
extern bool taskapi_ledger_row_expired(const TaskapiLedgerRow *row, TimestampTz now);

/* Write rows; all need the key's lock.  delete and update return false where the row went away meanwhile (purge). */
extern void taskapi_ledger_insert(const TaskapiIdempotencyKey *key, const TaskapiLedgerRow *row);
extern bool taskapi_ledger_update(const TaskapiIdempotencyKey *key, const TaskapiLedgerRow *row);
extern bool taskapi_ledger_delete(const TaskapiIdempotencyKey *key, const TaskapiLedgerRow *row);

/* Count a replay in the row itself; a statistic, see idempotency_ledger.c. */
extern void taskapi_ledger_count_replay(const TaskapiLedgerRow *row);

/* ---------- one transaction: idempotency.c ---------- */

/*
 * Claim the key for this transaction.  NULL: it is new and now ours, do the work and store.  Otherwise the row to
 * replay; the lock is not held then.  Raises idempotency_key_in_progress, and an error where this transaction has
 * claimed it already without storing.
 *
 * With "check", another fingerprint (NULL: none) than the row's is idempotency_key_reused; without it the caller
 * compares, and counts the replay.  ttl NULL is taskapi_idempotency_ttl; it counts from store.
 */
extern TaskapiLedgerRow *taskapi_idempotency_claim(const TaskapiIdempotencyKey *key, bool check,
												   const uint8 *fingerprint, const Interval *ttl);

/*
 * Store the response of a claimed key.  With "fingerprint" not NULL it replaces the one given to claim.  headers
 * (jsonb) and body (json) may be NULL.  An error where the key is not claimed, or stored already.
 */
extern void taskapi_idempotency_store(const TaskapiIdempotencyKey *key, const uint8 *fingerprint, int status,
									  struct varlena *headers, struct varlena *body);

/*
 * Take the key's lock and read its row as of "now"; what counts as absent is deleted and not returned.  A complete row
 * is returned without the lock: "locked" says which.
 */
extern TaskapiLedgerRow *taskapi_idempotency_look(const TaskapiIdempotencyKey *key, bool *locked, TimestampTz *now);

/* Has this transaction claimed the key, without storing yet? */
extern bool taskapi_idempotency_claimed(const TaskapiIdempotencyKey *key);

pg_noreturn extern void taskapi_idempotency_reused(void);

/* In progress elsewhere, for another "remaining" microseconds at most (0: not known). */
pg_noreturn extern void taskapi_idempotency_in_progress(int64 remaining);

/* A copy of the digest as a bytea; NULL for NULL. */
extern struct varlena *taskapi_fingerprint_datum(const uint8 *fingerprint);

/* Does the row's fingerprint equal this one (NULL: none)? */
extern bool taskapi_fingerprint_matches(const TaskapiLedgerRow *row, const uint8 *fingerprint);

/* Errors for a status that is no final HTTP status, and for headers that are no object of strings. */
extern void taskapi_idempotency_check_response(int status, Jsonb *headers);

#endif							/* TASKAPI_IDEMPOTENCY_H */
