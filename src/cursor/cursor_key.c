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

static void encode_raw(const TaskapiKeyType *type, TaskapiBytes *buf, Datum value);
static Datum decode_raw(const TaskapiKeyType *type, const uint8 **pos, const uint8 *end);
static bool fits_int(int64 value, int64 min, int64 max, Datum result, Datum *datum);
static void tail_begin(TaskapiBytes *tail, int term);

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

void
taskapi_key_encode_null(const TaskapiKeyType *type, TaskapiBytes *key)
{
	taskapi_bytes_append_byte(key, type->nulls_first ? 0x00 : 0xFF);
}

void
taskapi_key_encode(const TaskapiKeyType *type, Datum value, int term, TaskapiBytes *key, TaskapiBytes *tail)
{
	int			start = key->len;

	switch (type->kind)
	{
		case KEY_NULL:
			Assert(false);
			break;
		case KEY_BOOL:
			taskapi_bytes_append_byte(key, TAG_VALUE + (DatumGetBool(value) ? 1 : 0));
			break;
		case KEY_INT2:
			taskapi_encode_int(key, DatumGetInt16(value));
			break;
		case KEY_INT4:
			taskapi_encode_int(key, DatumGetInt32(value));
			break;
		case KEY_INT8:
			taskapi_encode_int(key, DatumGetInt64(value));
			break;
		case KEY_UINT4:
			taskapi_encode_uint(key, DatumGetUInt32(value));
			break;
		case KEY_UINT8:
			taskapi_encode_uint(key, DatumGetUInt64(value));
			break;
		case KEY_FLOAT4:
		case KEY_FLOAT8:
			{
				double		d = type->kind == KEY_FLOAT4 ? DatumGetFloat4(value) : DatumGetFloat8(value);

				taskapi_encode_float(key, d);
				if (d == 0 && signbit(d))
					tail_begin(tail, term);
				break;
			}
		case KEY_NUMERIC:
			{
				int			dscale = -1;

				taskapi_encode_numeric(key, DatumGetNumeric(value), &dscale);
				if (dscale >= 0)
				{
					tail_begin(tail, term);
					taskapi_bytes_append_varint(tail, dscale);
				}
				break;
			}
		case KEY_TIMETZ:
			{
				TimeTzADT  *t = DatumGetTimeTzADTP(value);

				taskapi_encode_int(key, t->time + t->zone * USECS_PER_SEC);
				taskapi_encode_int(key, t->zone);
				break;
			}
		case KEY_INTERVAL:
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
					tail_begin(tail, term);
					taskapi_bytes_append_varint(tail, taskapi_zigzag(v->month));
					taskapi_bytes_append_varint(tail, taskapi_zigzag(v->day));
					taskapi_bytes_append_varint(tail, taskapi_zigzag(v->time));
				}
				break;
			}
		case KEY_CHAR:
			taskapi_bytes_append_byte(key, TAG_VALUE);
			taskapi_bytes_append_byte(key, (uint8) DatumGetChar(value));
			break;
		case KEY_FIXED:
			taskapi_bytes_append_byte(key, TAG_VALUE);
			taskapi_bytes_append(key, DatumGetPointer(value), type->typlen);
			break;
		case KEY_BYTEA:
			{
				bytea	   *b = DatumGetByteaPP(value);

				taskapi_encode_bytea(key, (uint8 *) VARDATA_ANY(b), VARSIZE_ANY_EXHDR(b));
				break;
			}
		case KEY_TEXT:
			{
				text	   *t = DatumGetTextPP(value);

				taskapi_encode_text(key, VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t));
				break;
			}
		case KEY_NAME:
			{
				Name		name = DatumGetName(value);

				taskapi_encode_text(key, NameStr(*name), strlen(NameStr(*name)));
				break;
			}
		case KEY_BPCHAR:
			{
				BpChar	   *t = DatumGetBpCharPP(value);
				int			len = VARSIZE_ANY_EXHDR(t);
				int			trimmed = bpchartruelen(VARDATA_ANY(t), len);

				taskapi_encode_text(key, VARDATA_ANY(t), trimmed);
				if (trimmed < len)
				{
					tail_begin(tail, term);
					taskapi_bytes_append_varint(tail, len - trimmed);
				}
				break;
			}
		case KEY_RAW:
			encode_raw(type, key, value);
			return;
	}

	if (type->descending)
		taskapi_invert(key->data + start, key->len - start);
}

bool
taskapi_key_decode(const TaskapiKeyType *type, int term, const uint8 **pos, const uint8 *end,
				   const uint8 **tail, const uint8 *tail_end, Datum *value, bool *isnull)
{
	uint8		flip = type->descending ? 0xFF : 0;
	bool		has_tail;
	bool		negative;
	int64		number;

	*value = (Datum) 0;
	*isnull = taskapi_key_is_null(type, *pos);
	if (*isnull)
	{
		(*pos)++;
		return true;
	}
	has_tail = (*tail < tail_end && **tail == term);
	if (has_tail)
		(*tail)++;

	switch (type->kind)
	{
		case KEY_NULL:
			return false;
		case KEY_BOOL:
			*value = BoolGetDatum(((*(*pos)++) ^ flip) == TAG_VALUE + 1);
			return true;
		case KEY_INT2:
			number = (int64) taskapi_decode_number(pos, flip, &negative);
			return fits_int(number, PG_INT16_MIN, PG_INT16_MAX, Int16GetDatum((int16) number), value);
		case KEY_INT4:
			number = (int64) taskapi_decode_number(pos, flip, &negative);
			return fits_int(number, PG_INT32_MIN, PG_INT32_MAX, Int32GetDatum((int32) number), value);
		case KEY_INT8:
			*value = Int64GetDatum((int64) taskapi_decode_number(pos, flip, &negative));
			return true;
		case KEY_UINT4:
			*value = UInt32GetDatum((uint32) taskapi_decode_number(pos, flip, &negative));
			return true;
		case KEY_UINT8:
			*value = UInt64GetDatum(taskapi_decode_number(pos, flip, &negative));
			return true;
		case KEY_FLOAT4:
		case KEY_FLOAT8:
			{
				double		d = taskapi_decode_float(pos, flip);

				if (has_tail)
					d = -0.0;
				if (type->kind == KEY_FLOAT8)
					*value = Float8GetDatum(d);
				else
				{
					if (!isnan(d) && (double) (float) d != d)
						return false;
					*value = Float4GetDatum((float) d);
				}
				return true;
			}
		case KEY_NUMERIC:
			{
				uint64		dscale = 0;

				if (has_tail)
					taskapi_read_varint(tail, tail_end, &dscale);
				*value = taskapi_decode_numeric(pos, flip, has_tail ? (int) dscale : -1);
				return true;
			}
		case KEY_TIMETZ:
			{
				TimeTzADT  *t = palloc(sizeof(TimeTzADT));

				t->time = (int64) taskapi_decode_number(pos, flip, &negative);
				t->zone = (int32) (int64) taskapi_decode_number(pos, flip, &negative);
				t->time -= t->zone * USECS_PER_SEC;
				*value = TimeTzADTPGetDatum(t);
				return true;
			}
		case KEY_INTERVAL:
			{
				Interval   *v = palloc0(sizeof(Interval));

				v->day = (int32) (int64) taskapi_decode_number(pos, flip, &negative);
				v->time = (int64) taskapi_decode_number(pos, flip, &negative);
				if (has_tail)
				{
					uint64		month = 0,
								day = 0,
								time = 0;

					taskapi_read_varint(tail, tail_end, &month);
					taskapi_read_varint(tail, tail_end, &day);
					taskapi_read_varint(tail, tail_end, &time);
					v->month = (int32) taskapi_unzigzag(month);
					v->day = (int32) taskapi_unzigzag(day);
					v->time = taskapi_unzigzag(time);
				}
				*value = IntervalPGetDatum(v);
				return true;
			}
		case KEY_CHAR:
			*value = CharGetDatum((char) ((*pos)[1] ^ flip));
			*pos += 2;
			return true;
		case KEY_FIXED:
			{
				uint8	   *copy = palloc(type->typlen);

				for (int i = 0; i < type->typlen; i++)
					copy[i] = (*pos)[1 + i] ^ flip;
				*pos += 1 + type->typlen;
				*value = PointerGetDatum(copy);
				return true;
			}
		case KEY_BYTEA:
		case KEY_TEXT:
		case KEY_BPCHAR:
			{
				uint8	   *copy;
				int			len;
				uint64		blanks = 0;

				if (type->kind == KEY_BYTEA)
					copy = taskapi_decode_bytea(pos, flip, &len);
				else
					copy = taskapi_decode_text(pos, flip, VARHDRSZ, &len);
				if (has_tail && taskapi_read_varint(tail, tail_end, &blanks))
				{
					copy = repalloc(copy, VARHDRSZ + len + blanks);
					memset(copy + VARHDRSZ + len, ' ', blanks);
					len += blanks;
				}
				SET_VARSIZE(copy, VARHDRSZ + len);
				*value = PointerGetDatum(copy);
				return true;
			}
		case KEY_NAME:
			{
				int			len;
				uint8	   *copy = taskapi_decode_text(pos, flip, 0, &len);
				Name		name = palloc0(sizeof(NameData));

				memcpy(NameStr(*name), copy, Min(len, NAMEDATALEN - 1));
				pfree(copy);
				*value = NameGetDatum(name);
				return true;
			}
		case KEY_RAW:
			*value = decode_raw(type, pos, end);
			return true;
	}
	return false;
}

const uint8 *
taskapi_key_skip(const TaskapiKeyType *type, const uint8 *pos, const uint8 *end)
{
	uint8		flip = type->descending ? 0xFF : 0;
	bool		negative;

	if (taskapi_key_is_null(type, pos))
		return pos + 1;
	switch (type->kind)
	{
		case KEY_NULL:
		case KEY_BOOL:
			return pos + 1;
		case KEY_INT2:
		case KEY_INT4:
		case KEY_INT8:
		case KEY_UINT4:
		case KEY_UINT8:
			taskapi_decode_number(&pos, flip, &negative);
			return pos;
		case KEY_FLOAT4:
		case KEY_FLOAT8:
			return pos + 1 + sizeof(double);
		case KEY_NUMERIC:
			return taskapi_skip_numeric(pos, flip);
		case KEY_TIMETZ:
		case KEY_INTERVAL:
			taskapi_decode_number(&pos, flip, &negative);
			taskapi_decode_number(&pos, flip, &negative);
			return pos;
		case KEY_CHAR:
			return pos + 2;
		case KEY_FIXED:
			return pos + 1 + type->typlen;
		case KEY_BYTEA:
			for (pos++;; pos += 2)
			{
				pos = memchr(pos, flip, end - pos);
				if ((pos[1] ^ flip) == 0x00)
					return pos + 2;
			}
		case KEY_TEXT:
		case KEY_NAME:
		case KEY_BPCHAR:
			return (const uint8 *) memchr(pos + 1, flip, end - pos - 1) + 1;
		case KEY_RAW:
			{
				uint64		len = 0;

				pos++;
				taskapi_read_varint(&pos, end, &len);
				return pos + len;
			}
	}
	return end;
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

static bool
fits_int(int64 value, int64 min, int64 max, Datum result, Datum *datum)
{
	*datum = result;
	return value >= min && value <= max;
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

static void
tail_begin(TaskapiBytes *tail, int term)
{
	taskapi_bytes_append_byte(tail, term);
}
