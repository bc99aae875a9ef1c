/*-------------------------------------------------------------------------
 *
 * cursor_encoding.c
 *	  Byte strings that memcmp orders as what they encode (cursor_encoding.h).
 *
 * Encoding never fails, but for want of memory, and every function here is pure.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "lib/stringinfo.h"
#include "port/pg_bitutils.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "base/compat.h"
#include "cursor/cursor_encoding.h"

#define TAG_INT_ZERO	0x80

#define TAG_NUMERIC_NEG_INF		0x02
#define TAG_NUMERIC_NEGATIVE	0x03
#define TAG_NUMERIC_ZERO		0x04
#define TAG_NUMERIC_POSITIVE	0x05
#define TAG_NUMERIC_INF			0x06
#define TAG_NUMERIC_NAN			0x07

/* A numeric's weight in one byte, or an escape and two bytes */
#define WEIGHT_BIAS		0x80
#define WEIGHT_MAX		100
#define WEIGHT_SMALL	0x08
#define WEIGHT_LARGE	0xF8

/* Sign words of numeric's binary form */
#define NUMERIC_SEND_POS	0x0000
#define NUMERIC_SEND_NEG	0x4000
#define NUMERIC_SEND_NAN	0xC000
#define NUMERIC_SEND_PINF	0xD000
#define NUMERIC_SEND_NINF	0xF000
#define NUMERIC_DIGIT_WIDTH 4

/* Bytes that a magnitude takes; 0 takes none */
static inline int
magnitude_bytes(uint64 magnitude)
{
	return magnitude == 0 ? 0 : pg_leftmost_one_pos64(magnitude) / 8 + 1;
}

void
taskapi_bytes_init(TaskapiBytes *buf, int max)
{
	buf->data = palloc(max);
	buf->len = 0;
	buf->max = max;
}

void
taskapi_bytes_grow(TaskapiBytes *buf, int needed)
{
	Size		max = Max((Size) buf->max * 2, (Size) buf->len + needed);

	if (max > MaxAllocSize)
		max = MaxAllocSize;
	if (max < (Size) buf->len + needed)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("cursor is too large")));
	if (buf->data)
		buf->data = repalloc(buf->data, max);
	else
		buf->data = palloc(max);
	buf->max = max;
}

void
taskapi_bytes_append_varint(TaskapiBytes *buf, uint64 value)
{
	uint8	   *p = taskapi_bytes_reserve(buf, 10);
	int			n = 0;

	while (value >= 0x80)
	{
		p[n++] = (uint8) (value | 0x80);
		value >>= 7;
	}
	p[n++] = (uint8) value;
	buf->len += n;
}

bool
taskapi_read_varint(const uint8 **pos, const uint8 *end, uint64 *value)
{
	const uint8 *p = *pos;
	uint64		result = 0;

	for (int shift = 0; shift < 64; shift += 7)
	{
		if (p >= end)
			return false;
		result |= (uint64) (*p & 0x7F) << shift;
		if ((*p++ & 0x80) == 0)
		{
			*pos = p;
			*value = result;
			return true;
		}
	}
	return false;
}

void
taskapi_invert(uint8 *data, int len)
{
	for (; len >= sizeof(uint64); data += sizeof(uint64), len -= sizeof(uint64))
	{
		uint64		word;

		memcpy(&word, data, sizeof(word));
		word = ~word;
		memcpy(data, &word, sizeof(word));
	}
	for (; len > 0; data++, len--)
		*data = ~*data;
}

void
taskapi_encode_uint(TaskapiBytes *buf, uint64 magnitude)
{
	int			n = magnitude_bytes(magnitude);
	uint8	   *p = taskapi_bytes_reserve(buf, 9);
	uint64		be = pg_hton64(magnitude);

	p[0] = TAG_INT_ZERO + n;
	memcpy(p + 1, (uint8 *) &be + 8 - n, n);
	buf->len += 1 + n;
}

void
taskapi_encode_int(TaskapiBytes *buf, int64 value)
{
	int			n;
	uint8	   *p;
	uint64		be;

	if (value >= 0)
	{
		taskapi_encode_uint(buf, value);
		return;
	}
	n = Max(magnitude_bytes(~(uint64) value), 1);
	p = taskapi_bytes_reserve(buf, 9);
	be = pg_hton64((uint64) value);
	p[0] = TAG_INT_ZERO - n;
	memcpy(p + 1, (uint8 *) &be + 8 - n, n);
	buf->len += 1 + n;
}

uint64
taskapi_decode_number(const uint8 **pos, uint8 flip, bool *negative)
{
	const uint8 *p = *pos;
	int			tag = *p++ ^ flip;
	int			n = tag >= TAG_INT_ZERO ? tag - TAG_INT_ZERO : TAG_INT_ZERO - tag;
	uint64		value;

	*negative = tag < TAG_INT_ZERO;
	value = *negative ? ~UINT64CONST(0) : 0;
	for (int i = 0; i < n; i++)
		value = (value << 8) | (uint8) (*p++ ^ flip);
	*pos = p;
	return value;
}

void
taskapi_encode_float(TaskapiBytes *buf, double value)
{
	uint8	   *p = taskapi_bytes_reserve(buf, 9);
	uint64		bits;

	if (isnan(value))
		bits = UINT64CONST(0xFFF8000000000000);
	else
	{
		if (value == 0)
			value = 0;			/* drops the sign of -0 */
		memcpy(&bits, &value, sizeof(bits));
		if (bits & (UINT64CONST(1) << 63))
			bits = ~bits;
		else
			bits |= UINT64CONST(1) << 63;
	}
	bits = pg_hton64(bits);
	p[0] = CURSOR_TAG_VALUE;
	memcpy(p + 1, &bits, sizeof(bits));
	buf->len += 9;
}

double
taskapi_decode_float(const uint8 **pos, uint8 flip)
{
	uint64		bits;
	double		value;

	memcpy(&bits, *pos + 1, sizeof(bits));
	*pos += 9;
	bits = pg_ntoh64(bits);
	if (flip)
		bits = ~bits;
	if (bits & (UINT64CONST(1) << 63))
		bits &= ~(UINT64CONST(1) << 63);
	else
		bits = ~bits;
	memcpy(&value, &bits, sizeof(value));
	return value;
}

/*
 * *dscale is set only where it is not what the digits alone would give.
 */
void
taskapi_encode_numeric(TaskapiBytes *buf, Numeric value, int *dscale)
{
	bytea	   *sent = DatumGetByteaP(DirectFunctionCall1(numeric_send, NumericGetDatum(value)));
	uint16	   *words = (uint16 *) VARDATA(sent);
	int			ndigits = (int16) pg_ntoh16(words[0]);
	int			weight = (int16) pg_ntoh16(words[1]);
	int			sign = pg_ntoh16(words[2]);
	int			scale = pg_ntoh16(words[3]);
	uint16	   *digits = words + 4;
	int			natural = 0;
	uint8	   *p;
	uint8	   *body;

	/* none of them is there in a stored numeric, but nothing promises that */
	while (ndigits > 0 && digits[0] == 0)
	{
		digits++;
		ndigits--;
		weight--;
	}
	while (ndigits > 0 && digits[ndigits - 1] == 0)
		ndigits--;

	p = taskapi_bytes_reserve(buf, 4 + 2 * ndigits);
	if (sign == NUMERIC_SEND_NAN || sign == NUMERIC_SEND_PINF || sign == NUMERIC_SEND_NINF)
		*p++ = sign == NUMERIC_SEND_NAN ? TAG_NUMERIC_NAN :
			sign == NUMERIC_SEND_PINF ? TAG_NUMERIC_INF : TAG_NUMERIC_NEG_INF;
	else if (ndigits == 0)
	{
		*p++ = TAG_NUMERIC_ZERO;
		if (scale != 0)
			*dscale = scale;
	}
	else
	{
		int			last = pg_ntoh16(digits[ndigits - 1]);

		*p++ = sign == NUMERIC_SEND_NEG ? TAG_NUMERIC_NEGATIVE : TAG_NUMERIC_POSITIVE;
		body = p;
		if (weight >= -WEIGHT_MAX && weight <= WEIGHT_MAX)
			*p++ = WEIGHT_BIAS + weight;
		else
		{
			uint16		word = weight < 0 ? weight - PG_INT16_MIN : weight;

			*p++ = weight < 0 ? WEIGHT_SMALL : WEIGHT_LARGE;
			*p++ = word >> 8;
			*p++ = word & 0xFF;
		}
		for (int i = 0; i < ndigits; i++)
		{
			uint16		word = (pg_ntoh16(digits[i]) << 1) | (i < ndigits - 1 ? 1 : 0);

			*p++ = word >> 8;
			*p++ = word & 0xFF;
		}
		if (sign == NUMERIC_SEND_NEG)
			taskapi_invert(body, p - body);

		natural = (ndigits - 1 - weight) * NUMERIC_DIGIT_WIDTH;
		for (; natural > 0 && last % 10 == 0; last /= 10)
			natural--;
		natural = Max(natural, 0);
		if (scale != natural)
			*dscale = scale;
	}
	buf->len = p - buf->data;
	pfree(sent);
}

Datum
taskapi_decode_numeric(const uint8 **pos, uint8 flip, int dscale)
{
	StringInfoData buf;
	const uint8 *p = *pos;
	const uint8 *end = taskapi_skip_numeric(p, flip);
	int			tag = *p++ ^ flip;
	uint16		header[4] = {0};
	int			ndigits = 0;
	int			weight = 0;
	int			sign = NUMERIC_SEND_POS;
	Datum		result;

	initStringInfo(&buf);
	appendBinaryStringInfo(&buf, (char *) header, sizeof(header));
	switch (tag)
	{
		case TAG_NUMERIC_NEG_INF:
			sign = NUMERIC_SEND_NINF;
			break;
		case TAG_NUMERIC_INF:
			sign = NUMERIC_SEND_PINF;
			break;
		case TAG_NUMERIC_NAN:
			sign = NUMERIC_SEND_NAN;
			break;
		case TAG_NUMERIC_ZERO:
			break;
		default:
			{
				uint8		invert = tag == TAG_NUMERIC_NEGATIVE ? flip ^ 0xFF : flip;
				int			first = *p++ ^ invert;
				uint16		word;

				if (tag == TAG_NUMERIC_NEGATIVE)
					sign = NUMERIC_SEND_NEG;
				if (first == WEIGHT_SMALL || first == WEIGHT_LARGE)
				{
					weight = ((p[0] ^ invert) << 8) | (p[1] ^ invert);
					if (first == WEIGHT_SMALL)
						weight += PG_INT16_MIN;
					p += 2;
				}
				else
					weight = first - WEIGHT_BIAS;
				for (; p < end; p += 2, ndigits++)
				{
					word = (((p[0] ^ invert) << 8) | (p[1] ^ invert)) >> 1;
					if (dscale < 0 && p + 2 == end)
					{
						int			natural = (ndigits - weight) * NUMERIC_DIGIT_WIDTH;

						for (int last = word; natural > 0 && last % 10 == 0; last /= 10)
							natural--;
						dscale = Max(natural, 0);
					}
					word = pg_hton16(word);
					appendBinaryStringInfo(&buf, (char *) &word, sizeof(word));
				}
			}
	}
	header[0] = pg_hton16((uint16) ndigits);
	header[1] = pg_hton16((uint16) weight);
	header[2] = pg_hton16((uint16) sign);
	header[3] = pg_hton16((uint16) Max(dscale, 0));
	memcpy(buf.data, header, sizeof(header));
	*pos = end;

	result = DirectFunctionCall3(numeric_recv, PointerGetDatum(&buf), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	pfree(buf.data);
	return result;
}

const uint8 *
taskapi_skip_numeric(const uint8 *pos, uint8 flip)
{
	int			tag = *pos++ ^ flip;
	uint8		invert;
	int			first;

	if (tag != TAG_NUMERIC_POSITIVE && tag != TAG_NUMERIC_NEGATIVE)
		return pos;
	invert = tag == TAG_NUMERIC_NEGATIVE ? flip ^ 0xFF : flip;
	first = *pos++ ^ invert;
	if (first == WEIGHT_SMALL || first == WEIGHT_LARGE)
		pos += 2;
	while ((pos[1] ^ invert) & 1)
		pos += 2;
	return pos + 2;
}

void
taskapi_encode_text(TaskapiBytes *buf, const char *data, int len)
{
	uint8	   *p = taskapi_bytes_reserve(buf, len + 2);

	p[0] = CURSOR_TAG_VALUE;
	memcpy(p + 1, data, len);
	p[len + 1] = 0;
	buf->len += len + 2;
}

/*
 * "header" bytes stay free in front of the text, and it is terminated.
 */
uint8 *
taskapi_decode_text(const uint8 **pos, uint8 flip, int header, int *len)
{
	const uint8 *p = *pos + 1;
	const uint8 *stop = p;
	uint8	   *copy;

	while (*stop != flip)
		stop++;
	*len = stop - p;
	copy = palloc(header + *len + 1);
	for (int i = 0; i < *len; i++)
		copy[header + i] = p[i] ^ flip;
	copy[header + *len] = '\0';
	*pos = stop + 1;
	return copy;
}

void
taskapi_encode_bytea(TaskapiBytes *buf, const uint8 *data, int len)
{
	taskapi_bytes_append_byte(buf, CURSOR_TAG_VALUE);
	for (int i = 0; i < len; i++)
	{
		taskapi_bytes_append_byte(buf, data[i]);
		if (data[i] == 0x00)
			taskapi_bytes_append_byte(buf, 0xFF);
	}
	taskapi_bytes_append_byte(buf, 0x00);
	taskapi_bytes_append_byte(buf, 0x00);
}

uint8 *
taskapi_decode_bytea(const uint8 **pos, uint8 flip, int *len)
{
	const uint8 *p = *pos + 1;
	TaskapiBytes out;

	taskapi_bytes_init(&out, VARHDRSZ + 32);
	out.len = VARHDRSZ;
	for (;;)
	{
		uint8		byte = *p++ ^ flip;

		if (byte == 0x00 && (*p++ ^ flip) == 0x00)
			break;
		taskapi_bytes_append_byte(&out, byte);
	}
	*pos = p;
	*len = out.len - VARHDRSZ;
	return out.data;
}

uint64
taskapi_zigzag(int64 value)
{
	return ((uint64) value << 1) ^ (uint64) (value >> 63);
}

int64
taskapi_unzigzag(uint64 value)
{
	return (int64) (value >> 1) ^ -(int64) (value & 1);
}
