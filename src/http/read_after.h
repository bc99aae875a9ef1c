/*-------------------------------------------------------------------------
 *
 * read_after.h
 *	  Reading one's own writes on a standby: the header Read-After.
 *
 * A write answers with "Read-After: TOKEN", and a client that sends the header
 * with a read sees that write, on whichever server of the cluster the read lands.
 * The token names the transaction (its 64-bit id), the timeline that it was
 * committed on, and the cluster.  A position in the WAL would not do: the one that
 * is known before the commit lies before the commit record.
 *
 *		base64url, without padding, of
 *			version			1 byte, 1
 *			key id			4 bytes
 *			system			8 bytes, the system identifier
 *			timeline		4 bytes
 *			transaction		8 bytes
 *			MAC				16 bytes: HMAC-SHA-256 of "read-after", a zero byte and all of the above
 *
 * Integers are big-endian; the keys are those of 'cursor'.  Nothing of it is looked
 * at before the MAC is right, so that nobody who has not written can make a server
 * wait.  What waits holds no lock, can be cancelled, and ends with
 * taskapi.read_after_wait, with a promotion, and as soon as the server follows a
 * later timeline than the token's: what of the earlier one has survived is there by
 * then.  A token of another cluster, or of a key that is not known any more, asks
 * for nothing.  The header may be a list, of up to TASKAPI_READ_AFTER_MAX tokens.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_READ_AFTER_H
#define TASKAPI_READ_AFTER_H

#define TASKAPI_READ_AFTER_HEADER "Read-After"
#define TASKAPI_READ_AFTER_MAX 8

/*
 * The token of this transaction; NULL if it has not written so far, or taskapi.read_after_wait says to do without.  Valid until
 * the next transaction.
 */
extern const char *taskapi_read_after_token(void);

/* Inside a request that has written: answer with the token.  Anything else: nothing. */
extern void taskapi_read_after_announce(void);

/* The token of the committed (sub)transaction that wrote what is repeated, palloc'd; NULL under the same condition. */
extern char *taskapi_read_after_of(TransactionId xid);

/*
 * On a standby: wait until what the request's header names is visible to the next statement.  try_again after
 * taskapi.read_after_wait, and at once if the transaction has its snapshot for good; read_after_invalid if the header
 * is none.  Returns whether it had to wait.
 */
extern bool taskapi_read_after_wait(void);

extern void taskapi_read_after_init(void);

#endif							/* TASKAPI_READ_AFTER_H */
