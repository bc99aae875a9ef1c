/*-------------------------------------------------------------------------
 *
 * idempotency_claim.h
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
 * when it rolls back.  The row of a claim is inserted once, by store, and never
 * updated; that of a lease is.  A transaction that claims a key and commits without store leaves
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
#ifndef TASKAPI_IDEMPOTENCY_CLAIM_H
#define TASKAPI_IDEMPOTENCY_CLAIM_H

#include "base/fingerprint.h"
#include "idempotency/idempotency_ledger.h"

/* GUC variables */
extern int	taskapi_idempotency_ttl;	/* seconds */

/* ---------- one transaction: idempotency_claim.c ---------- */

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

/* Inside a request: say that the answer is that of the row, and of which write it tells (Read-After). */
extern void taskapi_idempotency_replayed(const TaskapiLedgerRow *row);

/* What a standby refuses, taskapi_require_primary() */
#define TASKAPI_KEYED_REQUEST "A request with an idempotency key"

/* A copy of the digest as a bytea; NULL for NULL. */
extern struct varlena *taskapi_fingerprint_datum(const uint8 *fingerprint);

/* Does the row's fingerprint equal this one (NULL: none)? */
extern bool taskapi_fingerprint_matches(const TaskapiLedgerRow *row, const uint8 *fingerprint);

/* Errors for a status that is no final HTTP status, and for headers that are no object of strings. */
extern void taskapi_idempotency_check_response(int status, Jsonb *headers);

/* Defines the module's GUC variables. */
extern void taskapi_idempotency_init(void);

#endif							/* TASKAPI_IDEMPOTENCY_CLAIM_H */
