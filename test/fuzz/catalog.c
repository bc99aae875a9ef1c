/*-------------------------------------------------------------------------
 *
 * catalog.c
 *	  See catalog.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/tupmacs.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "catalog.h"
#include "server.h"

#define PUBLIC_OID		2200
#define NAMED_COLLATION 16600

static const struct
{
	Oid			oid;
	int16		len;
	bool		byval;
	char		align;
	const char *name;			/* in schema public; NULL for a built-in type */
}			types[] =
{
	{BOOLOID, 1, true, 'c', NULL}, {CHAROID, 1, true, 'c', NULL}, {INT2OID, 2, true, 's', NULL},
	{INT4OID, 4, true, 'i', NULL}, {INT8OID, 8, true, 'd', NULL}, {DATEOID, 4, true, 'i', NULL},
	{TIMEOID, 8, true, 'd', NULL}, {TIMESTAMPOID, 8, true, 'd', NULL}, {TIMESTAMPTZOID, 8, true, 'd', NULL},
	{CASHOID, 8, true, 'd', NULL}, {OIDOID, 4, true, 'i', NULL}, {XID8OID, 8, true, 'd', NULL},
	{PG_LSNOID, 8, true, 'd', NULL}, {FLOAT4OID, 4, true, 'i', NULL}, {FLOAT8OID, 8, true, 'd', NULL},
	{NUMERICOID, -1, false, 'i', NULL}, {TIMETZOID, 12, false, 'd', NULL}, {INTERVALOID, 16, false, 'd', NULL},
	{UUIDOID, 16, false, 'c', NULL}, {MACADDROID, 6, false, 'i', NULL}, {MACADDR8OID, 8, false, 'i', NULL},
	{BYTEAOID, -1, false, 'i', NULL}, {TEXTOID, -1, false, 'i', NULL}, {NAMEOID, NAMEDATALEN, false, 'c', NULL},
	{BPCHAROID, -1, false, 'i', NULL}, {UNKNOWNOID, -2, false, 'c', NULL}, {INETOID, -1, false, 'i', NULL},
	{FUZZ_MOOD_OID, 4, true, 'i', "mood"}, {FUZZ_PLACE_OID, 6, false, 's', "place"}, {FUZZ_WORDS_OID, -1, false, 'i', "words"}
};

static int
find_type(Oid oid)
{
	for (int i = 0; i < lengthof(types); i++)
	{
		if (types[i].oid == oid)
			return i;
	}
	return -1;
}

static int
known_type(Oid oid)
{
	int			i = find_type(oid);

	PROPERTY(i >= 0);			/* nobody asks for what he has not found */
	return i;
}

bool
SearchSysCacheExists(int cache, Datum key1, Datum key2, Datum key3, Datum key4)
{
	PROPERTY(cache == TYPEOID);
	return find_type(DatumGetObjectId(key1)) >= 0;
}

/* The row of a type, with schema and name alone */
HeapTuple
SearchSysCache1(int cache, Datum key1)
{
	int			i;
	HeapTuple	tuple;
	Form_pg_type form;

	PROPERTY(cache == TYPEOID);
	i = known_type(DatumGetObjectId(key1));
	PROPERTY(types[i].name);
	tuple = palloc0(HEAPTUPLESIZE);
	tuple->t_data = palloc0(MAXALIGN(SizeofHeapTupleHeader) + sizeof(FormData_pg_type));
	tuple->t_data->t_hoff = MAXALIGN(SizeofHeapTupleHeader);
	form = (Form_pg_type) GETSTRUCT(tuple);
	form->typnamespace = PUBLIC_OID;
	strcpy(NameStr(form->typname), types[i].name);
	return tuple;
}

void
ReleaseSysCache(HeapTuple tuple)
{
}

Oid
GetSysCacheOid(int cache, AttrNumber attno, Datum key1, Datum key2, Datum key3, Datum key4)
{
	const char *name = DatumGetCString(key1);

	if (cache == TYPENAMENSP)
	{
		for (int i = 0; i < lengthof(types); i++)
		{
			if (DatumGetObjectId(key2) == PUBLIC_OID && types[i].name && strcmp(types[i].name, name) == 0)
				return types[i].oid;
		}
		return InvalidOid;
	}
	PROPERTY(cache == COLLNAMEENCNSP);
	return DatumGetObjectId(key3) == PUBLIC_OID && strcmp(name, "german") == 0 ? NAMED_COLLATION : InvalidOid;
}

Oid
get_namespace_oid(const char *name, bool missing_ok)
{
	PROPERTY(missing_ok);
	return strcmp(name, "public") == 0 ? PUBLIC_OID : strcmp(name, "pg_catalog") == 0 ? PG_CATALOG_NAMESPACE : InvalidOid;
}

char *
get_namespace_name(Oid oid)
{
	PROPERTY(oid == PUBLIC_OID);
	return pstrdup("public");
}

Oid
getBaseType(Oid oid)
{
	return oid;
}

bool
type_is_collatable(Oid oid)
{
	return oid == TEXTOID || oid == NAMEOID || oid == BPCHAROID;
}

bool
lc_collate_is_c(Oid collation)
{
	return collation == C_COLLATION_OID;
}

void
get_typlenbyval(Oid oid, int16 *len, bool *byval)
{
	int			i = known_type(oid);

	*len = types[i].len;
	*byval = types[i].byval;
}

char
get_typtype(Oid oid)
{
	return oid == FUZZ_MOOD_OID ? TYPTYPE_ENUM : TYPTYPE_BASE;
}

/* Functions are numbered as their types are. */
void
get_type_io_data(Oid oid, IOFuncSelector which, int16 *len, bool *byval, char *align, char *delim, Oid *ioparam, Oid *func)
{
	get_typlenbyval(oid, len, byval);
	*align = types[known_type(oid)].align;
	*delim = ',';
	*ioparam = *func = oid;
}

TypeCacheEntry *
lookup_type_cache(Oid oid, int flags)
{
	TypeCacheEntry *entry = palloc0(sizeof(TypeCacheEntry));

	entry->cmp_proc = entry->hash_proc = types[known_type(oid)].oid;
	entry->typtype = get_typtype(oid);
	return entry;
}

void
fmgr_info_cxt(Oid function, FmgrInfo *flinfo, MemoryContext context)
{
	memset(flinfo, 0, sizeof(FmgrInfo));
	flinfo->fn_oid = function;
}

static pg_noreturn void
refuse(int sqlerrcode)
{
	ereport(ERROR,
			(errcode(sqlerrcode),
			 errmsg("invalid binary form")));
	abort();
}

Datum
ReceiveFunctionCall(FmgrInfo *flinfo, StringInfo buf, Oid ioparam, int32 typmod)
{
	int			i = known_type(flinfo->fn_oid);
	int			rest = buf->len - buf->cursor;
	int			len = types[i].len > 0 ? types[i].len : rest;
	uint8	   *copy;

	if (rest < len)
		refuse(ERRCODE_PROTOCOL_VIOLATION);
	copy = palloc0(Max(VARHDRSZ + len, sizeof(Datum)));
	memcpy(copy + (types[i].len > 0 ? 0 : VARHDRSZ), buf->data + buf->cursor, len);
	buf->cursor += len;
	if (types[i].len < 0)
		SET_VARSIZE(copy, VARHDRSZ + len);
	return types[i].byval ? fetch_att(copy, true, types[i].len) : PointerGetDatum(copy);
}

bytea *
SendFunctionCall(FmgrInfo *flinfo, Datum value)
{
	int			i = known_type(flinfo->fn_oid);
	Datum		aligned = 0;
	const void *data = DatumGetPointer(value);
	int			len = types[i].len;
	bytea	   *result;

	if (types[i].byval)
	{
		store_att_byval(&aligned, value, types[i].len);
		data = &aligned;
	}
	else if (len < 0)
	{
		data = VARDATA_ANY(DatumGetPointer(value));
		len = VARSIZE_ANY_EXHDR(DatumGetPointer(value));
	}
	result = palloc(VARHDRSZ + len);
	SET_VARSIZE(result, VARHDRSZ + len);
	memcpy(VARDATA(result), data, len);
	return result;
}

/* Numerics */

Datum
numeric_send(PG_FUNCTION_ARGS)
{
	struct varlena *value = (struct varlena *) PG_GETARG_POINTER(0);

	return PointerGetDatum(memcpy(palloc(VARSIZE(value)), value, VARSIZE(value)));
}

static uint16
read_word(StringInfo buf)
{
	uint16		word;

	if (buf->len - buf->cursor < sizeof(word))
		refuse(ERRCODE_PROTOCOL_VIOLATION);
	memcpy(&word, buf->data + buf->cursor, sizeof(word));
	buf->cursor += sizeof(word);
	return pg_ntoh16(word);
}

/* What numeric_recv() refuses and strips: zeros at both ends, and digits that the display scale hides. */
Datum
numeric_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	int			ndigits = read_word(buf);
	int			weight = (int16) read_word(buf);
	int			sign = read_word(buf);
	int			dscale = read_word(buf);
	uint16	   *digits = palloc0((ndigits + 1) * sizeof(uint16));
	uint16	   *first = digits;
	struct varlena *value;
	uint16	   *words;
	int			shown;

	if ((sign != 0 && sign != 0x4000 && sign != 0xC000 && sign != 0xD000 && sign != 0xF000) || dscale > 0x3FFF)
		refuse(ERRCODE_INVALID_BINARY_REPRESENTATION);
	for (int i = 0; i < ndigits; i++)
	{
		digits[i] = read_word(buf);
		if (digits[i] >= 10000)
			refuse(ERRCODE_INVALID_BINARY_REPRESENTATION);
	}
	if (sign >= 0xC000)
		ndigits = weight = dscale = 0;
	shown = (weight + 1) * 4 + dscale;	/* decimal digits from the first on */
	if (shown < ndigits * 4)
	{
		static const int units[] = {10000, 1000, 100, 10};

		ndigits = shown <= 0 ? 0 : (shown + 3) / 4;
		if (ndigits > 0 && shown % 4 != 0)
			digits[ndigits - 1] -= digits[ndigits - 1] % units[shown % 4];
	}
	for (; ndigits > 0 && first[0] == 0; first++, ndigits--)
		weight--;
	while (ndigits > 0 && first[ndigits - 1] == 0)
		ndigits--;
	if (ndigits == 0 && sign < 0xC000)
		weight = sign = 0;

	value = palloc(VARHDRSZ + 8 + 2 * ndigits);
	SET_VARSIZE(value, VARHDRSZ + 8 + 2 * ndigits);
	words = (uint16 *) VARDATA(value);
	words[0] = pg_hton16((uint16) ndigits);
	words[1] = pg_hton16((uint16) weight);
	words[2] = pg_hton16((uint16) sign);
	words[3] = pg_hton16((uint16) dscale);
	for (int i = 0; i < ndigits; i++)
		words[4 + i] = pg_hton16(first[i]);
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

/* Other parts of a server */

struct varlena *
pg_detoast_datum(struct varlena *datum)
{
	return datum;
}

struct varlena *
pg_detoast_datum_packed(struct varlena *datum)
{
	return datum;
}

text *
cstring_to_text_with_len(const char *s, int len)
{
	text	   *result = palloc(VARHDRSZ + len);

	SET_VARSIZE(result, VARHDRSZ + len);
	memcpy(VARDATA(result), s, len);
	return result;
}

int
bpchartruelen(char *s, int len)
{
	while (len > 0 && s[len - 1] == ' ')
		len--;
	return len;
}

int
pg_get_client_encoding(void)
{
	return PG_UTF8;
}

#define UNUSED { abort(); }

int
SetClientEncoding(int encoding) UNUSED
char *
format_type_be(Oid type) UNUSED
Datum
FunctionCall1Coll(FmgrInfo *flinfo, Oid collation, Datum arg1) UNUSED
Datum
FunctionCall2Coll(FmgrInfo *flinfo, Oid collation, Datum arg1, Datum arg2) UNUSED
