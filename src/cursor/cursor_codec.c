/*-------------------------------------------------------------------------
 *
 * cursor_codec.c
 *	  The codecs of values of a fixed length, and the table of all kinds (cursor_codec.h).
 *
 * Kinds that differ only in what their receive function would refuse (date from integer, time and timestamp from bigint)
 * share everything but the function that reads the binary form.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "datatype/timestamp.h"
#include "port/pg_bswap.h"
#include "utils/date.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "cursor/cursor_codec.h"
#include "cursor/cursor_codec_bytes.h"

static uint64
read_number(TaskapiCursorKeyReader *in)
{
	bool		negative;

	return taskapi_decode_number(&in->pos, in->flip, &negative);
}

/* Integers and whatever is one: a value takes as many bytes as it needs, whatever its type's width. */
static void
encode_int2(const TaskapiCursorKeyType *type, Datum value, TaskapiBytes *key, TaskapiCursorKeyTail *tail)
{
	taskapi_encode_int(key, DatumGetInt16(value));
}

static bool
decode_int2(const TaskapiCursorKeyType *type, TaskapiCursorKeyReader *in, Datum *value)
{
	int64		n = (int64) read_number(in);

	*value = Int16GetDatum((int16) n);
	return n >= PG_INT16_MIN && n <= PG_INT16_MAX;
}

static void
encode_int4(const TaskapiCursorKeyType *type, Datum value, TaskapiBytes *key, TaskapiCursorKeyTail *tail)
{
	taskapi_encode_int(key, DatumGetInt32(value));
}

static bool
decode_int4(const TaskapiCursorKeyType *type, TaskapiCursorKeyReader *in, Datum *value)
{
	int64		n = (int64) read_number(in);

	*value = Int32GetDatum((int32) n);
	return n >= PG_INT32_MIN && n <= PG_INT32_MAX;
}

static void
encode_int8(const TaskapiCursorKeyType *type, Datum value, TaskapiBytes *key, TaskapiCursorKeyTail *tail)
{
	taskapi_encode_int(key, DatumGetInt64(value));
}

static bool
decode_int8(const TaskapiCursorKeyType *type, TaskapiCursorKeyReader *in, Datum *value)
{
	*value = Int64GetDatum((int64) read_number(in));
	return true;
}

static void
encode_uint4(const TaskapiCursorKeyType *type, Datum value, TaskapiBytes *key, TaskapiCursorKeyTail *tail)
{
	taskapi_encode_uint(key, DatumGetUInt32(value));
}

static bool
decode_uint4(const TaskapiCursorKeyType *type, TaskapiCursorKeyReader *in, Datum *value)
{
	*value = UInt32GetDatum((uint32) read_number(in));
	return true;
}

static void
encode_uint8(const TaskapiCursorKeyType *type, Datum value, TaskapiBytes *key, TaskapiCursorKeyTail *tail)
{
	taskapi_encode_uint(key, DatumGetUInt64(value));
}

static bool
decode_uint8(const TaskapiCursorKeyType *type, TaskapiCursorKeyReader *in, Datum *value)
{
	*value = UInt64GetDatum(read_number(in));
	return true;
}

static void
skip_number(const TaskapiCursorKeyType *type, TaskapiCursorKeyReader *in)
{
	read_number(in);
}

static void
skip_two_numbers(const TaskapiCursorKeyType *type, TaskapiCursorKeyReader *in)
{
	read_number(in);
	read_number(in);
}

/* One byte, or a tag and bytes. */
static void
encode_bool(const TaskapiCursorKeyType *type, Datum value, TaskapiBytes *key, TaskapiCursorKeyTail *tail)
{
	taskapi_bytes_append_byte(key, CURSOR_TAG_VALUE + (DatumGetBool(value) ? 1 : 0));
}

static bool
decode_bool(const TaskapiCursorKeyType *type, TaskapiCursorKeyReader *in, Datum *value)
{
	*value = BoolGetDatum((*in->pos++ ^ in->flip) == CURSOR_TAG_VALUE + 1);
	return true;
}

static void
skip_bool(const TaskapiCursorKeyType *type, TaskapiCursorKeyReader *in)
{
	in->pos++;
}

static void
encode_char(const TaskapiCursorKeyType *type, Datum value, TaskapiBytes *key, TaskapiCursorKeyTail *tail)
{
	taskapi_bytes_append_byte(key, CURSOR_TAG_VALUE);
	taskapi_bytes_append_byte(key, (uint8) DatumGetChar(value));
}

static bool
decode_char(const TaskapiCursorKeyType *type, TaskapiCursorKeyReader *in, Datum *value)
{
	*value = CharGetDatum((char) (in->pos[1] ^ in->flip));
	in->pos += 2;
	return true;
}

static void
skip_char(const TaskapiCursorKeyType *type, TaskapiCursorKeyReader *in)
{
	in->pos += 2;
}

static void
encode_fixed(const TaskapiCursorKeyType *type, Datum value, TaskapiBytes *key, TaskapiCursorKeyTail *tail)
{
	taskapi_bytes_append_byte(key, CURSOR_TAG_VALUE);
	taskapi_bytes_append(key, DatumGetPointer(value), type->typlen);
}

static bool
decode_fixed(const TaskapiCursorKeyType *type, TaskapiCursorKeyReader *in, Datum *value)
{
	uint8	   *copy = palloc(type->typlen);

	for (int i = 0; i < type->typlen; i++)
		copy[i] = in->pos[1 + i] ^ in->flip;
	in->pos += 1 + type->typlen;
	*value = PointerGetDatum(copy);
	return true;
}

static void
skip_fixed(const TaskapiCursorKeyType *type, TaskapiCursorKeyReader *in)
{
	in->pos += 1 + type->typlen;
}

/* Floats: both are written as a float8; the tail, which is empty, says that a zero is -0. */
static void
encode_double(double d, TaskapiBytes *key, TaskapiCursorKeyTail *tail)
{
	taskapi_encode_float(key, d);
	if (d == 0 && signbit(d))
		taskapi_cursor_tail_begin(tail);
}

static double
decode_double(TaskapiCursorKeyReader *in)
{
	double		d = taskapi_decode_float(&in->pos, in->flip);

	return in->has_tail ? -0.0 : d;
}

static void
encode_float4(const TaskapiCursorKeyType *type, Datum value, TaskapiBytes *key, TaskapiCursorKeyTail *tail)
{
	encode_double(DatumGetFloat4(value), key, tail);
}

static bool
decode_float4(const TaskapiCursorKeyType *type, TaskapiCursorKeyReader *in, Datum *value)
{
	double		d = decode_double(in);

	*value = Float4GetDatum((float) d);
	return isnan(d) || (double) (float) d == d;
}

static void
encode_float8(const TaskapiCursorKeyType *type, Datum value, TaskapiBytes *key, TaskapiCursorKeyTail *tail)
{
	encode_double(DatumGetFloat8(value), key, tail);
}

static bool
decode_float8(const TaskapiCursorKeyType *type, TaskapiCursorKeyReader *in, Datum *value)
{
	*value = Float8GetDatum(decode_double(in));
	return true;
}

static void
skip_float(const TaskapiCursorKeyType *type, TaskapiCursorKeyReader *in)
{
	in->pos += 1 + sizeof(double);
}

/* UTC first, as the type sorts. */
static void
encode_timetz(const TaskapiCursorKeyType *type, Datum value, TaskapiBytes *key, TaskapiCursorKeyTail *tail)
{
	TimeTzADT  *t = DatumGetTimeTzADTP(value);

	taskapi_encode_int(key, t->time + t->zone * USECS_PER_SEC);
	taskapi_encode_int(key, t->zone);
}

static bool
decode_timetz(const TaskapiCursorKeyType *type, TaskapiCursorKeyReader *in, Datum *value)
{
	TimeTzADT  *t = palloc(sizeof(TimeTzADT));

	t->time = (int64) read_number(in);
	t->zone = (int32) (int64) read_number(in);
	t->time -= t->zone * USECS_PER_SEC;
	*value = TimeTzADTPGetDatum(t);
	return true;
}

/* Days and the rest of one, a month being 30 days, as the type sorts; the tail keeps the fields that differ. */
static void
encode_interval(const TaskapiCursorKeyType *type, Datum value, TaskapiBytes *key, TaskapiCursorKeyTail *tail)
{
	Interval   *v = DatumGetIntervalP(value);
	int64		days = v->time / USECS_PER_DAY;
	int64		rest = v->time % USECS_PER_DAY;

	if (rest < 0)
	{
		days--;
		rest += USECS_PER_DAY;
	}
	days += (int64) v->month * DAYS_PER_MONTH + v->day;
	taskapi_encode_int(key, days);
	taskapi_encode_int(key, rest);
	if (v->month != 0 || v->day != days || v->time != rest)
	{
		taskapi_cursor_tail_begin(tail);
		taskapi_bytes_append_varint(tail->bytes, taskapi_zigzag(v->month));
		taskapi_bytes_append_varint(tail->bytes, taskapi_zigzag(v->day));
		taskapi_bytes_append_varint(tail->bytes, taskapi_zigzag(v->time));
	}
}

static bool
decode_interval(const TaskapiCursorKeyType *type, TaskapiCursorKeyReader *in, Datum *value)
{
	Interval   *v = palloc0(sizeof(Interval));

	v->day = (int32) (int64) read_number(in);
	v->time = (int64) read_number(in);
	if (in->has_tail)
	{
		v->month = (int32) taskapi_unzigzag(taskapi_cursor_read_tail(in));
		v->day = (int32) taskapi_unzigzag(taskapi_cursor_read_tail(in));
		v->time = taskapi_unzigzag(taskapi_cursor_read_tail(in));
	}
	*value = IntervalPGetDatum(v);
	return true;
}

/* An untyped NULL has no value. */
static void
encode_nothing(const TaskapiCursorKeyType *type, Datum value, TaskapiBytes *key, TaskapiCursorKeyTail *tail)
{
	Assert(false);
}

static bool
decode_nothing(const TaskapiCursorKeyType *type, TaskapiCursorKeyReader *in, Datum *value)
{
	return false;
}

/*
 * The binary forms: big-endian, as the types' send functions write them.
 */
static void
write_uint16(TaskapiBytes *buf, uint16 n)
{
	n = pg_hton16(n);
	taskapi_bytes_append(buf, &n, sizeof(n));
}

static void
write_uint32(TaskapiBytes *buf, uint32 n)
{
	n = pg_hton32(n);
	taskapi_bytes_append(buf, &n, sizeof(n));
}

static void
write_uint64(TaskapiBytes *buf, uint64 n)
{
	n = pg_hton64(n);
	taskapi_bytes_append(buf, &n, sizeof(n));
}

static uint32
read_uint32(const uint8 *p)
{
	uint32		n;

	memcpy(&n, p, sizeof(n));
	return pg_ntoh32(n);
}

static uint64
read_uint64(const uint8 *p)
{
	uint64		n;

	memcpy(&n, p, sizeof(n));
	return pg_ntoh64(n);
}

static void
write_bool(TaskapiCursorKeyType *type, Datum value, TaskapiBytes *buf)
{
	taskapi_bytes_append_byte(buf, DatumGetBool(value) ? 1 : 0);
}

static bool
read_bool(TaskapiCursorKeyType *type, const uint8 *p, int len, Datum *value)
{
	*value = BoolGetDatum(p[0] != 0);
	return true;
}

static void
write_char(TaskapiCursorKeyType *type, Datum value, TaskapiBytes *buf)
{
	taskapi_bytes_append_byte(buf, (uint8) DatumGetChar(value));
}

static bool
read_char(TaskapiCursorKeyType *type, const uint8 *p, int len, Datum *value)
{
	*value = CharGetDatum((char) p[0]);
	return true;
}

static void
write_int2(TaskapiCursorKeyType *type, Datum value, TaskapiBytes *buf)
{
	write_uint16(buf, (uint16) DatumGetInt16(value));
}

static bool
read_int2(TaskapiCursorKeyType *type, const uint8 *p, int len, Datum *value)
{
	uint16		n;

	memcpy(&n, p, sizeof(n));
	*value = Int16GetDatum((int16) pg_ntoh16(n));
	return true;
}

static void
write_int4(TaskapiCursorKeyType *type, Datum value, TaskapiBytes *buf)
{
	write_uint32(buf, DatumGetUInt32(value));
}

static bool
read_int4(TaskapiCursorKeyType *type, const uint8 *p, int len, Datum *value)
{
	*value = Int32GetDatum((int32) read_uint32(p));
	return true;
}

static bool
read_uint4(TaskapiCursorKeyType *type, const uint8 *p, int len, Datum *value)
{
	*value = UInt32GetDatum(read_uint32(p));
	return true;
}

static bool
read_date(TaskapiCursorKeyType *type, const uint8 *p, int len, Datum *value)
{
	DateADT		date = (DateADT) read_uint32(p);

	*value = DateADTGetDatum(date);
	return DATE_NOT_FINITE(date) || IS_VALID_DATE(date);
}

static void
write_int8(TaskapiCursorKeyType *type, Datum value, TaskapiBytes *buf)
{
	write_uint64(buf, (uint64) DatumGetInt64(value));
}

static bool
read_int8(TaskapiCursorKeyType *type, const uint8 *p, int len, Datum *value)
{
	*value = Int64GetDatum((int64) read_uint64(p));
	return true;
}

static bool
read_time(TaskapiCursorKeyType *type, const uint8 *p, int len, Datum *value)
{
	TimeADT		time = (TimeADT) read_uint64(p);

	*value = TimeADTGetDatum(time);
	return time >= 0 && time <= USECS_PER_DAY;
}

static bool
read_timestamp(TaskapiCursorKeyType *type, const uint8 *p, int len, Datum *value)
{
	Timestamp	timestamp = (Timestamp) read_uint64(p);

	*value = TimestampGetDatum(timestamp);
	return TIMESTAMP_NOT_FINITE(timestamp) || IS_VALID_TIMESTAMP(timestamp);
}

static void
write_float4(TaskapiCursorKeyType *type, Datum value, TaskapiBytes *buf)
{
	float4		f = DatumGetFloat4(value);
	uint32		n;

	memcpy(&n, &f, sizeof(n));
	write_uint32(buf, n);
}

static bool
read_float4(TaskapiCursorKeyType *type, const uint8 *p, int len, Datum *value)
{
	uint32		n = read_uint32(p);
	float4		f;

	memcpy(&f, &n, sizeof(f));
	*value = Float4GetDatum(f);
	return true;
}

static void
write_float8(TaskapiCursorKeyType *type, Datum value, TaskapiBytes *buf)
{
	float8		f = DatumGetFloat8(value);
	uint64		n;

	memcpy(&n, &f, sizeof(n));
	write_uint64(buf, n);
}

static bool
read_float8(TaskapiCursorKeyType *type, const uint8 *p, int len, Datum *value)
{
	uint64		n = read_uint64(p);
	float8		f;

	memcpy(&f, &n, sizeof(f));
	*value = Float8GetDatum(f);
	return true;
}

static void
write_timetz(TaskapiCursorKeyType *type, Datum value, TaskapiBytes *buf)
{
	TimeTzADT  *t = DatumGetTimeTzADTP(value);

	write_uint64(buf, (uint64) t->time);
	write_uint32(buf, (uint32) t->zone);
}

static bool
read_timetz(TaskapiCursorKeyType *type, const uint8 *p, int len, Datum *value)
{
	TimeTzADT  *t = palloc(sizeof(TimeTzADT));

	t->time = (int64) read_uint64(p);
	t->zone = (int32) read_uint32(p + 8);
	*value = TimeTzADTPGetDatum(t);
	return t->time >= 0 && t->time <= USECS_PER_DAY && t->zone > -TZDISP_LIMIT && t->zone < TZDISP_LIMIT;
}

static void
write_interval(TaskapiCursorKeyType *type, Datum value, TaskapiBytes *buf)
{
	Interval   *v = DatumGetIntervalP(value);

	write_uint64(buf, (uint64) v->time);
	write_uint32(buf, (uint32) v->day);
	write_uint32(buf, (uint32) v->month);
}

static bool
read_interval(TaskapiCursorKeyType *type, const uint8 *p, int len, Datum *value)
{
	Interval   *v = palloc(sizeof(Interval));

	v->time = (int64) read_uint64(p);
	v->day = (int32) read_uint32(p + 8);
	v->month = (int32) read_uint32(p + 12);
	*value = IntervalPGetDatum(v);
	return true;
}

static void
write_fixed(TaskapiCursorKeyType *type, Datum value, TaskapiBytes *buf)
{
	taskapi_bytes_append(buf, DatumGetPointer(value), type->typlen);
}

static bool
read_fixed(TaskapiCursorKeyType *type, const uint8 *p, int len, Datum *value)
{
	*value = PointerGetDatum(memcpy(palloc(len), p, len));
	return true;
}

static void
write_nothing(TaskapiCursorKeyType *type, Datum value, TaskapiBytes *buf)
{
	Assert(false);
}

static bool
read_nothing(TaskapiCursorKeyType *type, const uint8 *p, int len, Datum *value)
{
	return false;
}

/* One row a kind. */
#define CODEC(...) (&(const TaskapiCursorCodec) {__VA_ARGS__})

const TaskapiCursorCodec *const taskapi_cursor_codecs[] = {
	[CURSOR_KEY_NULL] = CODEC(encode_nothing, decode_nothing, skip_bool, 0, write_nothing, read_nothing),
	[CURSOR_KEY_BOOL] = CODEC(encode_bool, decode_bool, skip_bool, 1, write_bool, read_bool),
	[CURSOR_KEY_INT2] = CODEC(encode_int2, decode_int2, skip_number, 2, write_int2, read_int2),
	[CURSOR_KEY_INT4] = CODEC(encode_int4, decode_int4, skip_number, 4, write_int4, read_int4),
	[CURSOR_KEY_INT8] = CODEC(encode_int8, decode_int8, skip_number, 8, write_int8, read_int8),
	[CURSOR_KEY_DATE] = CODEC(encode_int4, decode_int4, skip_number, 4, write_int4, read_date),
	[CURSOR_KEY_TIME] = CODEC(encode_int8, decode_int8, skip_number, 8, write_int8, read_time),
	[CURSOR_KEY_TIMESTAMP] = CODEC(encode_int8, decode_int8, skip_number, 8, write_int8, read_timestamp),
	[CURSOR_KEY_UINT4] = CODEC(encode_uint4, decode_uint4, skip_number, 4, write_int4, read_uint4),
	[CURSOR_KEY_UINT8] = CODEC(encode_uint8, decode_uint8, skip_number, 8, write_int8, read_int8),
	[CURSOR_KEY_FLOAT4] = CODEC(encode_float4, decode_float4, skip_float, 4, write_float4, read_float4),
	[CURSOR_KEY_FLOAT8] = CODEC(encode_float8, decode_float8, skip_float, 8, write_float8, read_float8),
	[CURSOR_KEY_NUMERIC] = &taskapi_cursor_codec_numeric,
	[CURSOR_KEY_TIMETZ] = CODEC(encode_timetz, decode_timetz, skip_two_numbers, 12, write_timetz, read_timetz),
	[CURSOR_KEY_INTERVAL] = CODEC(encode_interval, decode_interval, skip_two_numbers, 16, write_interval, read_interval),
	[CURSOR_KEY_CHAR] = CODEC(encode_char, decode_char, skip_char, 1, write_char, read_char),
	[CURSOR_KEY_FIXED] = CODEC(encode_fixed, decode_fixed, skip_fixed, CURSOR_WIRE_TYPLEN, write_fixed, read_fixed),
	[CURSOR_KEY_BYTEA] = &taskapi_cursor_codec_bytea,
	[CURSOR_KEY_TEXT] = &taskapi_cursor_codec_text,
	[CURSOR_KEY_NAME] = &taskapi_cursor_codec_name,
	[CURSOR_KEY_BPCHAR] = &taskapi_cursor_codec_bpchar,
	[CURSOR_KEY_RAW] = &taskapi_cursor_codec_raw
};
