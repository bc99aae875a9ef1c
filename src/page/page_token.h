/*-------------------------------------------------------------------------
 *
 * page_token.h
 *	  Page tokens: a position in an order, and which way to go from there.
 *
 * The payload of the sealed token (cursor.h), purpose "page":
 *
 *		flags		1 byte: PAGE_TOKEN, with PAGE_BACKWARD and PAGE_INCLUSIVE
 *		binding		8 bytes of SHA-256 of the source's schema and name and the filter's meaning
 *		position	the wire form of a cursor, which is bound to the order_by itself
 *
 * PAGE_TOKEN is two bits that the first byte of a cursor's own token (cursor_wire.c) never has at once, so that the
 * two can be told apart.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_PAGE_TOKEN_H
#define TASKAPI_PAGE_TOKEN_H

#include "page/page_query.h"

typedef struct TaskapiPagePosition
{
	bool		backward;
	bool		inclusive;
	Datum		values[TASKAPI_MAX_ORDER_TERMS];
	bool		isnull[TASKAPI_MAX_ORDER_TERMS];
} TaskapiPagePosition;

#define TASKAPI_PAGE_BINDING_LENGTH 8

/* What tokens of this source and filter are bound to; "other" is one whose rows stand among the source's, or NULL. */
extern void taskapi_page_binding(const TaskapiPageSource *source, const TaskapiPageSource *other, List *conditions,
								 uint8 *binding);

extern char *taskapi_page_token_seal(TaskapiPageQuery *query, const uint8 *binding, const TaskapiPagePosition *position);

/* "cursors": take the token of a row's cursor too.  Errors: invalid_cursor, cursor_expired, cursor_mismatch. */
extern void taskapi_page_token_open(TaskapiPageQuery *query, const uint8 *binding, const char *token, int len,
									bool cursors, TaskapiPagePosition *position);

#endif							/* TASKAPI_PAGE_TOKEN_H */
