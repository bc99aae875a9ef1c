/*-------------------------------------------------------------------------
 *
 * cursor_descriptor.c
 *	  What a cursor says of its order and its types (cursor_descriptor.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"

#include "base/compat.h"
#include "cursor/cursor_descriptor.h"

static int	compare_orders(const uint8 *a, int a_len, const uint8 *b, int b_len);
static void digest_of(const uint8 *order, int order_len, uint8 *digest);
static int	compare_types(const TaskapiCursorTypeEntry *a, const TaskapiCursorTypeEntry *b, bool nulls_first);
static int	compare_strings(const char *a, int a_len, const char *b, int b_len);

void
taskapi_cursor_order_descriptor(const TaskapiOrderBy *order_by, TaskapiBytes *buf)
{
	taskapi_bytes_init(buf, 128);
	taskapi_bytes_append_byte(buf, order_by->nterms);
	for (int i = 0; i < order_by->nterms; i++)
	{
		const TaskapiOrderTerm *term = &order_by->terms[i];

		taskapi_bytes_append_byte(buf, (strlen(term->name) << 2) |
								  (term->nulls_first ? CURSOR_TERM_NULLS_FIRST : 0) |
								  (term->descending ? CURSOR_TERM_DESCENDING : 0));
	}
	for (int i = 0; i < order_by->nterms; i++)
		taskapi_bytes_append(buf, order_by->terms[i].name, strlen(order_by->terms[i].name));
}

int
taskapi_cursor_descriptor_compare(const uint8 *a, int a_len, const uint8 *b, int b_len)
{
	const uint8 *pa;
	const uint8 *pb;
	int			cmp;

	if (a_len == b_len && memcmp(a, b, a_len) == 0)
		return 0;
	cmp = compare_orders(a, a_len, b, b_len);
	if (cmp != 0)
		return cmp;

	pa = a + taskapi_cursor_descriptor_order_len(a, a_len);
	pb = b + taskapi_cursor_descriptor_order_len(b, b_len);
	for (int i = 0; i < CURSOR_DESCRIPTOR_TERMS(a[0]) && cmp == 0; i++)
	{
		TaskapiCursorTypeEntry ea;
		TaskapiCursorTypeEntry eb;
		bool		more_a = taskapi_cursor_read_type_entry(&pa, a + a_len, &ea);
		bool		more_b = taskapi_cursor_read_type_entry(&pb, b + b_len, &eb);

		if (!more_a || !more_b)
			return more_a - more_b;
		cmp = compare_types(&ea, &eb, (a[1 + i] & CURSOR_TERM_NULLS_FIRST) != 0);
	}
	return cmp;
}

/*
 * Directions, then names.  Names are compared by their digest, whichever form a descriptor has, so that all three ways to meet
 * agree.
 */
static int
compare_orders(const uint8 *a, int a_len, const uint8 *b, int b_len)
{
	int			nterms = CURSOR_DESCRIPTOR_TERMS(a[0]);
	int			a_order = taskapi_cursor_descriptor_order_len(a, a_len);
	int			b_order = taskapi_cursor_descriptor_order_len(b, b_len);
	uint8		digests[2][CURSOR_DIGEST_LENGTH];

	if (a_order == b_order && memcmp(a, b, a_order) == 0)
		return 0;
	if (nterms != CURSOR_DESCRIPTOR_TERMS(b[0]))
		return nterms - CURSOR_DESCRIPTOR_TERMS(b[0]);
	for (int i = 1; i <= nterms; i++)
	{
		int			directions = CURSOR_TERM_DESCENDING | CURSOR_TERM_NULLS_FIRST;

		if ((a[i] & directions) != (b[i] & directions))
			return (a[i] & directions) - (b[i] & directions);
	}
	digest_of(a, a_order, digests[0]);
	digest_of(b, b_order, digests[1]);
	return memcmp(digests[0], digests[1], CURSOR_DIGEST_LENGTH);
}

static void
digest_of(const uint8 *order, int order_len, uint8 *digest)
{
	if (order[0] & CURSOR_DESCRIPTOR_DIGEST)
		memcpy(digest, order + 1 + CURSOR_DESCRIPTOR_TERMS(order[0]), CURSOR_DIGEST_LENGTH);
	else
		taskapi_cursor_descriptor_digest(order, order_len, digest);
}

static int
compare_types(const TaskapiCursorTypeEntry *a, const TaskapiCursorTypeEntry *b, bool nulls_first)
{
	Oid			a_class = taskapi_cursor_key_class(a->typid);
	Oid			b_class = taskapi_cursor_key_class(b->typid);
	int			cmp;

	if (a_class != b_class)
	{
		if (a_class == UNKNOWNOID || b_class == UNKNOWNOID)
			return (a_class == UNKNOWNOID) == nulls_first ? -1 : 1;
		return a_class < b_class ? -1 : 1;
	}
	if (a->collation_kind != b->collation_kind)
		return a->collation_kind < b->collation_kind ? -1 : 1;
	cmp = compare_strings(a->schema, a->schema_len, b->schema, b->schema_len);
	return cmp != 0 ? cmp : compare_strings(a->name, a->name_len, b->name, b->name_len);
}

static int
compare_strings(const char *a, int a_len, const char *b, int b_len)
{
	int			cmp = memcmp(a, b, Min(a_len, b_len));

	return cmp != 0 ? cmp : a_len - b_len;
}

TaskapiCursorMatch
taskapi_cursor_descriptor_match(const uint8 *a, int a_len, const uint8 *b, int b_len)
{
	int			a_order;
	const uint8 *pa;
	const uint8 *pb;

	if (a_len == b_len && memcmp(a, b, a_len) == 0)
		return CURSOR_MATCHES;

	a_order = taskapi_cursor_descriptor_order_len(a, a_len);
	if (!taskapi_cursor_order_matches(a, a_order, b, b_len))
		return CURSOR_OTHER_ORDER;

	pa = a + a_order;
	pb = b + taskapi_cursor_descriptor_order_len(b, b_len);
	for (int i = 0; i < CURSOR_DESCRIPTOR_TERMS(a[0]); i++)
	{
		TaskapiCursorTypeEntry ea;
		TaskapiCursorTypeEntry eb;

		if (!taskapi_cursor_read_type_entry(&pa, a + a_len, &ea) || !taskapi_cursor_read_type_entry(&pb, b + b_len, &eb))
			return CURSOR_OTHER_TYPES;
		if (ea.typid == UNKNOWNOID || eb.typid == UNKNOWNOID)
			continue;
		if (compare_types(&ea, &eb, false) != 0)
			return CURSOR_OTHER_TYPES;
	}
	return CURSOR_MATCHES;
}

bool
taskapi_cursor_order_matches(const uint8 *order, int order_len, const uint8 *descriptor, int descriptor_len)
{
	int			nterms = CURSOR_DESCRIPTOR_TERMS(order[0]);
	int			other_len = taskapi_cursor_descriptor_order_len(descriptor, descriptor_len);
	uint8		digest[CURSOR_DIGEST_LENGTH];

	if ((order[0] & CURSOR_DESCRIPTOR_DIGEST) == (descriptor[0] & CURSOR_DESCRIPTOR_DIGEST))
		return order_len == other_len && memcmp(order, descriptor, order_len) == 0;
	if (nterms != CURSOR_DESCRIPTOR_TERMS(descriptor[0]))
		return false;
	if (order[0] & CURSOR_DESCRIPTOR_DIGEST)
		return taskapi_cursor_order_matches(descriptor, other_len, order, order_len);

	/* The digest is over names and directions alike */
	taskapi_cursor_descriptor_digest(order, order_len, digest);
	return memcmp(digest, descriptor + 1 + nterms, CURSOR_DIGEST_LENGTH) == 0;
}

void
taskapi_cursor_descriptor_digest(const uint8 *order, int order_len, uint8 *digest)
{
	for (int i = 0; i < 2; i++)
	{
		uint64		hash = DatumGetUInt64(hash_any_extended(order, order_len, i + 1));

		for (int j = 0; j < 8; j++)
			digest[8 * i + j] = (uint8) (hash >> (56 - 8 * j));
	}
}

int
taskapi_cursor_descriptor_order_len(const uint8 *descriptor, int len)
{
	int			nterms;
	int			order_len;

	if (len < 1)
		return -1;
	nterms = CURSOR_DESCRIPTOR_TERMS(descriptor[0]);
	if (nterms < 1 || nterms > TASKAPI_MAX_ORDER_TERMS || len < 1 + nterms)
		return -1;
	order_len = 1 + nterms;
	if (descriptor[0] & CURSOR_DESCRIPTOR_DIGEST)
		order_len += CURSOR_DIGEST_LENGTH;
	else
	{
		for (int i = 1; i <= nterms; i++)
			order_len += CURSOR_TERM_NAME_LENGTH(descriptor[i]);
	}
	return order_len <= len ? order_len : -1;
}

bool
taskapi_cursor_read_type_entry(const uint8 **pos, const uint8 *end, TaskapiCursorTypeEntry *entry)
{
	uint64		word;

	memset(entry, 0, sizeof(TaskapiCursorTypeEntry));
	entry->schema = entry->name = "";
	if (!taskapi_read_varint(pos, end, &word))
		return false;
	entry->typid = (Oid) (word >> 2);
	entry->collation_kind = (TaskapiCursorCollation) (word & 3);
	if (entry->collation_kind == CURSOR_COLLATION_NAMED)
		return taskapi_cursor_read_short_string(pos, end, &entry->schema, &entry->schema_len) &&
			taskapi_cursor_read_short_string(pos, end, &entry->name, &entry->name_len);
	return true;
}

bool
taskapi_cursor_read_short_string(const uint8 **pos, const uint8 *end, const char **str, int *len)
{
	if (*pos >= end || end - *pos - 1 < **pos)
		return false;
	*len = **pos;
	*str = (const char *) *pos + 1;
	*pos += 1 + *len;
	return true;
}

void
taskapi_cursor_append_short_string(TaskapiBytes *buf, const char *str)
{
	taskapi_bytes_append_byte(buf, strlen(str));
	taskapi_bytes_append(buf, str, strlen(str));
}
