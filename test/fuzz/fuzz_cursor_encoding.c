/*
 * Encoded keys: memcmp orders the bytes of two values as the values, ascending and inverted; what is decoded is what was
 * encoded; no encoding is a prefix of another one.
 *
 * A numeric stands here in its binary send form, which the two functions below take for the value itself.
 */
#include "postgres.h"

#include <math.h>

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "port/pg_bswap.h"

#include "base/compat.h"
#include "cursor/cursor_encoding.h"
#include "server.h"

#define MAX_DIGITS 6

typedef struct Number
{
	int			sign;			/* -1, 0, 1 */
	int			weight;			/* of digits[0], in base 10000 */
	int			ndigits;
	int			digits[MAX_DIGITS];
} Number;

Datum
numeric_send(PG_FUNCTION_ARGS)
{
	struct varlena *value = (struct varlena *) PG_GETARG_POINTER(0);

	return PointerGetDatum(memcpy(palloc(VARSIZE(value)), value, VARSIZE(value)));
}

Datum
numeric_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	struct varlena *value = palloc(VARHDRSZ + buf->len);

	SET_VARSIZE(value, VARHDRSZ + buf->len);
	memcpy(VARDATA(value), buf->data, buf->len);
	return PointerGetDatum(value);
}

Datum
DirectFunctionCall1Coll(PGFunction func, Oid collation, Datum arg1)
{
	LOCAL_FCINFO(fcinfo, 1);

	fcinfo->args[0].value = arg1;
	return func(fcinfo);
}

Datum
DirectFunctionCall3Coll(PGFunction func, Oid collation, Datum arg1, Datum arg2, Datum arg3)
{
	return DirectFunctionCall1Coll(func, collation, arg1);
}

struct varlena *
pg_detoast_datum(struct varlena *datum)
{
	return datum;
}

static int
sign_of(double x)
{
	return (x > 0) - (x < 0);
}

/* Both directions, and that neither is a prefix of the other */
static void
check_order(TaskapiBytes a, TaskapiBytes b, int expected)
{
	int			cmp = memcmp(a.data, b.data, Min(a.len, b.len));

	PROPERTY(sign_of(cmp) == expected);
	PROPERTY(cmp != 0 || a.len == b.len);
	PROPERTY(a.data[0] != 0x00 && a.data[0] != 0xFF);
	taskapi_invert(a.data, a.len);
	taskapi_invert(b.data, b.len);
	PROPERTY(sign_of(memcmp(a.data, b.data, Min(a.len, b.len))) == -expected);
	PROPERTY(a.data[0] != 0x00 && a.data[0] != 0xFF);
	taskapi_invert(a.data, a.len);
	taskapi_invert(b.data, b.len);
}

static void
check_integers(int64 a, int64 b)
{
	TaskapiBytes ea = {NULL, 0, 0};
	TaskapiBytes eb = {NULL, 0, 0};
	const uint8 *pos;
	bool		negative;

	taskapi_encode_int(&ea, a);
	taskapi_encode_int(&eb, b);
	check_order(ea, eb, (a > b) - (a < b));
	pos = ea.data;
	PROPERTY((int64) taskapi_decode_number(&pos, 0, &negative) == a && pos == ea.data + ea.len && negative == (a < 0));
	PROPERTY(taskapi_unzigzag(taskapi_zigzag(a)) == a);

	ea.len = eb.len = 0;
	taskapi_encode_uint(&ea, (uint64) a);
	taskapi_encode_uint(&eb, (uint64) b);
	check_order(ea, eb, ((uint64) a > (uint64) b) - ((uint64) a < (uint64) b));
	taskapi_invert(ea.data, ea.len);
	pos = ea.data;
	PROPERTY(taskapi_decode_number(&pos, 0xFF, &negative) == (uint64) a && pos == ea.data + ea.len);

	ea.len = 0;
	taskapi_bytes_append_varint(&ea, (uint64) a);
	pos = ea.data;
	{
		uint64		value;

		PROPERTY(taskapi_read_varint(&pos, ea.data + ea.len, &value) && value == (uint64) a && pos == ea.data + ea.len);
		pos = ea.data;
		PROPERTY(!taskapi_read_varint(&pos, ea.data + ea.len - 1, &value));
	}
}

static void
check_floats(double a, double b)
{
	TaskapiBytes ea = {NULL, 0, 0};
	TaskapiBytes eb = {NULL, 0, 0};
	const uint8 *pos;
	double		back;

	taskapi_encode_float(&ea, a);
	taskapi_encode_float(&eb, b);
	check_order(ea, eb, isnan(a) ? !isnan(b) : isnan(b) ? -1 : (a > b) - (a < b));
	pos = ea.data;
	back = taskapi_decode_float(&pos, 0);
	PROPERTY(isnan(a) ? isnan(back) : back == a);
	PROPERTY(pos == ea.data + ea.len);
}

static void
check_strings(const uint8 *a, int a_len, const uint8 *b, int b_len)
{
	TaskapiBytes ea = {NULL, 0, 0};
	TaskapiBytes eb = {NULL, 0, 0};
	const uint8 *pos;
	uint8	   *back;
	int			len;
	int			cmp = memcmp(a, b, Min(a_len, b_len));

	if (cmp == 0)
		cmp = a_len - b_len;
	taskapi_encode_bytea(&ea, a, a_len);
	taskapi_encode_bytea(&eb, b, b_len);
	check_order(ea, eb, (cmp > 0) - (cmp < 0));
	pos = ea.data;
	back = taskapi_decode_bytea(&pos, 0, &len);
	PROPERTY(len == a_len && memcmp(back + VARHDRSZ, a, len) == 0 && pos == ea.data + ea.len);

	if (memchr(a, 0, a_len) || memchr(b, 0, b_len))
		return;
	ea.len = eb.len = 0;
	taskapi_encode_text(&ea, (const char *) a, a_len);
	taskapi_encode_text(&eb, (const char *) b, b_len);
	check_order(ea, eb, (cmp > 0) - (cmp < 0));
	taskapi_invert(ea.data, ea.len);
	pos = ea.data;
	back = taskapi_decode_text(&pos, 0xFF, VARHDRSZ, &len);
	PROPERTY(len == a_len && memcmp(back + VARHDRSZ, a, len) == 0 && pos == ea.data + ea.len);
}

static Number
read_number(const uint8 *data)
{
	Number		n = {0};

	n.weight = (int16) ((data[0] << 8) | data[1]);
	n.ndigits = data[2] % (MAX_DIGITS + 1);
	n.sign = data[3] & 1 ? -1 : 1;
	for (int i = 0; i < n.ndigits; i++)
		n.digits[i] = ((data[4 + 2 * i] << 8) | data[5 + 2 * i]) % 10000;
	return n;
}

static struct varlena *
send_form(const Number *n, int scale)
{
	struct varlena *value = palloc(VARHDRSZ + 8 + 2 * n->ndigits);
	uint16	   *words = (uint16 *) VARDATA(value);

	SET_VARSIZE(value, VARHDRSZ + 8 + 2 * n->ndigits);
	words[0] = pg_hton16((uint16) n->ndigits);
	words[1] = pg_hton16((uint16) n->weight);
	words[2] = pg_hton16(n->sign < 0 ? 0x4000 : 0);
	words[3] = pg_hton16((uint16) scale);
	for (int i = 0; i < n->ndigits; i++)
		words[4 + i] = pg_hton16((uint16) n->digits[i]);
	return value;
}

/* The digit that stands for 10000 to the power of "weight" */
static int
digit_at(const Number *n, int weight)
{
	int			i = n->weight - weight;

	return i >= 0 && i < n->ndigits ? n->digits[i] * n->sign : 0;
}

static int
compare_numbers(const Number *a, const Number *b)
{
	int			from = Max(a->weight, b->weight);
	int			to = Min(a->weight - a->ndigits, b->weight - b->ndigits);
	int			sign_a = 0;
	int			sign_b = 0;

	for (int w = a->weight; w > a->weight - a->ndigits && sign_a == 0; w--)
		sign_a = sign_of(digit_at(a, w));
	for (int w = b->weight; w > b->weight - b->ndigits && sign_b == 0; w--)
		sign_b = sign_of(digit_at(b, w));
	if (sign_a != sign_b)
		return sign_of(sign_a - sign_b);
	for (int w = from; w >= to; w--)
	{
		if (digit_at(a, w) != digit_at(b, w))
			return sign_of(digit_at(a, w) - digit_at(b, w));
	}
	return 0;
}

static void
check_numerics(const uint8 *data)
{
	Number		a = read_number(data);
	Number		b = read_number(data + 4 + 2 * MAX_DIGITS);
	int			scale = data[2 * (4 + 2 * MAX_DIGITS)] * 4;
	TaskapiBytes ea = {NULL, 0, 0};
	TaskapiBytes eb = {NULL, 0, 0};
	int			dscale = -1;
	int			ignored = -1;
	const uint8 *pos;
	struct varlena *back;
	uint16	   *words;
	Number		again = {0};

	/* a weight near the end of int16 would wrap when its leading zeros are stripped, which no numeric has */
	if (abs(a.weight) > 32000 || abs(b.weight) > 32000)
		return;
	taskapi_encode_numeric(&ea, (Numeric) send_form(&a, scale), &dscale);
	taskapi_encode_numeric(&eb, (Numeric) send_form(&b, 0), &ignored);
	check_order(ea, eb, compare_numbers(&a, &b));

	pos = ea.data;
	PROPERTY(taskapi_skip_numeric(pos, 0) == ea.data + ea.len);
	back = (struct varlena *) DatumGetPointer(taskapi_decode_numeric(&pos, 0, dscale));
	PROPERTY(pos == ea.data + ea.len);
	words = (uint16 *) VARDATA(back);
	again.ndigits = pg_ntoh16(words[0]);
	again.weight = (int16) pg_ntoh16(words[1]);
	again.sign = pg_ntoh16(words[2]) == 0x4000 ? -1 : 1;
	PROPERTY(again.ndigits <= a.ndigits && pg_ntoh16(words[3]) == scale);
	for (int i = 0; i < again.ndigits; i++)
		again.digits[i] = pg_ntoh16(words[4 + i]);
	PROPERTY(compare_numbers(&a, &again) == 0);
}

static void
body(const uint8 *data, size_t size)
{
	uint8		buf[2 * (4 + 2 * MAX_DIGITS) + 1] = {0};
	int64		integers[2];
	double		floats[2];

	if (size < 2)
		return;
	memcpy(buf, data + 1, Min(size - 1, sizeof(buf)));
	memcpy(integers, buf, sizeof(integers));
	memcpy(floats, buf, sizeof(floats));
	switch (data[0] % 5)
	{
		case 0:
			check_integers(integers[0], integers[1]);
			break;
		case 1:
			/* as close together as bytes can make them */
			check_integers(integers[0] >> (buf[16] % 64), integers[1] >> (buf[16] % 64));
			break;
		case 2:
			check_floats(floats[0], floats[1]);
			break;
		case 3:
			{
				int			half = (size - 1) / 2;

				check_strings(data + 1, half, data + 1 + half, size - 1 - half);
				break;
			}
		default:
			check_numerics(buf);
	}
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	run_protected(body, data, size);
	return 0;
}
