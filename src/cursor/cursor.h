/*-------------------------------------------------------------------------
 *
 * cursor.h
 *	  Cursors and tokens, as the other modules use them.
 *
 * A cursor is a varlena Datum: its order_by, the types of its keys and their
 * values in a form that compares (cursor_key.h).  A Datum of the type is verified by
 * construction: it was built here or came through a token that we sealed.
 *
 * A shape is what all cursors of one order_by and one list of key types share.
 * Making one looks into the catalog and is slow; building a cursor of it is fast.
 * Keep it (in fn_extra, in a plan cache) for as long as its memory context lives;
 * it holds no reference to a catalog entry.  Types are reduced to their base
 * types, varchar to text: values given and returned are of those, which are
 * binary compatible with what was asked for.  Collations matter for text only;
 * pass the column's, InvalidOid stands for the database's default.
 *
 * The wire form of a cursor (order, types, values in binary send form) is the
 * payload of its token, and may be embedded in another payload: it says itself
 * where it ends.  It must come from an opened token, never from a client.
 *
 * Nothing returned points into the arguments, except by-reference values, where noted.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_CURSOR_H
#define TASKAPI_CURSOR_H

#include "lib/stringinfo.h"
#include "nodes/nodes.h"

#include "cursor/order_by.h"

typedef struct TaskapiCursorShape TaskapiCursorShape;

/*
 * The shape, allocated in "context".  "nkeys" unlike the number of terms, or a
 * type without a default btree order, is invalid_order_by.
 */
extern TaskapiCursorShape *taskapi_cursor_shape(const TaskapiOrderBy *order_by, int nkeys, const Oid *types,
												const Oid *collations, MemoryContext context);

/* A cursor of that shape, palloc'd. */
extern struct varlena *taskapi_cursor_build(TaskapiCursorShape *shape, const Datum *values, const bool *isnull);

/*
 * The values of a cursor (detoasted or not), one for each term.  cursor_mismatch where the cursor is of
 * another order_by or of types that do not compare with the shape's.
 */
extern void taskapi_cursor_values(TaskapiCursorShape *shape, const struct varlena *cursor, Datum *values, bool *isnull);

/*
 * From token to cursor.  Opening throws invalid_cursor and cursor_expired, or saves them in
 * "escontext" where that is not NULL and then returns NULL.
 */
extern struct varlena *taskapi_cursor_open(const char *token, int len, Node *escontext);

/* The wire form: append it; read one from a cursor position, which is advanced.  A damaged one is invalid_cursor. */
extern void taskapi_cursor_to_wire(const struct varlena *cursor, StringInfo buf);
extern struct varlena *taskapi_cursor_from_wire(StringInfo buf, Node *escontext);

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

#endif							/* TASKAPI_CURSOR_H */
