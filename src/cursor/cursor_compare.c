/*-------------------------------------------------------------------------
 *
 * cursor_compare.c
 *	  Page order: operators, btree and hash support of taskapi.cursor.
 *
 * a > b means that a comes after b under their order_by.  The operators are a total
 * order over all cursors, and leakproof: they raise for no argument.  Cursors of two
 * order_bys, or of types that do not compare, are of two classes, and one class comes
 * before the other whatever the keys are (cursor_descriptor.h); telling a client
 * that it sent the wrong cursor is the planner's business (cursor_check.c).
 *
 * If all keys are encoded (cursor_key.h says which types are) a comparison is one
 * memcmp of what stands between descriptor and tail.  Else it goes key by key, and calls
 * the btree support function of types whose comparison is leakproof, and of no other.  A
 * key whose type or collation is gone compares by its bytes.  A cursor of
 * another layout, which a newer version may have left in an index, comes last.
 * An ordinary comparison allocates nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "lib/hyperloglog.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/sortsupport.h"

#include "base/compat.h"
#include "cursor/cursor_compare.h"
#include "cursor/cursor_shape.h"

/* ssup_extra */
typedef struct CursorSort
{
	TaskapiCursorShapeCache cache;	/* for keys without an encoding */
	int64		input_count;
	bool		estimating;
	hyperLogLogState cardinality;
	uint8	   *descriptor;		/* of the first one that was abbreviated */
	int			descriptor_len;
} CursorSort;

static int	compare_cursors(TaskapiCursorShapeCache *cache, const struct varlena *a, const struct varlena *b);
static int	compare_bytes(const struct varlena *a, const struct varlena *b);
static int	compare_key_by_key(TaskapiCursorShape *shape, const TaskapiCursorView *a, const TaskapiCursorView *b);
static TaskapiCursorShapeCache *cache_of_call(FunctionCallInfo fcinfo, const struct varlena *cursor);
static int	call_compare(FunctionCallInfo fcinfo);
static uint64 hash_cursor(FunctionCallInfo fcinfo, uint64 seed);
static int	sort_compare(Datum x, Datum y, SortSupport ssup);
static Datum sort_abbreviate(Datum original, SortSupport ssup);
static Datum abbreviate(CursorSort *sort, const struct varlena *cursor, MemoryContext context);
static bool sort_abort(int memtupcount, SortSupport ssup);

int
taskapi_cursor_compare_positions(TaskapiCursorShape *shape, const struct varlena *a, const struct varlena *b)
{
	TaskapiCursorView va;
	TaskapiCursorView vb;

	taskapi_cursor_view(a, &va);
	taskapi_cursor_view(b, &vb);
	return compare_key_by_key(shape, &va, &vb);
}

static int
compare_cursors(TaskapiCursorShapeCache *cache, const struct varlena *a, const struct varlena *b)
{
	TaskapiCursorView va;
	TaskapiCursorView vb;
	bool		known_a = taskapi_cursor_try_view(a, &va);
	bool		known_b = taskapi_cursor_try_view(b, &vb);
	int			a_len;
	int			b_len;
	int			cmp;

	if (unlikely(!known_a || !known_b))
		return known_a != known_b ? (known_a ? -1 : 1) : compare_bytes(a, b);
	if (va.descriptor_len != vb.descriptor_len || memcmp(va.descriptor, vb.descriptor, va.descriptor_len) != 0)
	{
		cmp = taskapi_cursor_descriptor_compare(va.descriptor, va.descriptor_len, vb.descriptor, vb.descriptor_len);
		if (cmp != 0)
			return cmp > 0 ? 1 : -1;
	}
	if (va.flags & CURSOR_RAW)
		return compare_key_by_key(taskapi_cursor_shape_to_compare(cache, &va), &va, &vb);

	a_len = va.keys_end - va.keys;
	b_len = vb.keys_end - vb.keys;
	cmp = memcmp(va.keys, vb.keys, Min(a_len, b_len));
	if (cmp == 0)
		cmp = a_len - b_len;
	return (cmp > 0) - (cmp < 0);
}

static int
compare_bytes(const struct varlena *a, const struct varlena *b)
{
	int			a_len = VARSIZE_ANY_EXHDR(a);
	int			b_len = VARSIZE_ANY_EXHDR(b);
	int			cmp = memcmp(VARDATA_ANY(a), VARDATA_ANY(b), Min(a_len, b_len));

	if (cmp == 0)
		cmp = a_len - b_len;
	return (cmp > 0) - (cmp < 0);
}

/*
 * Both are of the class of "shape".
 */
static int
compare_key_by_key(TaskapiCursorShape *shape, const TaskapiCursorView *a, const TaskapiCursorView *b)
{
	const uint8 *pa = a->keys;
	const uint8 *pb = b->keys;

	for (int i = 0; i < shape->nterms; i++)
	{
		TaskapiCursorKeyType *type = &shape->keys[i];
		int			cmp;

		/* a NULL's byte sorts before or after every first byte of a key */
		if (taskapi_cursor_key_is_null(type, pa) || taskapi_cursor_key_is_null(type, pb))
		{
			cmp = *pa - *pb;
			pa = taskapi_cursor_key_skip(type, pa, a->keys_end);
			pb = taskapi_cursor_key_skip(type, pb, b->keys_end);
		}
		else if (type->kind == CURSOR_KEY_RAW)
			cmp = taskapi_cursor_key_compare_raw(type, &pa, a->keys_end, &pb, b->keys_end);
		else
		{
			const uint8 *a_next = taskapi_cursor_key_skip(type, pa, a->keys_end);
			const uint8 *b_next = taskapi_cursor_key_skip(type, pb, b->keys_end);

			cmp = memcmp(pa, pb, Min(a_next - pa, b_next - pb));
			pa = a_next;
			pb = b_next;
		}
		if (cmp != 0)
			return cmp > 0 ? 1 : -1;
	}
	return 0;
}

/*
 * fn_extra is set up for the rare cursor that needs it, so that an ordinary call touches nothing.
 */
static TaskapiCursorShapeCache *
cache_of_call(FunctionCallInfo fcinfo, const struct varlena *cursor)
{
	return (*(const uint8 *) VARDATA_ANY(cursor) & CURSOR_RAW) ? taskapi_cursor_shape_cache(fcinfo->flinfo) : NULL;
}

static int
call_compare(FunctionCallInfo fcinfo)
{
	struct varlena *a = PG_GETARG_VARLENA_PP(0);
	struct varlena *b = PG_GETARG_VARLENA_PP(1);
	int			cmp = compare_cursors(cache_of_call(fcinfo, a), a, b);

	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	return cmp;
}

PG_FUNCTION_INFO_V1(taskapi_cursor_lt);
Datum
taskapi_cursor_lt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(call_compare(fcinfo) < 0);
}

PG_FUNCTION_INFO_V1(taskapi_cursor_le);
Datum
taskapi_cursor_le(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(call_compare(fcinfo) <= 0);
}

PG_FUNCTION_INFO_V1(taskapi_cursor_eq);
Datum
taskapi_cursor_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(call_compare(fcinfo) == 0);
}

PG_FUNCTION_INFO_V1(taskapi_cursor_ne);
Datum
taskapi_cursor_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(call_compare(fcinfo) != 0);
}

PG_FUNCTION_INFO_V1(taskapi_cursor_ge);
Datum
taskapi_cursor_ge(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(call_compare(fcinfo) >= 0);
}

PG_FUNCTION_INFO_V1(taskapi_cursor_gt);
Datum
taskapi_cursor_gt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(call_compare(fcinfo) > 0);
}

PG_FUNCTION_INFO_V1(taskapi_cursor_cmp);
Datum
taskapi_cursor_cmp(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(call_compare(fcinfo));
}

/*
 * Hash support: of the keys alone, so that equal cursors hash alike whichever integer types they were made of.
 */
PG_FUNCTION_INFO_V1(taskapi_cursor_hash);
Datum
taskapi_cursor_hash(PG_FUNCTION_ARGS)
{
	PG_RETURN_UINT32((uint32) hash_cursor(fcinfo, 0));
}

PG_FUNCTION_INFO_V1(taskapi_cursor_hash_extended);
Datum
taskapi_cursor_hash_extended(PG_FUNCTION_ARGS)
{
	PG_RETURN_UINT64(hash_cursor(fcinfo, PG_GETARG_INT64(1)));
}

static uint64
hash_cursor(FunctionCallInfo fcinfo, uint64 seed)
{
	struct varlena *cursor = PG_GETARG_VARLENA_PP(0);
	TaskapiCursorView view;
	uint64		hash;

	if (!taskapi_cursor_try_view(cursor, &view))
		hash = DatumGetUInt64(hash_any_extended((uint8 *) VARDATA_ANY(cursor), VARSIZE_ANY_EXHDR(cursor), seed));
	else if (!(view.flags & CURSOR_RAW))
		hash = DatumGetUInt64(hash_any_extended(view.keys, view.keys_end - view.keys, seed));
	else
	{
		TaskapiCursorShape *shape = taskapi_cursor_shape_to_compare(cache_of_call(fcinfo, cursor), &view);
		const uint8 *pos = view.keys;

		hash = seed;
		for (int i = 0; i < shape->nterms; i++)
		{
			TaskapiCursorKeyType *type = &shape->keys[i];

			if (type->kind == CURSOR_KEY_RAW && !taskapi_cursor_key_is_null(type, pos))
				hash = hash_combine64(hash, taskapi_cursor_key_hash_raw(type, &pos, view.keys_end));
			else
			{
				const uint8 *next = taskapi_cursor_key_skip(type, pos, view.keys_end);

				hash = hash_combine64(hash, DatumGetUInt64(hash_any_extended(pos, next - pos, seed)));
				pos = next;
			}
		}
	}
	PG_FREE_IF_COPY(cursor, 0);
	return hash;
}

/*
 * Sort support: the first bytes of the keys make the abbreviated key, as many as a Datum holds.  For an
 * order by a timestamp or an integer that is the whole first key.
 */
PG_FUNCTION_INFO_V1(taskapi_cursor_sortsupport);
Datum
taskapi_cursor_sortsupport(PG_FUNCTION_ARGS)
{
	SortSupport ssup = (SortSupport) PG_GETARG_POINTER(0);
	CursorSort *sort = MemoryContextAllocZero(ssup->ssup_cxt, sizeof(CursorSort));

	sort->cache.parent = ssup->ssup_cxt;
	ssup->ssup_extra = sort;
	ssup->comparator = sort_compare;
	if (ssup->abbreviate)
	{
		MemoryContext old = MemoryContextSwitchTo(ssup->ssup_cxt);

		sort->estimating = true;
		initHyperLogLog(&sort->cardinality, 10);
		ssup->comparator = ssup_datum_unsigned_cmp;
		ssup->abbrev_converter = sort_abbreviate;
		ssup->abbrev_abort = sort_abort;
		ssup->abbrev_full_comparator = sort_compare;
		MemoryContextSwitchTo(old);
	}
	PG_RETURN_VOID();
}

static int
sort_compare(Datum x, Datum y, SortSupport ssup)
{
	CursorSort *sort = ssup->ssup_extra;
	struct varlena *a = PG_DETOAST_DATUM_PACKED(x);
	struct varlena *b = PG_DETOAST_DATUM_PACKED(y);
	int			cmp = compare_cursors(&sort->cache, a, b);

	if ((Pointer) a != DatumGetPointer(x))
		pfree(a);
	if ((Pointer) b != DatumGetPointer(y))
		pfree(b);
	return cmp;
}

static Datum
sort_abbreviate(Datum original, SortSupport ssup)
{
	CursorSort *sort = ssup->ssup_extra;
	struct varlena *cursor = PG_DETOAST_DATUM_PACKED(original);
	Datum		result = abbreviate(sort, cursor, ssup->ssup_cxt);

	sort->input_count++;
	if (sort->estimating)
	{
		uint32		hash;

#if SIZEOF_DATUM == 8
		hash = (uint32) result ^ (uint32) ((uint64) result >> 32);
#else
		hash = (uint32) result;
#endif
		addHyperLogLog(&sort->cardinality, DatumGetUInt32(hash_uint32(hash)));
	}

	if ((Pointer) cursor != DatumGetPointer(original))
		pfree(cursor);
	return DatumBigEndianToNative(result);
}

/*
 * The first bytes of the keys, for cursors of the class of the first one.  All of another class come before or after those
 * together: they get the least or the greatest key, and are told apart by the whole comparison.
 */
static Datum
abbreviate(CursorSort *sort, const struct varlena *cursor, MemoryContext context)
{
	TaskapiCursorView view;
	int			len;
	int			cmp;
	Datum		result = 0;

	if (!taskapi_cursor_try_view(cursor, &view))
		return ~(Datum) 0;
	if (sort->descriptor == NULL)
	{
		sort->descriptor = MemoryContextAlloc(context, view.descriptor_len);
		memcpy(sort->descriptor, view.descriptor, view.descriptor_len);
		sort->descriptor_len = view.descriptor_len;
	}
	else if (view.descriptor_len != sort->descriptor_len ||
			 memcmp(view.descriptor, sort->descriptor, sort->descriptor_len) != 0)
	{
		cmp = taskapi_cursor_descriptor_compare(view.descriptor, view.descriptor_len,
												sort->descriptor, sort->descriptor_len);
		if (cmp != 0)
			return cmp < 0 ? (Datum) 0 : ~(Datum) 0;
	}

	len = view.keys_end - view.keys;
	if (view.flags & CURSOR_RAW)
	{
		TaskapiCursorShape *shape = taskapi_cursor_shape_to_compare(&sort->cache, &view);
		const uint8 *pos = view.keys;

		/* bytes order up to the first key without an encoding, its first byte included */
		for (int i = 0; i < shape->nterms && pos - view.keys < sizeof(Datum); i++)
		{
			if (shape->keys[i].kind == CURSOR_KEY_RAW)
			{
				pos++;
				break;
			}
			pos = taskapi_cursor_key_skip(&shape->keys[i], pos, view.keys_end);
		}
		len = pos - view.keys;
	}
	memcpy(&result, view.keys, Min(len, sizeof(Datum)));
	return result;
}

/*
 * Give up where the abbreviated keys are hardly ever different, as core does for uuid.
 */
static bool
sort_abort(int memtupcount, SortSupport ssup)
{
	CursorSort *sort = ssup->ssup_extra;
	double		cardinality;

	if (memtupcount < 10000 || sort->input_count < 10000 || !sort->estimating)
		return false;
	cardinality = estimateHyperLogLog(&sort->cardinality);
	if (cardinality > 100000.0)
	{
		sort->estimating = false;
		return false;
	}
	return cardinality < sort->input_count / 2000.0 + 0.5;
}
