/*-------------------------------------------------------------------------
 *
 * cursor_codec_bytes.h
 *	  The codecs of values whose length varies: numeric, strings, and types without an encoding.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_CURSOR_CODEC_BYTES_H
#define TASKAPI_CURSOR_CODEC_BYTES_H

#include "cursor/cursor_codec.h"

extern const TaskapiCursorCodec taskapi_cursor_codec_numeric;
extern const TaskapiCursorCodec taskapi_cursor_codec_bytea;
extern const TaskapiCursorCodec taskapi_cursor_codec_text;
extern const TaskapiCursorCodec taskapi_cursor_codec_name;
extern const TaskapiCursorCodec taskapi_cursor_codec_bpchar;
extern const TaskapiCursorCodec taskapi_cursor_codec_raw;

/* The value of a CURSOR_KEY_RAW that is not NULL; advances *pos.  palloc'd if the type is by reference. */
extern Datum taskapi_cursor_decode_raw(const TaskapiCursorKeyType *type, const uint8 **pos, const uint8 *end);

#endif							/* TASKAPI_CURSOR_CODEC_BYTES_H */
