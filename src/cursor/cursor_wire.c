/*-------------------------------------------------------------------------
 *
 * cursor_wire.c
 *	  The wire form of a cursor: what its token carries.
 *
 *		terms		1 byte: their number less one, and WIRE_ bits
 *		one byte a term		as in the descriptor (cursor_shape.h)
 *		names		concatenated; with WIRE_PACKED six bits a character, four characters in three bytes, as base64url
 *					reads them, filled up with 'A'; with WIRE_DIGEST the digest
 *		types		as in the descriptor, but a type that is not built in has OID 0 followed by schema and name
 *		NULLs		with WIRE_NULLS, one bit a term, low bits first
 *		values		binary send form, of those that are not NULL; a length before it where the type alone does not tell
 *
 * OIDs of built-in types are the same everywhere; others are not, so that a token of a
 * database that was dumped and restored would name another type.  Text travels in the
 * server's encoding whatever the client's is: one token, one byte string.
 *
 * A wire form is read after its MAC was checked.  It is still parsed with every bound
 * checked, since a key may have leaked.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/base64url.h"
#include "base/compat.h"
#include "cursor/cursor_wire.h"
#include "cursor/cursor_shape.h"
#include "http/problem.h"

#define WIRE_NULLS		0x20
#define WIRE_DIGEST		0x40
#define WIRE_PACKED		0x80
#define WIRE_TERMS(byte) (((byte) & 0x1F) + 1)

/* So long that the token of (timestamptz, uuid) keeps within 96 characters, however long its names are */
#define MAX_SHORT_WIRE	49

#define UNREADABLE		"It holds nothing that can be read here."

static int	fixed_size(const TaskapiKeyType *type);
static void make_header(TaskapiCursorShape *shape);
static int	append_names(const TaskapiCursorShape *shape, TaskapiBytes *buf);
static void append_types(const TaskapiCursorShape *shape, TaskapiBytes *buf);
static void append_value(TaskapiKeyType *type, Datum value, TaskapiBytes *buf);
static const uint8 *skip_header(const uint8 *pos, const uint8 *end);
static bool descriptor_of_wire(const uint8 *wire, const uint8 *types_end, TaskapiBytes *descriptor);
static bool read_value(TaskapiKeyType *type, const uint8 **pos, const uint8 *end, Datum *value);
static bool in_range(const TaskapiKeyType *type, Datum value);
static int	begin_server_encoding(void);
static void end_server_encoding(int client);
static bytea *send_value(TaskapiKeyType *type, Datum value);
static Datum receive_value(TaskapiKeyType *type, StringInfo buf);

void
taskapi_cursor_to_wire(const struct varlena *cursor, StringInfo out)
{
	TaskapiShapeCache cache = {.parent = CurrentMemoryContext};
	TaskapiCursorView view;
	TaskapiBytes buf;

	cursor = PG_DETOAST_DATUM_PACKED(PointerGetDatum(cursor));
	taskapi_cursor_view(cursor, &view);
	taskapi_bytes_init(&buf, 128);
	taskapi_cursor_write_wire(taskapi_shape_of_cursor(&cache, &view), &view, &buf);
	appendBinaryStringInfo(out, (char *) buf.data, buf.len);
	pfree(buf.data);
	taskapi_shape_cache_free(&cache);
}

struct varlena *
taskapi_cursor_from_wire(StringInfo buf, Node *escontext)
{
	TaskapiShapeCache cache = {.parent = CurrentMemoryContext};
	const uint8 *start = (const uint8 *) buf->data + buf->cursor;
	const uint8 *pos = start;
	struct varlena *cursor;

	cursor = taskapi_cursor_read_wire(&cache, &pos, (const uint8 *) buf->data + buf->len, escontext);
	buf->cursor += pos - start;
	taskapi_shape_cache_free(&cache);
	return cursor;
}

void
taskapi_cursor_write_wire(TaskapiCursorShape *shape, const TaskapiCursorView *view, TaskapiBytes *buf)
{
	int			start = buf->len;
	int			nterms = shape->nterms;
	int			names_len;
	int			bitmap_len = 0;
	uint8	   *wire;
	uint8		bitmap[TASKAPI_MAX_ORDER_TERMS / 8] = {0};
	Datum		values[TASKAPI_MAX_ORDER_TERMS];
	bool		isnull[TASKAPI_MAX_ORDER_TERMS];

	if (!taskapi_cursor_read_keys(shape, view, values, isnull))
		taskapi_cursor_mismatch(SHAPE_OTHER_TYPES);

	if (shape->wire == NULL)
		make_header(shape);
	taskapi_bytes_append(buf, shape->wire, shape->wire_len);
	for (int i = 0; i < nterms; i++)
	{
		if (isnull[i])
		{
			bitmap[i / 8] |= 1 << (i % 8);
			bitmap_len = (nterms + 7) / 8;
		}
	}
	taskapi_bytes_append(buf, bitmap, bitmap_len);
	for (int i = 0; i < nterms; i++)
	{
		if (!isnull[i])
			append_value(&shape->keys[i], values[i], buf);
	}

	wire = buf->data + start;
	if (bitmap_len > 0)
		wire[0] |= WIRE_NULLS;

	/* Long names: their digest instead, where that makes a token short */
	names_len = shape->wire_names_len;
	if (buf->len - start > MAX_SHORT_WIRE && names_len > DIGEST_LENGTH &&
		buf->len - start - names_len + DIGEST_LENGTH <= MAX_SHORT_WIRE)
	{
		uint8	   *names = wire + 1 + nterms;

		wire[0] = (wire[0] & ~WIRE_PACKED) | WIRE_DIGEST;
		for (int i = 1; i <= nterms; i++)
			wire[i] &= TERM_DESCENDING | TERM_NULLS_FIRST;
		memmove(names + DIGEST_LENGTH, names + names_len, buf->len - start - 1 - nterms - names_len);
		taskapi_descriptor_digest(shape->descriptor, shape->order_len, names);
		buf->len -= names_len - DIGEST_LENGTH;
	}
}

/*
 * What the wire form of all cursors of a shape begins with, but for WIRE_NULLS.
 */
static void
make_header(TaskapiCursorShape *shape)
{
	MemoryContext old = MemoryContextSwitchTo(shape->context);
	TaskapiBytes buf;

	taskapi_bytes_init(&buf, 128);
	taskapi_bytes_append_byte(&buf, shape->nterms - 1);
	taskapi_bytes_append(&buf, shape->descriptor + 1, shape->nterms);
	shape->wire_names_len = append_names(shape, &buf);
	append_types(shape, &buf);
	shape->wire_len = buf.len;
	shape->wire = buf.data;
	MemoryContextSwitchTo(old);
}

/*
 * The names as they stand in the descriptor, packed where that is shorter.  Returns the bytes they take.
 */
static int
append_names(const TaskapiCursorShape *shape, TaskapiBytes *buf)
{
	const uint8 *names = shape->descriptor + 1 + shape->nterms;
	int			len = shape->order_len - 1 - shape->nterms;
	int			chars = (len + 3) / 4 * 4;
	int			packed_len = chars / 4 * 3;
	char		text[TASKAPI_MAX_ORDER_TERMS * NAMEDATALEN];

	if (shape->descriptor[0] & DESCRIPTOR_DIGEST)
		buf->data[0] |= WIRE_DIGEST;
	else if (packed_len < len)
	{
		memcpy(text, names, len);
		memset(text + len, 'A', chars - len);
		if (taskapi_base64url_decode(text, chars, taskapi_bytes_reserve(buf, packed_len)) == packed_len)
		{
			buf->data[0] |= WIRE_PACKED;
			buf->len += packed_len;
			return packed_len;
		}
	}
	taskapi_bytes_append(buf, names, len);
	return len;
}

struct varlena *
taskapi_cursor_read_wire(TaskapiShapeCache *cache, const uint8 **pos, const uint8 *end, Node *escontext)
{
	static TaskapiLastingShapes lasting;
	const uint8 *start = *pos;
	const uint8 *p;
	const uint8 *nulls = NULL;
	int			nterms;
	int			header_len;
	uint8		first;
	Datum		values[TASKAPI_MAX_ORDER_TERMS];
	bool		isnull[TASKAPI_MAX_ORDER_TERMS];
	TaskapiCursorShape *shape;

	p = skip_header(start, end);
	if (p == NULL)
		goto damaged;
	nterms = WIRE_TERMS(start[0]);
	header_len = p - start;
	first = start[0] & ~WIRE_NULLS;

	if (cache->shape && cache->len == header_len && cache->bytes[0] == first &&
		memcmp(cache->bytes + 1, start + 1, header_len - 1) == 0)
		shape = cache->shape;
	else if ((shape = taskapi_find_lasting_shape(&lasting, start, header_len)) == NULL)
	{
		TaskapiBytes descriptor;

		if (!descriptor_of_wire(start, p, &descriptor))
			goto damaged;
		shape = taskapi_add_lasting_shape(&lasting, start, header_len, descriptor.data, descriptor.len);
		if (shape == NULL)
		{
			shape = taskapi_shape_of_descriptor(descriptor.data, descriptor.len, taskapi_shape_cache_reset(cache));
			if (shape == NULL)
				goto damaged;
			taskapi_shape_cache_fill(cache, start, header_len, shape);
			cache->bytes[0] = first;
		}
	}

	if (start[0] & WIRE_NULLS)
	{
		nulls = p;
		if (end - p < (nterms + 7) / 8)
			goto damaged;
		p += (nterms + 7) / 8;
	}
	for (int i = 0; i < nterms; i++)
	{
		isnull[i] = nulls && (nulls[i / 8] & (1 << (i % 8))) != 0;
		values[i] = (Datum) 0;
		if (!isnull[i] && !(read_value(&shape->keys[i], &p, end, &values[i]) && in_range(&shape->keys[i], values[i])))
			goto damaged;
	}
	*pos = p;
	return taskapi_cursor_build(shape, values, isnull);

damaged:
	taskapi_problem_soft(escontext, PROBLEM_INVALID_CURSOR, UNREADABLE);
	return NULL;
}

/*
 * Bytes of the binary form; 0 where they vary.
 */
static int
fixed_size(const TaskapiKeyType *type)
{
	switch (type->kind)
	{
		case KEY_BOOL:
		case KEY_CHAR:
			return 1;
		case KEY_INT2:
			return 2;
		case KEY_INT4:
		case KEY_UINT4:
		case KEY_FLOAT4:
			return 4;
		case KEY_INT8:
		case KEY_UINT8:
		case KEY_FLOAT8:
			return 8;
		case KEY_TIMETZ:
			return 12;
		case KEY_INTERVAL:
			return 16;
		case KEY_FIXED:
			return type->typlen;
		default:
			return 0;
	}
}

static void
append_types(const TaskapiCursorShape *shape, TaskapiBytes *buf)
{
	const uint8 *pos = shape->descriptor + shape->order_len;
	const uint8 *end = shape->descriptor + shape->descriptor_len;

	for (int i = 0; i < shape->nterms; i++)
	{
		TaskapiTypeEntry entry;
		const uint8 *start = pos;

		taskapi_read_type_entry(&pos, end, &entry);
		if (entry.typid < FirstGenbkiObjectId)
			taskapi_bytes_append(buf, start, pos - start);
		else
		{
			HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(entry.typid));
			Form_pg_type form;

			if (!HeapTupleIsValid(tuple))
				ereport(ERROR,
						(errcode(ERRCODE_UNDEFINED_OBJECT),
						 errmsg("a type or collation of a cursor no longer exists")));
			form = (Form_pg_type) GETSTRUCT(tuple);
			taskapi_bytes_append_varint(buf, entry.collation_kind);
			taskapi_append_short_string(buf, get_namespace_name(form->typnamespace));
			taskapi_append_short_string(buf, NameStr(form->typname));
			ReleaseSysCache(tuple);
			if (entry.collation_kind == COLLATION_NAMED)
			{
				taskapi_bytes_append_byte(buf, entry.schema_len);
				taskapi_bytes_append(buf, entry.schema, entry.schema_len);
				taskapi_bytes_append_byte(buf, entry.name_len);
				taskapi_bytes_append(buf, entry.name, entry.name_len);
			}
		}
	}
}

/*
 * Behind everything that makes the shape; NULL where it does not end.
 */
static const uint8 *
skip_header(const uint8 *pos, const uint8 *end)
{
	const uint8 *start = pos;
	int			nterms;
	int			names_len = 0;

	if (end - pos < 1 || end - pos - 1 < (nterms = WIRE_TERMS(pos[0])))
		return NULL;
	for (int i = 1; i <= nterms; i++)
		names_len += TERM_NAME_LENGTH(start[i]);
	if (start[0] & WIRE_DIGEST)
	{
		if (names_len > 0 || (start[0] & WIRE_PACKED))
			return NULL;
		names_len = DIGEST_LENGTH;
	}
	else if (start[0] & WIRE_PACKED)
		names_len = (names_len + 3) / 4 * 3;
	pos += 1 + nterms;
	if (end - pos < names_len)
		return NULL;
	pos += names_len;

	/* The names of a type that is not built in come before those of a collation, as append_types() wrote them. */
	for (int i = 0; i < nterms; i++)
	{
		uint64		word;
		const char *str;
		int			len;
		int			strings = 0;

		if (!taskapi_read_varint(&pos, end, &word))
			return NULL;
		strings += (word >> 2) == 0 ? 2 : 0;
		strings += (word & 3) == COLLATION_NAMED ? 2 : 0;
		while (strings-- > 0)
		{
			if (!taskapi_read_short_string(&pos, end, &str, &len))
				return NULL;
		}
	}
	return pos;
}

/*
 * Wire header, from "wire" to "types_end", to descriptor; false where it names what is not there.
 */
static bool
descriptor_of_wire(const uint8 *wire, const uint8 *types_end, TaskapiBytes *descriptor)
{
	int			nterms = WIRE_TERMS(wire[0]);
	int			names_len = 0;
	const uint8 *pos = wire + 1 + nterms;

	for (int i = 1; i <= nterms; i++)
		names_len += TERM_NAME_LENGTH(wire[i]);
	taskapi_bytes_init(descriptor, types_end - wire + 32);
	taskapi_bytes_append_byte(descriptor, nterms | (wire[0] & WIRE_DIGEST ? DESCRIPTOR_DIGEST : 0));
	taskapi_bytes_append(descriptor, wire + 1, nterms);
	if (wire[0] & WIRE_PACKED)
	{
		int			packed_len = (names_len + 3) / 4 * 3;

		taskapi_base64url_encode(pos, packed_len, (char *) taskapi_bytes_reserve(descriptor, (names_len + 3) / 4 * 4));
		descriptor->len += names_len;
		pos += packed_len;
	}
	else
	{
		if (wire[0] & WIRE_DIGEST)
			names_len = DIGEST_LENGTH;
		taskapi_bytes_append(descriptor, pos, names_len);
		pos += names_len;
	}

	for (int i = 0; i < nterms; i++)
	{
		uint64		word = 0;
		uint64		typid;
		const char *str;
		int			len;

		taskapi_read_varint(&pos, types_end, &word);
		typid = word >> 2;
		if (typid == 0)
		{
			Oid			namespace;

			taskapi_read_short_string(&pos, types_end, &str, &len);
			namespace = get_namespace_oid(pnstrdup(str, len), true);
			taskapi_read_short_string(&pos, types_end, &str, &len);
			if (OidIsValid(namespace))
				typid = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum(pnstrdup(str, len)),
										ObjectIdGetDatum(namespace));
			if (typid == 0)
				return false;
		}
		else if (typid >= FirstGenbkiObjectId)
			return false;
		taskapi_bytes_append_varint(descriptor, (typid << 2) | (word & 3));
		if ((word & 3) == COLLATION_NAMED)
		{
			const uint8 *start = pos;

			taskapi_read_short_string(&pos, types_end, &str, &len);
			taskapi_read_short_string(&pos, types_end, &str, &len);
			taskapi_bytes_append(descriptor, start, pos - start);
		}
	}
	return true;
}

static void
append_value(TaskapiKeyType *type, Datum value, TaskapiBytes *buf)
{
	int			size = fixed_size(type);
	uint8	   *p = NULL;

	if (size > 0)
	{
		p = taskapi_bytes_reserve(buf, size);
		buf->len += size;
	}
	switch (type->kind)
	{
		case KEY_NULL:
			break;
		case KEY_BOOL:
			p[0] = DatumGetBool(value) ? 1 : 0;
			break;
		case KEY_CHAR:
			p[0] = (uint8) DatumGetChar(value);
			break;
		case KEY_INT2:
			{
				uint16		n = pg_hton16((uint16) DatumGetInt16(value));

				memcpy(p, &n, sizeof(n));
				break;
			}
		case KEY_INT4:
		case KEY_UINT4:
		case KEY_FLOAT4:
			{
				uint32		n;

				if (type->kind == KEY_FLOAT4)
				{
					float4		f = DatumGetFloat4(value);

					memcpy(&n, &f, sizeof(n));
				}
				else
					n = DatumGetUInt32(value);
				n = pg_hton32(n);
				memcpy(p, &n, sizeof(n));
				break;
			}
		case KEY_INT8:
		case KEY_UINT8:
		case KEY_FLOAT8:
			{
				uint64		n;

				if (type->kind == KEY_FLOAT8)
				{
					float8		f = DatumGetFloat8(value);

					memcpy(&n, &f, sizeof(n));
				}
				else
					n = (uint64) DatumGetInt64(value);
				n = pg_hton64(n);
				memcpy(p, &n, sizeof(n));
				break;
			}
		case KEY_TIMETZ:
			{
				TimeTzADT  *t = DatumGetTimeTzADTP(value);
				uint64		time = pg_hton64((uint64) t->time);
				uint32		zone = pg_hton32((uint32) t->zone);

				memcpy(p, &time, sizeof(time));
				memcpy(p + 8, &zone, sizeof(zone));
				break;
			}
		case KEY_INTERVAL:
			{
				Interval   *v = DatumGetIntervalP(value);
				uint64		time = pg_hton64((uint64) v->time);
				uint32		day = pg_hton32((uint32) v->day);
				uint32		month = pg_hton32((uint32) v->month);

				memcpy(p, &time, sizeof(time));
				memcpy(p + 8, &day, sizeof(day));
				memcpy(p + 12, &month, sizeof(month));
				break;
			}
		case KEY_FIXED:
			memcpy(p, DatumGetPointer(value), size);
			break;
		case KEY_BYTEA:
		case KEY_TEXT:
		case KEY_BPCHAR:
			{
				struct varlena *v = (struct varlena *) DatumGetPointer(value);

				taskapi_bytes_append_varint(buf, VARSIZE_ANY_EXHDR(v));
				taskapi_bytes_append(buf, VARDATA_ANY(v), VARSIZE_ANY_EXHDR(v));
				break;
			}
		case KEY_NAME:
			taskapi_bytes_append_varint(buf, strlen(NameStr(*DatumGetName(value))));
			taskapi_bytes_append(buf, NameStr(*DatumGetName(value)), strlen(NameStr(*DatumGetName(value))));
			break;
		case KEY_NUMERIC:
		case KEY_RAW:
			{
				bytea	   *sent;

				if (type->kind == KEY_NUMERIC)
					sent = DatumGetByteaP(DirectFunctionCall1(numeric_send, value));
				else
					sent = send_value(type, value);
				taskapi_bytes_append_varint(buf, VARSIZE_ANY_EXHDR(sent));
				taskapi_bytes_append(buf, VARDATA_ANY(sent), VARSIZE_ANY_EXHDR(sent));
				break;
			}
	}
}

static bool
read_value(TaskapiKeyType *type, const uint8 **pos, const uint8 *end, Datum *value)
{
	const uint8 *p = *pos;
	uint64		len = fixed_size(type);

	if (len == 0 && !taskapi_read_varint(&p, end, &len))
		return false;
	if (len > end - p)
		return false;
	*pos = p + len;

	switch (type->kind)
	{
		case KEY_NULL:
			return false;
		case KEY_BOOL:
			*value = BoolGetDatum(p[0] != 0);
			return true;
		case KEY_CHAR:
			*value = CharGetDatum((char) p[0]);
			return true;
		case KEY_INT2:
			{
				uint16		n;

				memcpy(&n, p, sizeof(n));
				*value = Int16GetDatum((int16) pg_ntoh16(n));
				return true;
			}
		case KEY_INT4:
		case KEY_UINT4:
		case KEY_FLOAT4:
			{
				uint32		n;
				float4		f;

				memcpy(&n, p, sizeof(n));
				n = pg_ntoh32(n);
				memcpy(&f, &n, sizeof(f));
				*value = type->kind == KEY_FLOAT4 ? Float4GetDatum(f) :
					type->kind == KEY_INT4 ? Int32GetDatum((int32) n) : UInt32GetDatum(n);
				return true;
			}
		case KEY_INT8:
		case KEY_UINT8:
		case KEY_FLOAT8:
			{
				uint64		n;
				float8		f;

				memcpy(&n, p, sizeof(n));
				n = pg_ntoh64(n);
				memcpy(&f, &n, sizeof(f));
				*value = type->kind == KEY_FLOAT8 ? Float8GetDatum(f) : Int64GetDatum((int64) n);
				return true;
			}
		case KEY_TIMETZ:
			{
				TimeTzADT  *t = palloc(sizeof(TimeTzADT));
				uint64		time;
				uint32		zone;

				memcpy(&time, p, sizeof(time));
				memcpy(&zone, p + 8, sizeof(zone));
				t->time = (int64) pg_ntoh64(time);
				t->zone = (int32) pg_ntoh32(zone);
				*value = TimeTzADTPGetDatum(t);
				return true;
			}
		case KEY_INTERVAL:
			{
				Interval   *v = palloc(sizeof(Interval));
				uint64		time;
				uint32		day;
				uint32		month;

				memcpy(&time, p, sizeof(time));
				memcpy(&day, p + 8, sizeof(day));
				memcpy(&month, p + 12, sizeof(month));
				v->time = (int64) pg_ntoh64(time);
				v->day = (int32) pg_ntoh32(day);
				v->month = (int32) pg_ntoh32(month);
				*value = IntervalPGetDatum(v);
				return true;
			}
		case KEY_FIXED:
			*value = PointerGetDatum(memcpy(palloc(len), p, len));
			return true;
		case KEY_TEXT:
		case KEY_BPCHAR:
			if (!pg_verify_mbstr(GetDatabaseEncoding(), (const char *) p, (int) len, true))
				return false;
			/* FALLTHROUGH */
		case KEY_BYTEA:
			*value = PointerGetDatum(cstring_to_text_with_len((const char *) p, (int) len));
			return true;
		case KEY_NAME:
			{
				Name		name = palloc0(sizeof(NameData));

				if (len >= NAMEDATALEN || !pg_verify_mbstr(GetDatabaseEncoding(), (const char *) p, (int) len, true))
					return false;
				memcpy(NameStr(*name), p, len);
				*value = NameGetDatum(name);
				return true;
			}
		case KEY_NUMERIC:
		case KEY_RAW:
			{
				StringInfoData buf;

				/* a copy, since some receive functions write behind an element while they read it */
				initStringInfo(&buf);
				appendBinaryStringInfo(&buf, (const char *) p, (int) len);
				*value = receive_value(type, &buf);
				return buf.cursor == buf.len;
			}
	}
	return false;
}

/*
 * What the receive function of a type that is read here would refuse
 */
static bool
in_range(const TaskapiKeyType *type, Datum value)
{
	switch (type->typid)
	{
		case DATEOID:
			return DATE_NOT_FINITE(DatumGetDateADT(value)) || IS_VALID_DATE(DatumGetDateADT(value));
		case TIMEOID:
			return DatumGetTimeADT(value) >= 0 && DatumGetTimeADT(value) <= USECS_PER_DAY;
		case TIMETZOID:
			{
				TimeTzADT  *t = DatumGetTimeTzADTP(value);

				return t->time >= 0 && t->time <= USECS_PER_DAY && t->zone > -TZDISP_LIMIT && t->zone < TZDISP_LIMIT;
			}
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return TIMESTAMP_NOT_FINITE(DatumGetTimestamp(value)) || IS_VALID_TIMESTAMP(DatumGetTimestamp(value));
		default:
			return true;
	}
}

/*
 * Text in a type's binary form is converted to and from the client's encoding.  A token is one byte string
 * whoever asks for it, so the client's is the server's for the time of the call.  Returns what to restore.
 */
static int
begin_server_encoding(void)
{
	int			client = pg_get_client_encoding();

	if (client != GetDatabaseEncoding())
		SetClientEncoding(GetDatabaseEncoding());
	return client;
}

static void
end_server_encoding(int client)
{
	if (client != pg_get_client_encoding())
		SetClientEncoding(client);
}

static bytea *
send_value(TaskapiKeyType *type, Datum value)
{
	bytea	   *volatile result = NULL;
	int			client = begin_server_encoding();

	PG_TRY();
	{
		result = SendFunctionCall(&type->send, value);
	}
	PG_FINALLY();
	{
		end_server_encoding(client);
	}
	PG_END_TRY();
	return result;
}

/*
 * A value that its type no longer takes (a label of an enum that was renamed, a composite type that got a
 * column) makes an invalid cursor, not an error of that type's own.
 */
static Datum
receive_value(TaskapiKeyType *type, StringInfo buf)
{
	volatile Datum result = (Datum) 0;
	MemoryContext context = CurrentMemoryContext;
	int			client = begin_server_encoding();

	PG_TRY();
	{
		if (type->kind == KEY_NUMERIC)
			result = DirectFunctionCall3(numeric_recv, PointerGetDatum(buf),
										 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
		else
			result = ReceiveFunctionCall(&type->recv, buf, type->ioparam, -1);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		end_server_encoding(client);
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
		{
			case ERRCODE_CONNECTION_EXCEPTION:	/* protocol violation */
			case ERRCODE_DATA_EXCEPTION:
			case ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION:
			case ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION:
			case ERRCODE_PROGRAM_LIMIT_EXCEEDED:
				FlushErrorState();
				taskapi_problem(PROBLEM_INVALID_CURSOR, NIL, NULL, UNREADABLE);
			default:
				PG_RE_THROW();
		}
	}
	PG_END_TRY();
	end_server_encoding(client);
	return result;
}
