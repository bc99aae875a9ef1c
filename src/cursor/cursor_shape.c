/*-------------------------------------------------------------------------
 *
 * cursor_shape.c
 *	  What cursors of one order_by and one list of types have in common
 *	  (cursor_shape.h), and building and reading cursors of a known shape.
 *
 * Only making a shape looks into the catalog.  Building a cursor of a shape never
 * fails for a value, since the constructor is leakproof.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "cursor/cursor_shape.h"
#include "http/problem.h"

static bool append_type(TaskapiBytes *descriptor, Oid typid, Oid collation, TaskapiCursorCollation *kind);
static bool append_collation_name(TaskapiBytes *buf, Oid collation);
static TaskapiCursorShape *shape_of_descriptor(const uint8 *descriptor, int len, bool to_compare, MemoryContext context);
static bool fill_key_of_entry(TaskapiCursorShape *shape, int term, const TaskapiCursorTypeEntry *entry, bool to_compare);
static void make_prefix(TaskapiCursorShape *shape);
static TaskapiCursorShape *make_shape(const TaskapiBytes *descriptor, MemoryContext context);
static bool fill_key(TaskapiCursorShape *shape, int term, Oid typid, Oid collation, TaskapiCursorCollation kind);

TaskapiCursorShape *
taskapi_cursor_shape(const TaskapiOrderBy *order_by, int nkeys, const Oid *types, const Oid *collations,
					 MemoryContext context)
{
	char	   *error;
	TaskapiCursorShape *shape = taskapi_cursor_shape_try(order_by, nkeys, types, collations, false, context, &error);

	if (shape == NULL)
		taskapi_problem(PROBLEM_INVALID_ORDER_BY, NIL, NULL, "%s", error);
	return shape;
}

TaskapiCursorShape *
taskapi_cursor_shape_try(const TaskapiOrderBy *order_by, int nkeys, const Oid *types, const Oid *collations,
						 bool sql, MemoryContext context, char **error)
{
	TaskapiBytes descriptor;
	TaskapiCursorShape *shape;
	TaskapiCursorCollation kinds[TASKAPI_MAX_ORDER_TERMS];
	Oid			base[TASKAPI_MAX_ORDER_TERMS];

	if (nkeys != order_by->nterms)
	{
		*error = psprintf("The number of keys, %d, is not the number of terms, %d.", nkeys, order_by->nterms);
		return NULL;
	}

	taskapi_cursor_order_descriptor(order_by, &descriptor);
	for (int i = 0; i < nkeys; i++)
	{
		Oid			collation = collations && OidIsValid(collations[i]) ? collations[i] : DEFAULT_COLLATION_OID;

		base[i] = taskapi_cursor_key_base_type(types[i]);
		if (!append_type(&descriptor, base[i], collation, &kinds[i]))
		{
			*error = psprintf("The collation of \"%s\" does not exist.", order_by->terms[i].name);
			return NULL;
		}
	}

	shape = make_shape(&descriptor, context);
	for (int i = 0; i < nkeys; i++)
	{
		if (!fill_key(shape, i, base[i], collations ? collations[i] : InvalidOid, kinds[i]))
			*error = psprintf("Type %s of \"%s\" has no default btree order or no binary form.",
							  format_type_be(types[i]), order_by->terms[i].name);
		else if (sql && !taskapi_cursor_key_is_leakproof(base[i], kinds[i]))
			*error = psprintf("Type %s of \"%s\" is none that a cursor can hold; taskapi.page() can order by it.",
							  format_type_be(types[i]), order_by->terms[i].name);
		else
			continue;
		return NULL;
	}
	pfree(descriptor.data);
	make_prefix(shape);
	return shape;
}

TaskapiCursorShape *
taskapi_cursor_shape_copy(const TaskapiCursorShape *shape, MemoryContext context)
{
	Size		size = offsetof(TaskapiCursorShape, keys) + shape->nterms * sizeof(TaskapiCursorKeyType);
	TaskapiCursorShape *copy = MemoryContextAlloc(context, size);

	Assert(!shape->raw);
	memcpy(copy, shape, size);
	copy->context = context;
	copy->descriptor = MemoryContextAlloc(context, shape->descriptor_len);
	memcpy(copy->descriptor, shape->descriptor, shape->descriptor_len);
	copy->prefix = MemoryContextAlloc(context, shape->prefix_len);
	memcpy(copy->prefix, shape->prefix, shape->prefix_len);
	copy->wire = NULL;
	return copy;
}

/*
 * False if the collation is gone, which raises in everything that looks it up.
 */
static bool
append_type(TaskapiBytes *descriptor, Oid typid, Oid collation, TaskapiCursorCollation *kind)
{
	*kind = CURSOR_COLLATION_NONE;
	if (type_is_collatable(typid))
	{
		if (collation != DEFAULT_COLLATION_OID && !SearchSysCacheExists1(COLLOID, ObjectIdGetDatum(collation)))
			return false;
		*kind = taskapi_cursor_key_collation_kind(typid, collation);
	}
	taskapi_bytes_append_varint(descriptor, ((uint64) typid << 2) | *kind);
	return *kind != CURSOR_COLLATION_NAMED || append_collation_name(descriptor, collation);
}

TaskapiCursorShape *
taskapi_cursor_shape_of_descriptor(const uint8 *descriptor, int len, MemoryContext context)
{
	return shape_of_descriptor(descriptor, len, false, context);
}

/*
 * With "to_compare" a key that cannot be called is one of bytes, and the result is never NULL.
 */
static TaskapiCursorShape *
shape_of_descriptor(const uint8 *descriptor, int len, bool to_compare, MemoryContext context)
{
	TaskapiBytes bytes = {unconstify(uint8 *, descriptor), len, len};
	TaskapiCursorShape *shape = make_shape(&bytes, context);
	const uint8 *pos = descriptor + shape->order_len;

	for (int i = 0; i < shape->nterms; i++)
	{
		TaskapiCursorTypeEntry entry;

		if (taskapi_cursor_read_type_entry(&pos, descriptor + len, &entry) &&
			fill_key_of_entry(shape, i, &entry, to_compare))
			continue;
		if (!to_compare)
			return NULL;
		taskapi_cursor_key_type_unknown(&shape->keys[i]);
	}
	if (!to_compare)
		make_prefix(shape);
	return shape;
}

static bool
fill_key_of_entry(TaskapiCursorShape *shape, int term, const TaskapiCursorTypeEntry *entry, bool to_compare)
{
	Oid			collation = DEFAULT_COLLATION_OID;

	if (entry->collation_kind == CURSOR_COLLATION_NAMED)
		collation = taskapi_cursor_named_collation(entry->schema, entry->schema_len, entry->name, entry->name_len);
	return OidIsValid(collation) &&
		SearchSysCacheExists1(TYPEOID, ObjectIdGetDatum(entry->typid)) &&
		(!to_compare || taskapi_cursor_key_is_leakproof(entry->typid, entry->collation_kind)) &&
		fill_key(shape, term, entry->typid, collation, entry->collation_kind);
}

static void
make_prefix(TaskapiCursorShape *shape)
{
	MemoryContext old = MemoryContextSwitchTo(shape->context);
	TaskapiBytes buf;

	taskapi_bytes_init(&buf, VARHDRSZ + 16 + shape->descriptor_len);
	memset(buf.data, 0, VARHDRSZ);
	buf.len = VARHDRSZ;
	taskapi_bytes_append_byte(&buf, CURSOR_VERSION | (shape->raw ? CURSOR_RAW : 0));
	taskapi_bytes_append_varint(&buf, shape->descriptor_len);
	taskapi_bytes_append(&buf, shape->descriptor, shape->descriptor_len);
	shape->prefix = buf.data;
	shape->prefix_len = buf.len;
	MemoryContextSwitchTo(old);
}

/*
 * The shape with all but its key types.
 */
static TaskapiCursorShape *
make_shape(const TaskapiBytes *descriptor, MemoryContext context)
{
	int			nterms = CURSOR_DESCRIPTOR_TERMS(descriptor->data[0]);
	TaskapiCursorShape *shape;

	shape = MemoryContextAllocZero(context, offsetof(TaskapiCursorShape, keys) + nterms * sizeof(TaskapiCursorKeyType));
	shape->context = context;
	shape->nterms = nterms;
	shape->leakproof = true;
	shape->descriptor_len = descriptor->len;
	shape->descriptor = MemoryContextAlloc(context, descriptor->len);
	memcpy(shape->descriptor, descriptor->data, descriptor->len);
	shape->order_len = taskapi_cursor_descriptor_order_len(descriptor->data, descriptor->len);
	Assert(shape->order_len > 0);
	for (int i = 0; i < nterms; i++)
	{
		shape->keys[i].descending = (descriptor->data[1 + i] & CURSOR_TERM_DESCENDING) != 0;
		shape->keys[i].nulls_first = (descriptor->data[1 + i] & CURSOR_TERM_NULLS_FIRST) != 0;
	}
	return shape;
}

static bool
fill_key(TaskapiCursorShape *shape, int term, Oid typid, Oid collation, TaskapiCursorCollation kind)
{
	if (!OidIsValid(collation))
		collation = DEFAULT_COLLATION_OID;
	if (!taskapi_cursor_key_type_init(&shape->keys[term], typid, collation, kind, shape->context))
		return false;
	shape->raw |= (shape->keys[term].kind == CURSOR_KEY_RAW);
	shape->leakproof &= taskapi_cursor_key_is_leakproof(typid, kind);
	return true;
}

struct varlena *
taskapi_cursor_build(TaskapiCursorShape *shape, const Datum *values, const bool *isnull)
{
	TaskapiBytes buf;
	TaskapiBytes tail = {NULL, 0, 0};

	taskapi_bytes_init(&buf, shape->prefix_len + 20 * shape->nterms);
	memcpy(buf.data, shape->prefix, shape->prefix_len);
	buf.len = shape->prefix_len;
	for (int i = 0; i < shape->nterms; i++)
	{
		if (isnull[i])
			taskapi_cursor_key_encode_null(&shape->keys[i], &buf);
		else
			taskapi_cursor_key_encode(&shape->keys[i], values[i], i, &buf, &tail);
	}
	if (tail.len > 0)
	{
		buf.data[VARHDRSZ] |= CURSOR_TAIL;
		taskapi_bytes_append(&buf, tail.data, tail.len);
		taskapi_bytes_append_byte(&buf, tail.len >> 8);
		taskapi_bytes_append_byte(&buf, tail.len & 0xFF);
		pfree(tail.data);
	}
	SET_VARSIZE(buf.data, buf.len);
	return (struct varlena *) buf.data;
}

void
taskapi_cursor_values(TaskapiCursorShape *shape, const struct varlena *cursor, Datum *values, bool *isnull)
{
	TaskapiCursorView view;
	TaskapiCursorMatch match;

	cursor = PG_DETOAST_DATUM_PACKED(PointerGetDatum(cursor));
	taskapi_cursor_view(cursor, &view);
	match = taskapi_cursor_descriptor_match(shape->descriptor, shape->descriptor_len, view.descriptor, view.descriptor_len);
	if (match != CURSOR_MATCHES)
		taskapi_cursor_mismatch(match);
	if (!taskapi_cursor_read_keys(shape, &view, values, isnull))
		taskapi_cursor_mismatch(CURSOR_OTHER_TYPES);
}

TaskapiCursorMatch
taskapi_cursor_shape_compares(const TaskapiCursorShape *shape, const TaskapiCursorView *view)
{
	TaskapiCursorMatch match;

	if (taskapi_cursor_descriptor_compare(shape->descriptor, shape->descriptor_len,
										  view->descriptor, view->descriptor_len) == 0)
		return CURSOR_MATCHES;
	match = taskapi_cursor_descriptor_match(shape->descriptor, shape->descriptor_len,
											view->descriptor, view->descriptor_len);
	return match == CURSOR_MATCHES ? CURSOR_OTHER_TYPES : match;	/* an untyped NULL */
}

bool
taskapi_cursor_is_uniform(const TaskapiCursorShape *shape)
{
	for (int i = 1; i < shape->nterms; i++)
	{
		if (shape->keys[i].descending != shape->keys[0].descending)
			return false;
	}
	return true;
}

bool
taskapi_cursor_read_keys(const TaskapiCursorShape *shape, const TaskapiCursorView *view, Datum *values, bool *isnull)
{
	const uint8 *pos = view->keys;
	const uint8 *tail = view->tail;

	for (int i = 0; i < shape->nterms; i++)
	{
		if (!taskapi_cursor_key_decode(&shape->keys[i], i, &pos, view->keys_end, &tail, view->tail_end,
								&values[i], &isnull[i]))
			return false;
	}
	return true;
}

/*
 * Names neither order: an order_by that comes out of a row must not show in an error.
 */
void
taskapi_cursor_mismatch(TaskapiCursorMatch match)
{
	taskapi_problem(PROBLEM_CURSOR_MISMATCH, NIL, NULL, "%s",
					match == CURSOR_OTHER_ORDER ?
					"It was made for another order_by." :
					"It was made for the same order_by over keys of other types or collations.");
}

static bool
append_collation_name(TaskapiBytes *buf, Oid collation)
{
	HeapTuple	tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(collation));
	Form_pg_collation form;
	char	   *schema;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_collation) GETSTRUCT(tuple);
	schema = get_namespace_name(form->collnamespace);
	if (schema)
	{
		taskapi_cursor_append_short_string(buf, schema);
		taskapi_cursor_append_short_string(buf, NameStr(form->collname));
	}
	ReleaseSysCache(tuple);
	return schema != NULL;
}

Oid
taskapi_cursor_named_collation(const char *schema, int schema_len, const char *name, int name_len)
{
	char	   *schema_str = pnstrdup(schema, schema_len);
	char	   *name_str = pnstrdup(name, name_len);
	Oid			namespace = get_namespace_oid(schema_str, true);
	Oid			collation = InvalidOid;

	/* as a name in a query is looked up: for this encoding, else for any */
	if (OidIsValid(namespace))
	{
		collation = GetSysCacheOid3(COLLNAMEENCNSP, Anum_pg_collation_oid, CStringGetDatum(name_str),
									Int32GetDatum(GetDatabaseEncoding()), ObjectIdGetDatum(namespace));
		if (!OidIsValid(collation))
			collation = GetSysCacheOid3(COLLNAMEENCNSP, Anum_pg_collation_oid, CStringGetDatum(name_str),
										Int32GetDatum(-1), ObjectIdGetDatum(namespace));
	}
	pfree(schema_str);
	pfree(name_str);
	return collation;
}

TaskapiCursorShapeCache *
taskapi_cursor_shape_cache(FmgrInfo *flinfo)
{
	if (flinfo->fn_extra == NULL)
	{
		TaskapiCursorShapeCache *cache = MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(TaskapiCursorShapeCache));

		cache->parent = flinfo->fn_mcxt;
		flinfo->fn_extra = cache;
	}
	return flinfo->fn_extra;
}

MemoryContext
taskapi_cursor_shape_cache_reset(TaskapiCursorShapeCache *cache)
{
	cache->shape = NULL;
	cache->bytes = NULL;
	cache->len = 0;
	if (cache->context)
		MemoryContextReset(cache->context);
	else
		cache->context = AllocSetContextCreate(cache->parent, "taskapi cursor shape", ALLOCSET_SMALL_SIZES);
	return cache->context;
}

void
taskapi_cursor_shape_cache_fill(TaskapiCursorShapeCache *cache, const uint8 *bytes, int len, TaskapiCursorShape *shape)
{
	cache->bytes = MemoryContextAlloc(cache->context, len);
	memcpy(cache->bytes, bytes, len);
	cache->len = len;
	cache->shape = shape;
}

void
taskapi_cursor_shape_cache_free(TaskapiCursorShapeCache *cache)
{
	if (cache->context)
		MemoryContextDelete(cache->context);
}

TaskapiCursorShape *
taskapi_cursor_shape_of_cursor(TaskapiCursorShapeCache *cache, const TaskapiCursorView *view)
{
	TaskapiCursorShape *shape = taskapi_cursor_shape_of_cursor_try(cache, view);

	if (shape == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("a type or collation of a cursor no longer exists")));
	return shape;
}

TaskapiCursorShape *
taskapi_cursor_shape_of_cursor_try(TaskapiCursorShapeCache *cache, const TaskapiCursorView *view)
{
	static TaskapiCursorLastingShapes lasting;
	TaskapiCursorShape *shape;

	if (cache->shape && cache->len == view->descriptor_len &&
		memcmp(cache->bytes, view->descriptor, cache->len) == 0)
		return cache->shape;
	shape = taskapi_cursor_find_lasting_shape(&lasting, view->descriptor, view->descriptor_len);
	if (shape == NULL)
		shape = taskapi_cursor_add_lasting_shape(&lasting, view->descriptor, view->descriptor_len,
												 view->descriptor, view->descriptor_len);
	if (shape != NULL)
		return shape;

	shape = taskapi_cursor_shape_of_descriptor(view->descriptor, view->descriptor_len, taskapi_cursor_shape_cache_reset(cache));
	if (shape != NULL)
		taskapi_cursor_shape_cache_fill(cache, view->descriptor, view->descriptor_len, shape);
	return shape;
}

TaskapiCursorShape *
taskapi_cursor_shape_to_compare(TaskapiCursorShapeCache *cache, const TaskapiCursorView *view)
{
	if (cache->shape == NULL || cache->len != view->descriptor_len ||
		memcmp(cache->bytes, view->descriptor, cache->len) != 0)
	{
		MemoryContext context = taskapi_cursor_shape_cache_reset(cache);
		TaskapiCursorShape *shape = shape_of_descriptor(view->descriptor, view->descriptor_len, true, context);

		taskapi_cursor_shape_cache_fill(cache, view->descriptor, view->descriptor_len, shape);
	}
	return cache->shape;
}

TaskapiCursorShape *
taskapi_cursor_find_lasting_shape(TaskapiCursorLastingShapes *shapes, const uint8 *bytes, int len)
{
	for (int i = 0; i < CURSOR_LASTING_SHAPES; i++)
	{
		int			n = (shapes->last + i) % CURSOR_LASTING_SHAPES;

		if (shapes->entries[n].shape && shapes->entries[n].len == len &&
			memcmp(shapes->entries[n].bytes, bytes, len) == 0)
		{
			shapes->last = n;
			return shapes->entries[n].shape;
		}
	}
	return NULL;
}

TaskapiCursorShape *
taskapi_cursor_add_lasting_shape(TaskapiCursorLastingShapes *shapes, const uint8 *bytes, int len,
						  const uint8 *descriptor, int descriptor_len)
{
	const uint8 *pos = descriptor + taskapi_cursor_descriptor_order_len(descriptor, descriptor_len);
	int			n = (shapes->last + CURSOR_LASTING_SHAPES - 1) % CURSOR_LASTING_SHAPES;
	MemoryContext context;
	TaskapiCursorShape *shape;

	for (int i = 0; i < CURSOR_DESCRIPTOR_TERMS(descriptor[0]); i++)
	{
		TaskapiCursorTypeEntry entry;

		if (!taskapi_cursor_read_type_entry(&pos, descriptor + descriptor_len, &entry) ||
			entry.typid >= FirstGenbkiObjectId ||
			taskapi_cursor_key_kind(entry.typid, entry.collation_kind) == CURSOR_KEY_RAW)
			return NULL;
	}

	context = AllocSetContextCreate(CurrentMemoryContext, "taskapi lasting cursor shape", ALLOCSET_SMALL_SIZES);
	shape = taskapi_cursor_shape_of_descriptor(descriptor, descriptor_len, context);
	if (shape == NULL)
	{
		MemoryContextDelete(context);
		return NULL;
	}
	if (shapes->entries[n].shape)
	{
		shapes->entries[n].shape = NULL;
		MemoryContextDelete(shapes->entries[n].context);
	}
	MemoryContextSetParent(context, TopMemoryContext);
	shapes->entries[n].bytes = MemoryContextAlloc(context, len);
	memcpy(shapes->entries[n].bytes, bytes, len);
	shapes->entries[n].len = len;
	shapes->entries[n].context = context;
	shapes->entries[n].shape = shape;
	shapes->last = n;
	return shape;
}
