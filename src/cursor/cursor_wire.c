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
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/base64url.h"
#include "base/compat.h"
#include "cursor/cursor_codec.h"
#include "cursor/cursor_shape.h"
#include "cursor/cursor_wire.h"
#include "http/problem.h"

#define WIRE_NULLS		0x20
#define WIRE_DIGEST		0x40
#define WIRE_PACKED		0x80
#define WIRE_TERMS(byte) (((byte) & 0x1F) + 1)

/* So long that the token of (timestamptz, uuid) keeps within 96 characters, however long its names are */
#define MAX_SHORT_WIRE	49

static void make_header(TaskapiCursorShape *shape);
static int	append_names(const TaskapiCursorShape *shape, TaskapiBytes *buf);
static void append_types(const TaskapiCursorShape *shape, TaskapiBytes *buf);
static const uint8 *skip_header(const uint8 *pos, const uint8 *end);
static bool read_value(TaskapiCursorKeyType *type, const uint8 **pos, const uint8 *end, Datum *value);
static bool descriptor_of_wire(const uint8 *wire, const uint8 *types_end, TaskapiBytes *descriptor);

void
taskapi_cursor_to_wire(const struct varlena *cursor, StringInfo out)
{
	TaskapiCursorShapeCache cache = {.parent = CurrentMemoryContext};
	TaskapiCursorView view;
	TaskapiBytes buf;

	cursor = PG_DETOAST_DATUM_PACKED(PointerGetDatum(cursor));
	taskapi_cursor_view(cursor, &view);
	taskapi_bytes_init(&buf, 128);
	taskapi_cursor_write_wire(taskapi_cursor_shape_of_cursor(&cache, &view), &view, &buf);
	appendBinaryStringInfo(out, (char *) buf.data, buf.len);
	pfree(buf.data);
	taskapi_cursor_shape_cache_free(&cache);
}

struct varlena *
taskapi_cursor_from_wire(StringInfo buf, Node *escontext)
{
	TaskapiCursorShapeCache cache = {.parent = CurrentMemoryContext};
	const uint8 *start = (const uint8 *) buf->data + buf->cursor;
	const uint8 *pos = start;
	struct varlena *cursor;

	cursor = taskapi_cursor_read_wire(&cache, &pos, (const uint8 *) buf->data + buf->len, true, escontext);
	buf->cursor += pos - start;
	taskapi_cursor_shape_cache_free(&cache);
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
		taskapi_cursor_mismatch(CURSOR_OTHER_TYPES);

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
			taskapi_cursor_codecs[shape->keys[i].kind]->write(&shape->keys[i], values[i], buf);
	}

	wire = buf->data + start;
	if (bitmap_len > 0)
		wire[0] |= WIRE_NULLS;

	/* Long names: their digest instead, where that makes a token short */
	names_len = shape->wire_names_len;
	if (buf->len - start > MAX_SHORT_WIRE && names_len > CURSOR_DIGEST_LENGTH &&
		buf->len - start - names_len + CURSOR_DIGEST_LENGTH <= MAX_SHORT_WIRE)
	{
		uint8	   *names = wire + 1 + nterms;

		wire[0] = (wire[0] & ~WIRE_PACKED) | WIRE_DIGEST;
		for (int i = 1; i <= nterms; i++)
			wire[i] &= CURSOR_TERM_DESCENDING | CURSOR_TERM_NULLS_FIRST;
		memmove(names + CURSOR_DIGEST_LENGTH, names + names_len, buf->len - start - 1 - nterms - names_len);
		taskapi_cursor_descriptor_digest(shape->descriptor, shape->order_len, names);
		buf->len -= names_len - CURSOR_DIGEST_LENGTH;
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

	if (shape->descriptor[0] & CURSOR_DESCRIPTOR_DIGEST)
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
taskapi_cursor_read_wire(TaskapiCursorShapeCache *cache, const uint8 **pos, const uint8 *end, bool sql, Node *escontext)
{
	static TaskapiCursorLastingShapes lasting;
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
	else if ((shape = taskapi_cursor_find_lasting_shape(&lasting, start, header_len)) == NULL)
	{
		TaskapiBytes descriptor;

		if (!descriptor_of_wire(start, p, &descriptor))
			goto damaged;
		shape = taskapi_cursor_add_lasting_shape(&lasting, start, header_len, descriptor.data, descriptor.len);
		if (shape == NULL)
		{
			shape = taskapi_cursor_shape_of_descriptor(descriptor.data, descriptor.len, taskapi_cursor_shape_cache_reset(cache));
			if (shape == NULL)
				goto damaged;
			taskapi_cursor_shape_cache_fill(cache, start, header_len, shape);
			cache->bytes[0] = first;
		}
	}

	if (sql && !shape->leakproof)
		goto damaged;

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
		if (!isnull[i] && !read_value(&shape->keys[i], &p, end, &values[i]))
			goto damaged;
	}
	*pos = p;
	return taskapi_cursor_build(shape, values, isnull);

damaged:
	taskapi_problem_soft(escontext, PROBLEM_INVALID_CURSOR, TASKAPI_CURSOR_UNREADABLE);
	return NULL;
}

static void
append_types(const TaskapiCursorShape *shape, TaskapiBytes *buf)
{
	const uint8 *pos = shape->descriptor + shape->order_len;
	const uint8 *end = shape->descriptor + shape->descriptor_len;

	for (int i = 0; i < shape->nterms; i++)
	{
		TaskapiCursorTypeEntry entry;
		const uint8 *start = pos;

		taskapi_cursor_read_type_entry(&pos, end, &entry);
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
			taskapi_cursor_append_short_string(buf, get_namespace_name(form->typnamespace));
			taskapi_cursor_append_short_string(buf, NameStr(form->typname));
			ReleaseSysCache(tuple);
			if (entry.collation_kind == CURSOR_COLLATION_NAMED)
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
		names_len += CURSOR_TERM_NAME_LENGTH(start[i]);
	if (start[0] & WIRE_DIGEST)
	{
		if (names_len > 0 || (start[0] & WIRE_PACKED))
			return NULL;
		names_len = CURSOR_DIGEST_LENGTH;
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
		strings += (word & 3) == CURSOR_COLLATION_NAMED ? 2 : 0;
		while (strings-- > 0)
		{
			if (!taskapi_cursor_read_short_string(&pos, end, &str, &len))
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
		names_len += CURSOR_TERM_NAME_LENGTH(wire[i]);
	taskapi_bytes_init(descriptor, types_end - wire + 32);
	taskapi_bytes_append_byte(descriptor, nterms | (wire[0] & WIRE_DIGEST ? CURSOR_DESCRIPTOR_DIGEST : 0));
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
			names_len = CURSOR_DIGEST_LENGTH;
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

			taskapi_cursor_read_short_string(&pos, types_end, &str, &len);
			namespace = get_namespace_oid(pnstrdup(str, len), true);
			taskapi_cursor_read_short_string(&pos, types_end, &str, &len);
			if (OidIsValid(namespace))
				typid = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum(pnstrdup(str, len)),
										ObjectIdGetDatum(namespace));
			if (typid == 0)
				return false;
		}
		else if (typid >= FirstGenbkiObjectId)
			return false;
		taskapi_bytes_append_varint(descriptor, (typid << 2) | (word & 3));
		if ((word & 3) == CURSOR_COLLATION_NAMED)
		{
			const uint8 *start = pos;

			taskapi_cursor_read_short_string(&pos, types_end, &str, &len);
			taskapi_cursor_read_short_string(&pos, types_end, &str, &len);
			taskapi_bytes_append(descriptor, start, pos - start);
		}
	}
	return true;
}

/*
 * One value that is not NULL.
 */
static bool
read_value(TaskapiCursorKeyType *type, const uint8 **pos, const uint8 *end, Datum *value)
{
	const TaskapiCursorCodec *codec = taskapi_cursor_codecs[type->kind];
	const uint8 *p = *pos;
	uint64		len;

	if (codec->wire_size > 0)
		len = codec->wire_size;
	else if (codec->wire_size == CURSOR_WIRE_TYPLEN)
		len = type->typlen;
	else if (!taskapi_read_varint(&p, end, &len))
		return false;
	if (len > end - p)
		return false;
	*pos = p + len;
	return codec->read(type, p, (int) len, value);
}
