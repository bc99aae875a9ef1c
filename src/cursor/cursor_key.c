/*-------------------------------------------------------------------------
 *
 * cursor_key.c
 *	  One key of a cursor: its type, and its encoding (cursor_key.h).
 *
 * Rules: encoding never fails for any value of its type, since the constructor of
 * cursors is leakproof.  Two values get the same bytes exactly when the type's
 * btree order calls them equal.  What is decoded is the value that was encoded, bit for
 * bit, but for the sign and payload of a NaN.
 *
 * The idea of the layout is that of FoundationDB's tuple layer and of Orderly;
 * the numbers' form is SQLite 4's in spirit.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/transam.h"
#include "access/tupmacs.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "datatype/timestamp.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "cursor/cursor_key.h"

/* What a value's encoding forgets goes behind the keys; "term" says whose it is. */
typedef struct KeyTail
{
	TaskapiBytes *bytes;
	int			term;
} KeyTail;

/* Where a key is read. */
typedef struct KeyReader
{
	const uint8 *pos;
	const uint8 *end;
	uint8		flip;			/* FF where the key is inverted */
	bool		has_tail;		/* "tail" stands behind this key's number */
	const uint8 *tail;
	const uint8 *tail_end;
} KeyReader;

/* One kind of key: append it, read it, pass it over. */
typedef struct KeyCodec
{
	void		(*encode) (const TaskapiKeyType *type, Datum value, TaskapiBytes *key, KeyTail *tail);
	bool		(*decode) (const TaskapiKeyType *type, KeyReader *in, Datum *value);
	void		(*skip) (const TaskapiKeyType *type, KeyReader *in);
} KeyCodec;

static void encode_raw(const TaskapiKeyType *type, TaskapiBytes *buf, Datum value);
static Datum decode_raw(const TaskapiKeyType *type, const uint8 **pos, const uint8 *end);
static inline void tail_begin(KeyTail *tail);

Oid
taskapi_key_base_type(Oid typid)
{
	if (typid >= FirstGenbkiObjectId)
		typid = getBaseType(typid);
	return typid == VARCHAROID ? TEXTOID : typid;
}

Oid
taskapi_key_class(Oid typid)
{
	switch (typid)
	{
		case INT2OID:
		case INT4OID:
			return INT8OID;
		case FLOAT4OID:
			return FLOAT8OID;
		default:
			return typid;
	}
}

TaskapiKeyKind
taskapi_key_kind(Oid typid, TaskapiKeyCollation collation_kind)
{
	switch (typid)
	{
		case UNKNOWNOID:
			return KEY_NULL;
		case BOOLOID:
			return KEY_BOOL;
		case INT2OID:
			return KEY_INT2;
		case INT4OID:
		case DATEOID:
			return KEY_INT4;
		case INT8OID:
		case TIMEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case CASHOID:
			return KEY_INT8;
		case OIDOID:
			return KEY_UINT4;
		case XID8OID:
		case PG_LSNOID:
			return KEY_UINT8;
		case FLOAT4OID:
			return KEY_FLOAT4;
		case FLOAT8OID:
			return KEY_FLOAT8;
		case NUMERICOID:
			return KEY_NUMERIC;
		case TIMETZOID:
			return KEY_TIMETZ;
		case INTERVALOID:
			return KEY_INTERVAL;
		case CHAROID:
			return KEY_CHAR;
		case UUIDOID:
		case MACADDROID:
		case MACADDR8OID:
			return KEY_FIXED;
		case BYTEAOID:
			return KEY_BYTEA;
		case TEXTOID:
			return collation_kind == COLLATION_BYTES ? KEY_TEXT : KEY_RAW;
		case NAMEOID:
			return collation_kind == COLLATION_BYTES ? KEY_NAME : KEY_RAW;
		case BPCHAROID:
			return collation_kind == COLLATION_BYTES ? KEY_BPCHAR : KEY_RAW;
		default:
			return KEY_RAW;
	}
}

TaskapiKeyCollation
taskapi_key_collation_kind(Oid typid, Oid collation)
{
	if (!type_is_collatable(typid))
		return COLLATION_NONE;
	if (!OidIsValid(collation))
		collation = DEFAULT_COLLATION_OID;
	if (taskapi_collate_is_c(collation))
		return COLLATION_BYTES;
	return collation == DEFAULT_COLLATION_OID ? COLLATION_DEFAULT : COLLATION_NAMED;
}

bool
taskapi_key_type_init(TaskapiKeyType *type, Oid typid, Oid collation,
					  TaskapiKeyCollation collation_kind, MemoryContext context)
{
	type->typid = typid;
	type->collation_kind = collation_kind;
	type->kind = taskapi_key_kind(typid, collation_kind);
	type->collation = InvalidOid;
	if (type->kind == KEY_NULL)
		return true;
	get_typlenbyvalalign(typid, &type->typlen, &type->typbyval, &type->typalign);
	if (type->kind == KEY_RAW)
	{
		TypeCacheEntry *entry;
		int16		typlen;
		bool		typbyval;
		char		typalign;
		char		typdelim;
		Oid			send;
		Oid			recv;

		if (typid == RECORDOID || typid == RECORDARRAYOID || type->typlen == -2)
			return false;
		entry = lookup_type_cache(typid, TYPECACHE_CMP_PROC | TYPECACHE_HASH_PROC);
		get_type_io_data(typid, IOFunc_send, &typlen, &typbyval, &typalign, &typdelim, &type->ioparam, &send);
		get_type_io_data(typid, IOFunc_receive, &typlen, &typbyval, &typalign, &typdelim, &type->ioparam, &recv);
		if (!OidIsValid(entry->cmp_proc) || !OidIsValid(send) || !OidIsValid(recv))
			return false;
		fmgr_info_cxt(entry->cmp_proc, &type->cmp, context);
		if (OidIsValid(entry->hash_proc))
			fmgr_info_cxt(entry->hash_proc, &type->hash, context);
		fmgr_info_cxt(send, &type->send, context);
		fmgr_info_cxt(recv, &type->recv, context);
		if (collation_kind == COLLATION_BYTES)
			type->collation = C_COLLATION_OID;
		else if (collation_kind != COLLATION_NONE)
			type->collation = collation;
	}
	return true;
}

static uint64
read_number(KeyReader *in)
{
	bool		negative;

	return taskapi_decode_number(&in->pos, in->flip, &negative);
}

static uint64
read_tail(KeyReader *in)
{
	uint64		n = 0;

	taskapi_read_varint(&in->tail, in->tail_end, &n);
	return n;
}

/* Integers and whatever is one: a value takes as many bytes as it needs, whatever its type's width. */
static void
encode_int2(const TaskapiKeyType *type, Datum value, TaskapiBytes *key, KeyTail *tail)
{
	taskapi_encode_int(key, DatumGetInt16(value));
}

static bool
decode_int2(const TaskapiKeyType *type, KeyReader *in, Datum *value)
{
	int64		n = (int64) read_number(in);

	*value = Int16GetDatum((int16) n);
	return n >= PG_INT16_MIN && n <= PG_INT16_MAX;
}

static void
encode_int4(const TaskapiKeyType *type, Datum value, TaskapiBytes *key, KeyTail *tail)
{
	taskapi_encode_int(key, DatumGetInt32(value));
}

static bool
decode_int4(const TaskapiKeyType *type, KeyReader *in, Datum *value)
{
	int64		n = (int64) read_number(in);

	*value = Int32GetDatum((int32) n);
	return n >= PG_INT32_MIN && n <= PG_INT32_MAX;
}

static void
encode_int8(const TaskapiKeyType *type, Datum value, TaskapiBytes *key, KeyTail *tail)
{
	taskapi_encode_int(key, DatumGetInt64(value));
}

static bool
decode_int8(const TaskapiKeyType *type, KeyReader *in, Datum *value)
{
	*value = Int64GetDatum((int64) read_number(in));
	return true;
}

static void
encode_uint4(const TaskapiKeyType *type, Datum value, TaskapiBytes *key, KeyTail *tail)
{
	taskapi_encode_uint(key, DatumGetUInt32(value));
}

static bool
decode_uint4(const TaskapiKeyType *type, KeyReader *in, Datum *value)
{
	*value = UInt32GetDatum((uint32) read_number(in));
	return true;
}

static void
encode_uint8(const TaskapiKeyType *type, Datum value, TaskapiBytes *key, KeyTail *tail)
{
	taskapi_encode_uint(key, DatumGetUInt64(value));
}

static bool
decode_uint8(const TaskapiKeyType *type, KeyReader *in, Datum *value)
{
	*value = UInt64GetDatum(read_number(in));
	return true;
}

static void
skip_number(const TaskapiKeyType *type, KeyReader *in)
{
	read_number(in);
}

static void
skip_two_numbers(const TaskapiKeyType *type, KeyReader *in)
{
	read_number(in);
	read_number(in);
}

/* One byte, or a tag and bytes. */
static void
encode_bool(const TaskapiKeyType *type, Datum value, TaskapiBytes *key, KeyTail *tail)
{
	taskapi_bytes_append_byte(key, TAG_VALUE + (DatumGetBool(value) ? 1 : 0));
}

static bool
decode_bool(const TaskapiKeyType *type, KeyReader *in, Datum *value)
{
	*value = BoolGetDatum((*in->pos++ ^ in->flip) == TAG_VALUE + 1);
	return true;
}

static void
skip_bool(const TaskapiKeyType *type, KeyReader *in)
{
	in->pos++;
}

static void
encode_char(const TaskapiKeyType *type, Datum value, TaskapiBytes *key, KeyTail *tail)
{
	taskapi_bytes_append_byte(key, TAG_VALUE);
	taskapi_bytes_append_byte(key, (uint8) DatumGetChar(value));
}

static bool
decode_char(const TaskapiKeyType *type, KeyReader *in, Datum *value)
{
	*value = CharGetDatum((char) (in->pos[1] ^ in->flip));
	in->pos += 2;
	return true;
}

static void
skip_char(const TaskapiKeyType *type, KeyReader *in)
{
	in->pos += 2;
}

static void
encode_fixed(const TaskapiKeyType *type, Datum value, TaskapiBytes *key, KeyTail *tail)
{
	taskapi_bytes_append_byte(key, TAG_VALUE);
	taskapi_bytes_append(key, DatumGetPointer(value), type->typlen);
}

static bool
decode_fixed(const TaskapiKeyType *type, KeyReader *in, Datum *value)
{
	uint8	   *copy = palloc(type->typlen);

	for (int i = 0; i < type->typlen; i++)
		copy[i] = in->pos[1 + i] ^ in->flip;
	in->pos += 1 + type->typlen;
	*value = PointerGetDatum(copy);
	return true;
}

static void
skip_fixed(const TaskapiKeyType *type, KeyReader *in)
{
	in->pos += 1 + type->typlen;
}

/* Floats: both are written as a float8; the tail, which is empty, says that a zero is -0. */
static void
encode_double(double d, TaskapiBytes *key, KeyTail *tail)
{
	taskapi_encode_float(key, d);
	if (d == 0 && signbit(d))
		tail_begin(tail);
}

static double
decode_double(KeyReader *in)
{
	double		d = taskapi_decode_float(&in->pos, in->flip);

	return in->has_tail ? -0.0 : d;
}

static void
encode_float4(const TaskapiKeyType *type, Datum value, TaskapiBytes *key, KeyTail *tail)
{
	encode_double(DatumGetFloat4(value), key, tail);
}

static bool
decode_float4(const TaskapiKeyType *type, KeyReader *in, Datum *value)
{
	double		d = decode_double(in);

	*value = Float4GetDatum((float) d);
	return isnan(d) || (double) (float) d == d;
}

static void
encode_float8(const TaskapiKeyType *type, Datum value, TaskapiBytes *key, KeyTail *tail)
{
	encode_double(DatumGetFloat8(value), key, tail);
}

static bool
decode_float8(const TaskapiKeyType *type, KeyReader *in, Datum *value)
{
	*value = Float8GetDatum(decode_double(in));
	return true;
}

static void
skip_float(const TaskapiKeyType *type, KeyReader *in)
{
	in->pos += 1 + sizeof(double);
}

/* The tail keeps the display scale. */
static void
encode_numeric(const TaskapiKeyType *type, Datum value, TaskapiBytes *key, KeyTail *tail)
{
	int			dscale = -1;

	taskapi_encode_numeric(key, DatumGetNumeric(value), &dscale);
	if (dscale >= 0)
	{
		tail_begin(tail);
		taskapi_bytes_append_varint(tail->bytes, dscale);
	}
}

static bool
decode_numeric(const TaskapiKeyType *type, KeyReader *in, Datum *value)
{
	int			dscale = in->has_tail ? (int) read_tail(in) : -1;

	*value = taskapi_decode_numeric(&in->pos, in->flip, dscale);
	return true;
}

static void
skip_numeric(const TaskapiKeyType *type, KeyReader *in)
{
	in->pos = taskapi_skip_numeric(in->pos, in->flip);
}

/* UTC first, as the type sorts. */
static void
encode_timetz(const TaskapiKeyType *type, Datum value, TaskapiBytes *key, KeyTail *tail)
{
	TimeTzADT  *t = DatumGetTimeTzADTP(value);

	taskapi_encode_int(key, t->time + t->zone * USECS_PER_SEC);
	taskapi_encode_int(key, t->zone);
}

static bool
decode_timetz(const TaskapiKeyType *type, KeyReader *in, Datum *value)
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
encode_interval(const TaskapiKeyType *type, Datum value, TaskapiBytes *key, KeyTail *tail)
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
		tail_begin(tail);
		taskapi_bytes_append_varint(tail->bytes, taskapi_zigzag(v->month));
		taskapi_bytes_append_varint(tail->bytes, taskapi_zigzag(v->day));
		taskapi_bytes_append_varint(tail->bytes, taskapi_zigzag(v->time));
	}
}

static bool
decode_interval(const TaskapiKeyType *type, KeyReader *in, Datum *value)
{
	Interval   *v = palloc0(sizeof(Interval));

	v->day = (int32) (int64) read_number(in);
	v->time = (int64) read_number(in);
	if (in->has_tail)
	{
		v->month = (int32) taskapi_unzigzag(read_tail(in));
		v->day = (int32) taskapi_unzigzag(read_tail(in));
		v->time = taskapi_unzigzag(read_tail(in));
	}
	*value = IntervalPGetDatum(v);
	return true;
}

/* Strings: the tail of a bpchar keeps how many blanks are behind it. */
static void
encode_bytea(const TaskapiKeyType *type, Datum value, TaskapiBytes *key, KeyTail *tail)
{
	bytea	   *b = DatumGetByteaPP(value);

	taskapi_encode_bytea(key, (uint8 *) VARDATA_ANY(b), VARSIZE_ANY_EXHDR(b));
}

static bool
decode_bytea(const TaskapiKeyType *type, KeyReader *in, Datum *value)
{
	int			len;
	uint8	   *copy = taskapi_decode_bytea(&in->pos, in->flip, &len);

	SET_VARSIZE(copy, VARHDRSZ + len);
	*value = PointerGetDatum(copy);
	return true;
}

static void
skip_bytea(const TaskapiKeyType *type, KeyReader *in)
{
	for (in->pos++;; in->pos += 2)
	{
		in->pos = memchr(in->pos, in->flip, in->end - in->pos);
		if ((in->pos[1] ^ in->flip) == 0x00)
			break;
	}
	in->pos += 2;
}

static void
encode_text(const TaskapiKeyType *type, Datum value, TaskapiBytes *key, KeyTail *tail)
{
	text	   *t = DatumGetTextPP(value);

	taskapi_encode_text(key, VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t));
}

static void
encode_bpchar(const TaskapiKeyType *type, Datum value, TaskapiBytes *key, KeyTail *tail)
{
	BpChar	   *t = DatumGetBpCharPP(value);
	int			len = VARSIZE_ANY_EXHDR(t);
	int			trimmed = bpchartruelen(VARDATA_ANY(t), len);

	taskapi_encode_text(key, VARDATA_ANY(t), trimmed);
	if (trimmed < len)
	{
		tail_begin(tail);
		taskapi_bytes_append_varint(tail->bytes, len - trimmed);
	}
}

static bool
decode_text(const TaskapiKeyType *type, KeyReader *in, Datum *value)
{
	int			len;
	uint8	   *copy = taskapi_decode_text(&in->pos, in->flip, VARHDRSZ, &len);

	if (in->has_tail)
	{
		uint64		blanks = read_tail(in);

		copy = repalloc(copy, VARHDRSZ + len + blanks);
		memset(copy + VARHDRSZ + len, ' ', blanks);
		len += blanks;
	}
	SET_VARSIZE(copy, VARHDRSZ + len);
	*value = PointerGetDatum(copy);
	return true;
}

static void
encode_name(const TaskapiKeyType *type, Datum value, TaskapiBytes *key, KeyTail *tail)
{
	Name		name = DatumGetName(value);

	taskapi_encode_text(key, NameStr(*name), strlen(NameStr(*name)));
}

static bool
decode_name(const TaskapiKeyType *type, KeyReader *in, Datum *value)
{
	int			len;
	uint8	   *copy = taskapi_decode_text(&in->pos, in->flip, 0, &len);
	Name		name = palloc0(sizeof(NameData));

	memcpy(NameStr(*name), copy, Min(len, NAMEDATALEN - 1));
	pfree(copy);
	*value = NameGetDatum(name);
	return true;
}

static void
skip_text(const TaskapiKeyType *type, KeyReader *in)
{
	in->pos = (const uint8 *) memchr(in->pos + 1, in->flip, in->end - in->pos - 1) + 1;
}

/* Anything else is never inverted, and compared by its type. */
static void
encode_other(const TaskapiKeyType *type, Datum value, TaskapiBytes *key, KeyTail *tail)
{
	encode_raw(type, key, value);
}

static bool
decode_other(const TaskapiKeyType *type, KeyReader *in, Datum *value)
{
	*value = decode_raw(type, &in->pos, in->end);
	return true;
}

static void
skip_other(const TaskapiKeyType *type, KeyReader *in)
{
	uint64		len = 0;

	in->pos++;
	taskapi_read_varint(&in->pos, in->end, &len);
	in->pos += len;
}

/* An untyped NULL has no value. */
static void
encode_nothing(const TaskapiKeyType *type, Datum value, TaskapiBytes *key, KeyTail *tail)
{
	Assert(false);
}

static bool
decode_nothing(const TaskapiKeyType *type, KeyReader *in, Datum *value)
{
	return false;
}

static const KeyCodec codecs[] = {
	[KEY_NULL] = {encode_nothing, decode_nothing, skip_bool},
	[KEY_BOOL] = {encode_bool, decode_bool, skip_bool},
	[KEY_INT2] = {encode_int2, decode_int2, skip_number},
	[KEY_INT4] = {encode_int4, decode_int4, skip_number},
	[KEY_INT8] = {encode_int8, decode_int8, skip_number},
	[KEY_UINT4] = {encode_uint4, decode_uint4, skip_number},
	[KEY_UINT8] = {encode_uint8, decode_uint8, skip_number},
	[KEY_FLOAT4] = {encode_float4, decode_float4, skip_float},
	[KEY_FLOAT8] = {encode_float8, decode_float8, skip_float},
	[KEY_NUMERIC] = {encode_numeric, decode_numeric, skip_numeric},
	[KEY_TIMETZ] = {encode_timetz, decode_timetz, skip_two_numbers},
	[KEY_INTERVAL] = {encode_interval, decode_interval, skip_two_numbers},
	[KEY_CHAR] = {encode_char, decode_char, skip_char},
	[KEY_FIXED] = {encode_fixed, decode_fixed, skip_fixed},
	[KEY_BYTEA] = {encode_bytea, decode_bytea, skip_bytea},
	[KEY_TEXT] = {encode_text, decode_text, skip_text},
	[KEY_NAME] = {encode_name, decode_name, skip_text},
	[KEY_BPCHAR] = {encode_bpchar, decode_text, skip_text},
	[KEY_RAW] = {encode_other, decode_other, skip_other}
};

void
taskapi_key_encode_null(const TaskapiKeyType *type, TaskapiBytes *key)
{
	taskapi_bytes_append_byte(key, type->nulls_first ? 0x00 : 0xFF);
}

void
taskapi_key_encode(const TaskapiKeyType *type, Datum value, int term, TaskapiBytes *key, TaskapiBytes *tail)
{
	int			start = key->len;
	KeyTail		rest = {tail, term};

	codecs[type->kind].encode(type, value, key, &rest);
	if (type->descending && type->kind != KEY_RAW)
		taskapi_invert(key->data + start, key->len - start);
}

bool
taskapi_key_decode(const TaskapiKeyType *type, int term, const uint8 **pos, const uint8 *end,
				   const uint8 **tail, const uint8 *tail_end, Datum *value, bool *isnull)
{
	KeyReader	in = {*pos, end, type->descending ? 0xFF : 0, false, *tail, tail_end};
	bool		fits;

	*value = (Datum) 0;
	*isnull = taskapi_key_is_null(type, *pos);
	if (*isnull)
	{
		(*pos)++;
		return true;
	}
	if (in.tail < tail_end && *in.tail == term)
	{
		in.has_tail = true;
		in.tail++;
	}
	fits = codecs[type->kind].decode(type, &in, value);
	*pos = in.pos;
	*tail = in.tail;
	return fits;
}

const uint8 *
taskapi_key_skip(const TaskapiKeyType *type, const uint8 *pos, const uint8 *end)
{
	KeyReader	in = {pos, end, type->descending ? 0xFF : 0};

	if (taskapi_key_is_null(type, pos))
		return pos + 1;
	codecs[type->kind].skip(type, &in);
	return in.pos;
}

int
taskapi_key_compare_raw(TaskapiKeyType *type, const uint8 **a, const uint8 *a_end,
						const uint8 **b, const uint8 *b_end)
{
	Datum		da = decode_raw(type, a, a_end);
	Datum		db = decode_raw(type, b, b_end);
	int			cmp = DatumGetInt32(FunctionCall2Coll(&type->cmp, type->collation, da, db));

	if (!type->typbyval)
	{
		pfree(DatumGetPointer(da));
		pfree(DatumGetPointer(db));
	}
	cmp = (cmp > 0) - (cmp < 0);
	return type->descending ? -cmp : cmp;
}

uint32
taskapi_key_hash_raw(TaskapiKeyType *type, const uint8 **pos, const uint8 *end)
{
	Datum		value = decode_raw(type, pos, end);
	uint32		hash = 0;

	if (OidIsValid(type->hash.fn_oid))
		hash = DatumGetUInt32(FunctionCall1Coll(&type->hash, type->collation, value));
	if (!type->typbyval)
		pfree(DatumGetPointer(value));
	return hash;
}

static void
encode_raw(const TaskapiKeyType *type, TaskapiBytes *buf, Datum value)
{
	taskapi_bytes_append_byte(buf, TAG_VALUE);
	if (type->typbyval)
	{
		Datum		aligned;

		store_att_byval(&aligned, value, type->typlen);
		taskapi_bytes_append_varint(buf, type->typlen);
		taskapi_bytes_append(buf, &aligned, type->typlen);
	}
	else if (type->typlen > 0)
	{
		taskapi_bytes_append_varint(buf, type->typlen);
		taskapi_bytes_append(buf, DatumGetPointer(value), type->typlen);
	}
	else
	{
		struct varlena *v = PG_DETOAST_DATUM_PACKED(value);

		taskapi_bytes_append_varint(buf, VARSIZE_ANY_EXHDR(v));
		taskapi_bytes_append(buf, VARDATA_ANY(v), VARSIZE_ANY_EXHDR(v));
	}
}

static Datum
decode_raw(const TaskapiKeyType *type, const uint8 **pos, const uint8 *end)
{
	const uint8 *p = *pos + 1;
	uint64		len = 0;
	Datum		result;

	taskapi_read_varint(&p, end, &len);
	if (type->typbyval)
	{
		Datum		aligned = 0;

		memcpy(&aligned, p, Min(len, sizeof(Datum)));
		result = fetch_att(&aligned, true, type->typlen);
	}
	else
	{
		int			header = type->typlen == -1 ? VARHDRSZ : 0;
		uint8	   *copy = palloc(header + len);

		memcpy(copy + header, p, len);
		if (header)
			SET_VARSIZE(copy, header + len);
		result = PointerGetDatum(copy);
	}
	*pos = p + len;
	return result;
}

static inline void
tail_begin(KeyTail *tail)
{
	taskapi_bytes_append_byte(tail->bytes, tail->term);
}
