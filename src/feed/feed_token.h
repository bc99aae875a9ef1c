/*-------------------------------------------------------------------------
 *
 * feed_token.h
 *	  Page tokens of the change feed.
 *
 * A client holds what "base" sees.  Between two pages of one walk it is on the way from there to "target", and has been told
 * what happened up to a position (feed_events.h).
 *
 * The payload of the sealed token (cursor_token.h), purpose "changes":
 *
 *		flags		1 byte: FEED_TOKEN, with FEED_WALKING and FEED_POSITION
 *		binding		8 bytes of SHA-256: resource, filter, reader
 *		history		8 bytes of SHA-256: what stamps mean, and all that changes what a reader sees but no row (feed_source.h)
 *		scope		8 bytes of SHA-256: what the reader may see
 *		base		varints: xmax, number of entries, how far each is below xmax
 *		target		the same, if it is walking
 *		position	varint of the stamp, then the key: each value's length and binary form
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_FEED_TOKEN_H
#define TASKAPI_FEED_TOKEN_H

#include "feed/feed_snapshot.h"

#define TASKAPI_FEED_DIGEST 8

typedef struct TaskapiFeedToken
{
	uint8		binding[TASKAPI_FEED_DIGEST];
	uint8		history[TASKAPI_FEED_DIGEST];
	uint8		scope[TASKAPI_FEED_DIGEST];
	TaskapiFeedSnapshot base;
	bool		walking;		/* then */
	TaskapiFeedSnapshot target;
	bool		positioned;		/* then */
	uint64		stamp;
	const uint8 *key;
	int			key_length;
} TaskapiFeedToken;

extern char *taskapi_feed_token_seal(const TaskapiFeedToken *token);

/* Errors: invalid_cursor; cursor_expired if it is older than taskapi.cursor_ttl. */
extern void taskapi_feed_token_open(const char *text, int len, TaskapiFeedToken *token);

#endif							/* TASKAPI_FEED_TOKEN_H */
