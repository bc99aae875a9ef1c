/*-------------------------------------------------------------------------
 *
 * cursor_wire.c
 *	  The wire form of a cursor: what its token carries.
 *
 *		order		as in the descriptor (cursor_shape.h)
 *		types		as there, but a type that is not built in has OID 0 followed by schema and name
 *		NULLs		one bit a term, low bits first
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

#include "compat.h"
#include "cursor_shape.h"
#include "problem.h"

/* So long that the token of (timestamptz, uuid) keeps within 96 characters, however long its names are */
#define MAX_SHORT_WIRE	49

static int	fixed_size(const TaskapiKeyType *type);
static void append_types(const TaskapiCursorShape *shape, TaskapiBytes *buf);
static void append_value(TaskapiKeyType *type, Datum value, TaskapiBytes *buf);
static const uint8 *skip_types(const uint8 *pos, const uint8 *end, int nterms);
static TaskapiCursorShape *shape_of_wire(const uint8 *header, int order_len, const uint8 *types_end, MemoryContext context);
static bool read_value(TaskapiKeyType *type, const uint8 **pos, const uint8 *end, Datum *value);
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
	MemoryContextDelete(cache.context);
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
	if (cache.context)
		MemoryContextDelete(cache.context);
	return cursor;
}

void
taskapi_cursor_write_wire(TaskapiCursorShape *shape, const TaskapiCursorView *view, TaskapiBytes *buf)
{
	int			start = buf->len;
	int			order_len = shape->order_len;
	int			bitmap;
	Datum		values[TASKAPI_MAX_ORDER_TERMS];
	bool		isnull[TASKAPI_MAX_ORDER_TERMS];

	if (!taskapi_cursor_read_keys(shape, view, values, isnull))
		taskapi_cursor_mismatch(SHAPE_OTHER_TYPES);

	taskapi_bytes_append(buf, shape->descriptor, order_len);
	append_types(shape, buf);
	bitmap = buf->len;
	memset(taskapi_bytes_reserve(buf, (shape->nterms + 7) / 8), 0, (shape->nterms + 7) / 8);
	buf->len += (shape->nterms + 7) / 8;
	for (int i = 0; i < shape->nterms; i++)
	{
		if (isnull[i])
			buf->data[bitmap + i / 8] |= 1 << (i % 8);
		else
			append_value(&shape->keys[i], values[i], buf);
	}

	/* Long names: their digest instead, where that makes a token short */
	if (buf->len - start > MAX_SHORT_WIRE && shape->names_len > DIGEST_LENGTH &&
		buf->len - start - shape->names_len + DIGEST_LENGTH <= MAX_SHORT_WIRE)
	{
		uint8	   *order = buf->data + start;

		order[0] |= DESCRIPTOR_DIGEST;
		taskapi_descriptor_digest(shape->descriptor, order_len, order + 1 + shape->nterms);
		for (int i = 1; i <= shape->nterms; i++)
			order[i] &= TERM_DESCENDING | TERM_NULLS_FIRST;
		memmove(order + 1 + shape->nterms + DIGEST_LENGTH, order + order_len, buf->len - start - order_len);
		buf->len -= shape->names_len - DIGEST_LENGTH;
	}
}

struct varlena *
taskapi_cursor_read_wire(TaskapiShapeCache *cache, const uint8 **pos, const uint8 *end, Node *escontext)
{
	const uint8 *start = *pos;
	const uint8 *p;
	const uint8 *nulls;
	int			order_len = taskapi_descriptor_order_len(start, end - start);
	int			nterms;
	Datum		values[TASKAPI_MAX_ORDER_TERMS];
	bool		isnull[TASKAPI_MAX_ORDER_TERMS];
	TaskapiCursorShape *shape;

	if (order_len < 0)
		goto damaged;
	nterms = DESCRIPTOR_TERMS(start[0]);
	p = skip_types(start + order_len, end, nterms);
	if (p == NULL)
		goto damaged;

	if (cache->shape && cache->len == p - start && memcmp(cache->bytes, start, cache->len) == 0)
		shape = cache->shape;
	else
	{
		shape = shape_of_wire(start, order_len, p, taskapi_shape_cache_reset(cache));
		if (shape == NULL)
			goto damaged;
		taskapi_shape_cache_fill(cache, start, p - start, shape);
	}

	nulls = p;
	if (end - p < (nterms + 7) / 8)
		goto damaged;
	p += (nterms + 7) / 8;
	for (int i = 0; i < nterms; i++)
	{
		isnull[i] = (nulls[i / 8] & (1 << (i % 8))) != 0;
		values[i] = (Datum) 0;
		if (!isnull[i] && !read_value(&shape->keys[i], &p, end, &values[i]))
			goto damaged;
	}
	*pos = p;
	return taskapi_cursor_build(shape, values, isnull);

damaged:
	taskapi_problem_soft(escontext, PROBLEM_INVALID_CURSOR, "It holds nothing that can be read here.");
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
 * The names of a type that is not built in come before those of a collation, as append_types() wrote them.
 */
static const uint8 *
skip_types(const uint8 *pos, const uint8 *end, int nterms)
{
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
 * Wire header to shape; NULL where it names what is not there.
 */
static TaskapiCursorShape *
shape_of_wire(const uint8 *header, int order_len, const uint8 *types_end, MemoryContext context)
{
	TaskapiBytes descriptor;
	const uint8 *pos = header + order_len;

	taskapi_bytes_init(&descriptor, types_end - header + 32);
	taskapi_bytes_append(&descriptor, header, order_len);
	for (int i = 0; i < DESCRIPTOR_TERMS(header[0]); i++)
	{
		uint64		word = 0;
		uint64		typid;
		const char *str;
		int			len;

		taskapi_read_varint(&pos, types_end, &word);
		typid = word >> 2;
		if (typid == 0)
		{
			char	   *schema;
			Oid			namespace;

			taskapi_read_short_string(&pos, types_end, &str, &len);
			schema = pnstrdup(str, len);
			namespace = get_namespace_oid(schema, true);
			taskapi_read_short_string(&pos, types_end, &str, &len);
			if (OidIsValid(namespace))
				typid = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum(pnstrdup(str, len)),
										ObjectIdGetDatum(namespace));
			if (typid == 0)
				return NULL;
		}
		else if (typid >= FirstGenbkiObjectId)
			return NULL;
		taskapi_bytes_append_varint(&descriptor, (typid << 2) | (word & 3));
		if ((word & 3) == COLLATION_NAMED)
		{
			const uint8 *start = pos;

			taskapi_read_short_string(&pos, types_end, &str, &len);
			taskapi_read_short_string(&pos, types_end, &str, &len);
			taskapi_bytes_append(&descriptor, start, pos - start);
		}
	}
	return taskapi_shape_of_descriptor(descriptor.data, descriptor.len, context);
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
				if (type->kind == KEY_NUMERIC)
					*value = DirectFunctionCall3(numeric_recv, PointerGetDatum(&buf),
												 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
				else
					*value = receive_value(type, &buf);
				return buf.cursor == buf.len;
			}
	}
	return false;
}

/*
 * Call a type's send or receive function with no conversion of text.  A token is opened in whatever session.
 */
#define IN_SERVER_ENCODING(statement) \
	do { \
		int			client_ = pg_get_client_encoding(); \
		if (client_ == GetDatabaseEncoding()) \
			statement; \
		else \
		{ \
			SetClientEncoding(GetDatabaseEncoding()); \
			PG_TRY(); \
			{ \
				statement; \
			} \
			PG_FINALLY(); \
			{ \
				SetClientEncoding(client_); \
			} \
			PG_END_TRY(); \
		} \
	} while (0)

static bytea *
send_value(TaskapiKeyType *type, Datum value)
{
	bytea	   *volatile result = NULL;

	IN_SERVER_ENCODING(result = SendFunctionCall(&type->send, value));
	return result;
}

static Datum
receive_value(TaskapiKeyType *type, StringInfo buf)
{
	volatile Datum result = (Datum) 0;

	IN_SERVER_ENCODING(result = ReceiveFunctionCall(&type->recv, buf, type->ioparam, -1));
	return result;
}
