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

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "cursor/cursor_codec_bytes.h"
#include "cursor/cursor_key.h"

static bool is_internal(Oid typid);
static const uint8 *skip_raw(const uint8 *pos, const uint8 *end);
static int	compare_bytes(const uint8 **a, const uint8 *a_end, const uint8 **b, const uint8 *b_end);
static int	compare_enum(Oid typid, Oid a, Oid b);
static bool place_of_label(Oid typid, Oid label, float4 *place);

Oid
taskapi_cursor_key_base_type(Oid typid)
{
	if (typid >= FirstGenbkiObjectId)
		typid = getBaseType(typid);
	return typid == VARCHAROID ? TEXTOID : typid;
}

Oid
taskapi_cursor_key_class(Oid typid)
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

TaskapiCursorKeyKind
taskapi_cursor_key_kind(Oid typid, TaskapiCursorCollation collation_kind)
{
	switch (typid)
	{
		case UNKNOWNOID:
			return CURSOR_KEY_NULL;
		case BOOLOID:
			return CURSOR_KEY_BOOL;
		case INT2OID:
			return CURSOR_KEY_INT2;
		case INT4OID:
			return CURSOR_KEY_INT4;
		case INT8OID:
		case CASHOID:
			return CURSOR_KEY_INT8;
		case DATEOID:
			return CURSOR_KEY_DATE;
		case TIMEOID:
			return CURSOR_KEY_TIME;
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return CURSOR_KEY_TIMESTAMP;
		case OIDOID:
			return CURSOR_KEY_UINT4;
		case XID8OID:
		case PG_LSNOID:
			return CURSOR_KEY_UINT8;
		case FLOAT4OID:
			return CURSOR_KEY_FLOAT4;
		case FLOAT8OID:
			return CURSOR_KEY_FLOAT8;
		case NUMERICOID:
			return CURSOR_KEY_NUMERIC;
		case TIMETZOID:
			return CURSOR_KEY_TIMETZ;
		case INTERVALOID:
			return CURSOR_KEY_INTERVAL;
		case CHAROID:
			return CURSOR_KEY_CHAR;
		case UUIDOID:
		case MACADDROID:
		case MACADDR8OID:
			return CURSOR_KEY_FIXED;
		case BYTEAOID:
			return CURSOR_KEY_BYTEA;
		case TEXTOID:
			return collation_kind == CURSOR_COLLATION_BYTES ? CURSOR_KEY_TEXT : CURSOR_KEY_RAW;
		case NAMEOID:
			return collation_kind == CURSOR_COLLATION_BYTES ? CURSOR_KEY_NAME : CURSOR_KEY_RAW;
		case BPCHAROID:
			return collation_kind == CURSOR_COLLATION_BYTES ? CURSOR_KEY_BPCHAR : CURSOR_KEY_RAW;
		default:
			return CURSOR_KEY_RAW;
	}
}

TaskapiCursorCollation
taskapi_cursor_key_collation_kind(Oid typid, Oid collation)
{
	if (!type_is_collatable(typid))
		return CURSOR_COLLATION_NONE;
	if (!OidIsValid(collation))
		collation = DEFAULT_COLLATION_OID;
	if (taskapi_collate_is_c(collation))
		return CURSOR_COLLATION_BYTES;
	return collation == DEFAULT_COLLATION_OID ? CURSOR_COLLATION_DEFAULT : CURSOR_COLLATION_NAMED;
}

bool
taskapi_cursor_key_is_leakproof(Oid typid, TaskapiCursorCollation collation_kind)
{
	if (taskapi_cursor_key_kind(typid, collation_kind) != CURSOR_KEY_RAW)
		return true;
	switch (typid)
	{
		case TEXTOID:
		case NAMEOID:
		case BPCHAROID:
		case INETOID:
		case CIDROID:
		case BITOID:
		case VARBITOID:
		case TIDOID:
		case REGPROCOID:
		case REGPROCEDUREOID:
		case REGOPEROID:
		case REGOPERATOROID:
		case REGCLASSOID:
		case REGCOLLATIONOID:
		case REGTYPEOID:
		case REGROLEOID:
		case REGNAMESPACEOID:
		case REGCONFIGOID:
		case REGDICTIONARYOID:
			return true;
		default:
			return typid >= FirstGenbkiObjectId && get_typtype(typid) == TYPTYPE_ENUM;
	}
}

/*
 * Internal types that have an order by way of another type, and no binary form that can be read again
 */
static bool
is_internal(Oid typid)
{
	switch (typid)
	{
		case RECORDOID:
		case RECORDARRAYOID:
		case INT2VECTOROID:
		case OIDVECTOROID:
		case PG_NODE_TREEOID:
		case PG_NDISTINCTOID:
		case PG_DEPENDENCIESOID:
		case PG_MCV_LISTOID:
		case PG_BRIN_BLOOM_SUMMARYOID:
		case PG_BRIN_MINMAX_MULTI_SUMMARYOID:
			return true;
		default:
			return false;
	}
}

bool
taskapi_cursor_key_type_init(TaskapiCursorKeyType *type, Oid typid, Oid collation,
							 TaskapiCursorCollation collation_kind, MemoryContext context)
{
	TypeCacheEntry *entry;
	int16		typlen;
	bool		typbyval;
	char		typalign;
	char		typdelim;
	Oid			send;
	Oid			recv;

	type->typid = typid;
	type->collation_kind = collation_kind;
	type->kind = taskapi_cursor_key_kind(typid, collation_kind);
	type->collation = InvalidOid;
	if (type->kind == CURSOR_KEY_NULL)
		return true;
	get_typlenbyval(typid, &type->typlen, &type->typbyval);
	if (type->kind != CURSOR_KEY_RAW)
		return true;

	if (type->typlen == -2 || is_internal(typid))
		return false;
	entry = lookup_type_cache(typid, TYPECACHE_CMP_PROC | TYPECACHE_HASH_PROC);
	get_type_io_data(typid, IOFunc_send, &typlen, &typbyval, &typalign, &typdelim, &type->ioparam, &send);
	get_type_io_data(typid, IOFunc_receive, &typlen, &typbyval, &typalign, &typdelim, &type->ioparam, &recv);
	if (!OidIsValid(entry->cmp_proc) || !OidIsValid(send) || !OidIsValid(recv))
		return false;
	if (entry->typtype == TYPTYPE_ENUM)
		type->raw_order = CURSOR_RAW_ENUM;
	else
	{
		type->raw_order = CURSOR_RAW_BY_TYPE;
		fmgr_info_cxt(entry->cmp_proc, &type->cmp, context);
		if (OidIsValid(entry->hash_proc))
			fmgr_info_cxt(entry->hash_proc, &type->hash, context);
	}
	fmgr_info_cxt(send, &type->send, context);
	fmgr_info_cxt(recv, &type->recv, context);
	if (collation_kind == CURSOR_COLLATION_BYTES)
		type->collation = C_COLLATION_OID;
	else if (collation_kind != CURSOR_COLLATION_NONE)
		type->collation = collation;
	return true;
}

void
taskapi_cursor_key_type_unknown(TaskapiCursorKeyType *type)
{
	type->kind = CURSOR_KEY_RAW;
	type->raw_order = CURSOR_RAW_BYTES;
}

void
taskapi_cursor_key_encode_null(const TaskapiCursorKeyType *type, TaskapiBytes *key)
{
	taskapi_bytes_append_byte(key, type->nulls_first ? 0x00 : 0xFF);
}

void
taskapi_cursor_key_encode(const TaskapiCursorKeyType *type, Datum value, int term, TaskapiBytes *key, TaskapiBytes *tail)
{
	int			start = key->len;
	TaskapiCursorKeyTail rest = {tail, term};

	taskapi_cursor_codecs[type->kind]->encode(type, value, key, &rest);
	if (type->descending && type->kind != CURSOR_KEY_RAW)
		taskapi_invert(key->data + start, key->len - start);
}

bool
taskapi_cursor_key_decode(const TaskapiCursorKeyType *type, int term, const uint8 **pos, const uint8 *end,
				   const uint8 **tail, const uint8 *tail_end, Datum *value, bool *isnull)
{
	TaskapiCursorKeyReader in = {*pos, end, type->descending ? 0xFF : 0, false, *tail, tail_end};
	bool		fits;

	*value = (Datum) 0;
	*isnull = taskapi_cursor_key_is_null(type, *pos);
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
	fits = taskapi_cursor_codecs[type->kind]->decode(type, &in, value);
	*pos = in.pos;
	*tail = in.tail;
	return fits;
}

const uint8 *
taskapi_cursor_key_skip(const TaskapiCursorKeyType *type, const uint8 *pos, const uint8 *end)
{
	TaskapiCursorKeyReader in = {pos, end, type->descending ? 0xFF : 0};

	if (taskapi_cursor_key_is_null(type, pos))
		return pos + 1;
	taskapi_cursor_codecs[type->kind]->skip(type, &in);
	return in.pos;
}

int
taskapi_cursor_key_compare_raw(TaskapiCursorKeyType *type, const uint8 **a, const uint8 *a_end,
							   const uint8 **b, const uint8 *b_end)
{
	Datum		da;
	Datum		db;
	int			cmp;

	if (type->raw_order == CURSOR_RAW_BYTES)
		cmp = compare_bytes(a, a_end, b, b_end);
	else
	{
		da = taskapi_cursor_decode_raw(type, a, a_end);
		db = taskapi_cursor_decode_raw(type, b, b_end);
		if (type->raw_order == CURSOR_RAW_ENUM)
			cmp = compare_enum(type->typid, DatumGetObjectId(da), DatumGetObjectId(db));
		else
			cmp = DatumGetInt32(FunctionCall2Coll(&type->cmp, type->collation, da, db));
		if (!type->typbyval)
		{
			pfree(DatumGetPointer(da));
			pfree(DatumGetPointer(db));
		}
	}
	cmp = (cmp > 0) - (cmp < 0);
	return type->descending ? -cmp : cmp;
}

uint32
taskapi_cursor_key_hash_raw(TaskapiCursorKeyType *type, const uint8 **pos, const uint8 *end)
{
	uint32		hash = 0;

	if (type->raw_order != CURSOR_RAW_BY_TYPE)
	{
		const uint8 *start = *pos;

		*pos = skip_raw(start, end);
		return DatumGetUInt32(hash_any(start, *pos - start));
	}
	if (OidIsValid(type->hash.fn_oid))
	{
		Datum		value = taskapi_cursor_decode_raw(type, pos, end);

		hash = DatumGetUInt32(FunctionCall1Coll(&type->hash, type->collation, value));
		if (!type->typbyval)
			pfree(DatumGetPointer(value));
	}
	else
		*pos = skip_raw(*pos, end);
	return hash;
}

static const uint8 *
skip_raw(const uint8 *pos, const uint8 *end)
{
	TaskapiCursorKeyReader in = {pos, end};

	taskapi_cursor_codecs[CURSOR_KEY_RAW]->skip(NULL, &in);
	return in.pos;
}

static int
compare_bytes(const uint8 **a, const uint8 *a_end, const uint8 **b, const uint8 *b_end)
{
	const uint8 *a_start = *a;
	const uint8 *b_start = *b;
	int			cmp;

	*a = skip_raw(a_start, a_end);
	*b = skip_raw(b_start, b_end);
	cmp = memcmp(a_start, b_start, Min(*a - a_start, *b - b_start));
	return cmp != 0 ? cmp : (*a - a_start) - (*b - b_start);
}

/*
 * The order of enum_cmp(), which raises for a label that is not there.  Here such labels come first, by number; they outlive
 * their transaction in a variable, and their type in an index entry.
 */
static int
compare_enum(Oid typid, Oid a, Oid b)
{
	float4		place_a;
	float4		place_b;
	bool		found_a;
	bool		found_b;

	if (a == b)
		return 0;
	found_a = place_of_label(typid, a, &place_a);
	found_b = place_of_label(typid, b, &place_b);
	if (found_a && found_b)
		return place_a < place_b ? -1 : 1;
	if (found_a != found_b)
		return found_a ? 1 : -1;
	return a < b ? -1 : 1;
}

static bool
place_of_label(Oid typid, Oid label, float4 *place)
{
	HeapTuple	tuple = SearchSysCache1(ENUMOID, ObjectIdGetDatum(label));
	Form_pg_enum form;
	bool		found;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_enum) GETSTRUCT(tuple);
	found = form->enumtypid == typid;
	*place = form->enumsortorder;
	ReleaseSysCache(tuple);
	return found;
}
