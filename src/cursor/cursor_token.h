/*-------------------------------------------------------------------------
 *
 * cursor_token.h
 *	  The sealed envelope of cursors and page tokens; its functions are declared in
 *	  cursor.h.
 *
 *		base64url, without padding, of
 *			version			1 byte, 1
 *			key id			varint
 *			issue time		4 bytes, big-endian, seconds since 2020-01-01 00:00 UTC
 *			payload
 *			MAC				16 bytes: HMAC-SHA-256 of purpose, a zero byte and all of the above
 *
 * A token is read in this order: base64url (one spelling a byte string), version, key
 * id, MAC in constant time, age.  Nothing of the payload is looked at before the MAC
 * is right.  All failures up to there are one and the same invalid_cursor, so that a
 * forger learns nothing.  A token whose MAC is right for another purpose is in the wrong
 * place, and the invalid_cursor says where it belongs: who holds it has it from us.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_CURSOR_TOKEN_H
#define TASKAPI_CURSOR_TOKEN_H

#include "nodes/nodes.h"

#include "cursor/cursor_encoding.h"

#define TASKAPI_TOKEN_MAC_LENGTH 16

/*
 * Tokens of opaque bytes (cursor_token.c): base64url of version, key id, issue time, payload and a
 * MAC over all of it and "purpose".  A token opens only for the purpose that it was sealed for.  All
 * purposes sign with the keys of 'cursor' and obey taskapi.cursor_ttl.
 *
 * seal returns a palloc'd string.  open returns the payload, palloc'd, its length in *len; anything that
 * we did not seal is invalid_cursor, an old one cursor_expired, both as for taskapi_cursor_open.
 */
extern char *taskapi_token_seal(const char *purpose, const uint8 *payload, int len);
extern uint8 *taskapi_token_open(const char *purpose, const char *token, int token_len, int *len, Node *escontext);

/* What is sealed: a cursor by itself, a place in a page, a place in the change feed.  All of them stand in cursor_token.c. */
#define TASKAPI_CURSOR_PURPOSE "cursor"
#define TASKAPI_PAGE_PURPOSE "page"
#define TASKAPI_FEED_PURPOSE "changes"

/*
 * For callers who know the payload as it grows: begin a buffer, append the payload, finish.  The result is palloc'd and
 * terminated; "before" bytes in front of the token and "after" behind it are the caller's to fill, *len is the token's length.
 */
extern void taskapi_token_begin(TaskapiBytes *buf, const char *purpose);
extern char *taskapi_token_finish(TaskapiBytes *buf, const char *purpose, int before, int after, int *len);

/* The oldest a token may be, in seconds; 0 is any age. */
extern int	taskapi_cursor_ttl;

extern void taskapi_cursor_token_init(void);

#endif							/* TASKAPI_CURSOR_TOKEN_H */
