/*-------------------------------------------------------------------------
 *
 * cursor_codec.h
 *	  What a kind of key is made of: one row of functions for each.
 *
 * A row knows both forms of a value: the encoding that memcmp orders, which stands in the cursor
 * (cursor_key.h), and the type's binary send form, which stands in the token (cursor_wire.h).  A new kind of key is
 * a row and its functions, and nothing else has a switch over kinds.
 *
 * Encoding fails for no value, since the constructor of cursors is leakproof.  Decoding and skipping trust
 * their input, which was encoded here.  Reading the wire form trusts nothing: its bytes are behind a MAC, but a key may
 * have leaked.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_CURSOR_CODEC_H
#define TASKAPI_CURSOR_CODEC_H

#include "cursor/cursor_key.h"

/* What a value's encoding forgets goes behind the keys; "term" says whose it is. */
typedef struct TaskapiCursorKeyTail
{
	TaskapiBytes *bytes;
	int			term;
} TaskapiCursorKeyTail;

/* Where a key is read. */
typedef struct TaskapiCursorKeyReader
{
	const uint8 *pos;
	const uint8 *end;
	uint8		flip;			/* FF if the key is inverted */
	bool		has_tail;		/* "tail" stands behind this key's number */
	const uint8 *tail;
	const uint8 *tail_end;
} TaskapiCursorKeyReader;

/* wire_size of a kind whose binary form has the length of the type; 0 is a length that varies and is written */
#define CURSOR_WIRE_TYPLEN	(-1)

typedef struct TaskapiCursorCodec
{
	/* append the key; read it, false if the value does not fit the type; pass it over */
	void		(*encode) (const TaskapiCursorKeyType *type, Datum value, TaskapiBytes *key, TaskapiCursorKeyTail *tail);
	bool		(*decode) (const TaskapiCursorKeyType *type, TaskapiCursorKeyReader *in, Datum *value);
	void		(*skip) (const TaskapiCursorKeyType *type, TaskapiCursorKeyReader *in);

	/* the binary form: append it, with its length if that varies; read one of "len" bytes, false if it is no value of the type */
	int			wire_size;
	void		(*write) (TaskapiCursorKeyType *type, Datum value, TaskapiBytes *buf);
	bool		(*read) (TaskapiCursorKeyType *type, const uint8 *p, int len, Datum *value);
} TaskapiCursorCodec;

extern const TaskapiCursorCodec *const taskapi_cursor_codecs[CURSOR_KEY_RAW + 1];

static inline void
taskapi_cursor_tail_begin(TaskapiCursorKeyTail *tail)
{
	taskapi_bytes_append_byte(tail->bytes, tail->term);
}

static inline uint64
taskapi_cursor_read_tail(TaskapiCursorKeyReader *in)
{
	uint64		n = 0;

	taskapi_read_varint(&in->tail, in->tail_end, &n);
	return n;
}

#endif							/* TASKAPI_CURSOR_CODEC_H */
