/*-------------------------------------------------------------------------
 *
 * cursor_encoding.h
 *	  Byte strings that memcmp orders as what they encode, and a buffer for them.
 *
 * These are the bodies of the keys that cursor_key.h describes.  Encoders append to
 * a buffer.  Decoders read at *pos and advance it; "flip" is FF where every byte was
 * inverted, else 0.  They trust their input, which was encoded here, and are told
 * an end only where the encoding does not carry its own.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_CURSOR_ENCODING_H
#define TASKAPI_CURSOR_ENCODING_H

#include "utils/numeric.h"

/* First byte of most keys that are not NULL */
#define CURSOR_TAG_VALUE		0x02

/* A growing byte string; unlike StringInfo never terminated, and cheap to append to. */
typedef struct TaskapiBytes
{
	uint8	   *data;
	int			len;
	int			max;
} TaskapiBytes;

extern void taskapi_bytes_init(TaskapiBytes *buf, int max);
extern void taskapi_bytes_grow(TaskapiBytes *buf, int needed);

/* Room for n more bytes; the caller writes them and advances len. */
static inline uint8 *
taskapi_bytes_reserve(TaskapiBytes *buf, int n)
{
	if (unlikely(n > buf->max - buf->len))
		taskapi_bytes_grow(buf, n);
	return buf->data + buf->len;
}

static inline void
taskapi_bytes_append(TaskapiBytes *buf, const void *data, int len)
{
	memcpy(taskapi_bytes_reserve(buf, len), data, len);
	buf->len += len;
}

static inline void
taskapi_bytes_append_byte(TaskapiBytes *buf, uint8 byte)
{
	*taskapi_bytes_reserve(buf, 1) = byte;
	buf->len++;
}

/* Unsigned numbers, seven bits a byte, low ones first. */
extern void taskapi_bytes_append_varint(TaskapiBytes *buf, uint64 value);
extern bool taskapi_read_varint(const uint8 **pos, const uint8 *end, uint64 *value);

/* Invert every byte. */
extern void taskapi_invert(uint8 *data, int len);

/* For small signed numbers in a varint */
extern uint64 taskapi_zigzag(int64 value);
extern int64 taskapi_unzigzag(uint64 value);

extern void taskapi_encode_uint(TaskapiBytes *buf, uint64 magnitude);
extern void taskapi_encode_int(TaskapiBytes *buf, int64 value);
extern uint64 taskapi_decode_number(const uint8 **pos, uint8 flip, bool *negative);

extern void taskapi_encode_float(TaskapiBytes *buf, double value);
extern double taskapi_decode_float(const uint8 **pos, uint8 flip);

/*
 * A numeric by its value.  *dscale is set where the display scale is not what the digits alone would
 * give; pass it back to decode, else -1.
 */
extern void taskapi_encode_numeric(TaskapiBytes *buf, Numeric value, int *dscale);
extern Datum taskapi_decode_numeric(const uint8 **pos, uint8 flip, int dscale);
extern const uint8 *taskapi_skip_numeric(const uint8 *pos, uint8 flip);

/* Text holds no NUL.  Decoding leaves "header" bytes free in front of it, and terminates it. */
extern void taskapi_encode_text(TaskapiBytes *buf, const char *data, int len);
extern uint8 *taskapi_decode_text(const uint8 **pos, uint8 flip, int header, int *len);

/* Any bytes.  Decoding leaves VARHDRSZ bytes free in front of them. */
extern void taskapi_encode_bytea(TaskapiBytes *buf, const uint8 *data, int len);
extern uint8 *taskapi_decode_bytea(const uint8 **pos, uint8 flip, int *len);

#endif							/* TASKAPI_CURSOR_ENCODING_H */
