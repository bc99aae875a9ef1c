/*-------------------------------------------------------------------------
 *
 * cursor_shape.h
 *	  Inside of a cursor, for the files that implement the type.
 *
 * Behind the varlena header:
 *
 *		flags				1 byte: layout version and CURSOR_ bits
 *		descriptor length	varint
 *		descriptor			cursor_descriptor.h
 *		keys				cursor_key.h; order is memcmp's where there is no CURSOR_RAW
 *		tail, its length	with CURSOR_TAIL; the length is the last two bytes, big-endian
 *
 * No alignment anywhere; a short varlena header is the normal case.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_CURSOR_SHAPE_H
#define TASKAPI_CURSOR_SHAPE_H

#include "cursor/cursor_descriptor.h"
#include "cursor/cursor_key.h"
#include "cursor/order_by.h"

typedef struct TaskapiCursorShape TaskapiCursorShape;

/*
 * The shape, allocated in "context".  "nkeys" unlike the number of terms, a type without a default btree order, or a collation that
 * is gone is invalid_order_by; the second form returns NULL then, and in *error a sentence that says why.  With
 * "sql" it takes only types that may stand in a cursor that SQL sees (taskapi_cursor_key_is_leakproof).
 */
extern TaskapiCursorShape *taskapi_cursor_shape(const TaskapiOrderBy *order_by, int nkeys, const Oid *types,
												const Oid *collations, MemoryContext context);
extern TaskapiCursorShape *taskapi_cursor_shape_try(const TaskapiOrderBy *order_by, int nkeys, const Oid *types,
													const Oid *collations, bool sql, MemoryContext context, char **error);

/* The same shape in another context, unless it has keys that are CURSOR_KEY_RAW. */
extern TaskapiCursorShape *taskapi_cursor_shape_copy(const TaskapiCursorShape *shape, MemoryContext context);

/* A cursor of that shape, palloc'd. */
extern struct varlena *taskapi_cursor_build(TaskapiCursorShape *shape, const Datum *values, const bool *isnull);

/*
 * The values of a cursor (detoasted or not), one for each term.  cursor_mismatch where the cursor is of
 * another order_by or of types that do not compare with the shape's.
 */
extern void taskapi_cursor_values(TaskapiCursorShape *shape, const struct varlena *cursor, Datum *values, bool *isnull);

#define CURSOR_VERSION		0x10
#define CURSOR_VERSION_MASK 0xF0
#define CURSOR_TAIL			0x01
#define CURSOR_RAW			0x02

struct TaskapiCursorShape
{
	MemoryContext context;
	bool		raw;			/* some key is CURSOR_KEY_RAW */
	bool		leakproof;		/* of types that may stand in a cursor that SQL sees */
	int			nterms;
	int			order_len;		/* of the descriptor, without the types */
	int			descriptor_len;
	uint8	   *descriptor;
	int			prefix_len;
	uint8	   *prefix;			/* what every cursor begins with, varlena header included */
	int			wire_len;
	int			wire_names_len;
	uint8	   *wire;			/* cursor_wire.c: what every wire form begins with; NULL until it is needed */
	TaskapiCursorKeyType keys[FLEXIBLE_ARRAY_MEMBER];
};

typedef struct TaskapiCursorView
{
	uint8		flags;
	const uint8 *descriptor;
	int			descriptor_len;
	const uint8 *keys;
	const uint8 *keys_end;
	const uint8 *tail;
	const uint8 *tail_end;
} TaskapiCursorView;

/* Look into a detoasted cursor, with either header; false if its layout is of another version. */
static inline bool
taskapi_cursor_try_view(const struct varlena *cursor, TaskapiCursorView *view)
{
	const uint8 *p = (const uint8 *) VARDATA_ANY(cursor);
	const uint8 *end = p + VARSIZE_ANY_EXHDR(cursor);
	uint64		len;

	view->flags = *p++;
	if (unlikely((view->flags & CURSOR_VERSION_MASK) != CURSOR_VERSION))
		return false;
	len = *p++;
	if (unlikely(len >= 0x80))
	{
		p--;
		taskapi_read_varint(&p, end, &len);
	}
	view->descriptor = p;
	view->descriptor_len = (int) len;
	view->keys = p + len;
	view->tail = view->tail_end = NULL;
	if (unlikely(view->flags & CURSOR_TAIL))
	{
		end -= 2;
		view->tail_end = end;
		end -= (end[0] << 8) | end[1];
		view->tail = end;
	}
	view->keys_end = end;
	return true;
}

/* The same; another version is an error. */
static inline void
taskapi_cursor_view(const struct varlena *cursor, TaskapiCursorView *view)
{
	if (!taskapi_cursor_try_view(cursor, view))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("cursor has a layout of an unknown version")));
}

pg_noreturn extern void taskapi_cursor_mismatch(TaskapiCursorMatch match);

/* The OID of a collation named so; InvalidOid where there is none. */
extern Oid	taskapi_cursor_named_collation(const char *schema, int schema_len, const char *name, int name_len);

/*
 * The shape behind a descriptor, with the catalog looked up.  NULL where a type or collation is
 * gone or cannot be a key.
 */
extern TaskapiCursorShape *taskapi_cursor_shape_of_descriptor(const uint8 *descriptor, int len, MemoryContext context);

/*
 * The last shape that was used and does not last, kept for the next call: in fn_extra, in ssup_extra.  "bytes" is what it was
 * made of.  taskapi_cursor_shape_cache_reset() prepares for another one and returns the context for it.
 */
typedef struct TaskapiCursorShapeCache
{
	MemoryContext parent;
	MemoryContext context;
	TaskapiCursorShape *shape;
	uint8	   *bytes;
	int			len;
} TaskapiCursorShapeCache;

extern TaskapiCursorShapeCache *taskapi_cursor_shape_cache(FmgrInfo *flinfo);
extern MemoryContext taskapi_cursor_shape_cache_reset(TaskapiCursorShapeCache *cache);
extern void taskapi_cursor_shape_cache_free(TaskapiCursorShapeCache *cache);
extern void taskapi_cursor_shape_cache_fill(TaskapiCursorShapeCache *cache, const uint8 *bytes, int len, TaskapiCursorShape *shape);

/*
 * Shapes of built-in types with an encoding depend on nothing in the catalog and call no code of others, so
 * the last few are kept for the backend.  What calls an output function anew for each value (json_agg, record
 * output) never comes to use fn_extra.  A shape found is good until the next call of taskapi_cursor_add_lasting_shape().
 */
#define CURSOR_LASTING_SHAPES 8

typedef struct TaskapiCursorLastingShapes
{
	int			last;			/* where to look first */
	struct
	{
		MemoryContext context;
		uint8	   *bytes;		/* what the shape was asked for with */
		int			len;
		TaskapiCursorShape *shape;
	}			entries[CURSOR_LASTING_SHAPES];
} TaskapiCursorLastingShapes;

extern TaskapiCursorShape *taskapi_cursor_find_lasting_shape(TaskapiCursorLastingShapes *shapes, const uint8 *bytes, int len);

/* Make the shape of a descriptor and keep it under "bytes"; NULL where it is not one to keep. */
extern TaskapiCursorShape *taskapi_cursor_add_lasting_shape(TaskapiCursorLastingShapes *shapes, const uint8 *bytes, int len,
													 const uint8 *descriptor, int descriptor_len);

/* The shape of a cursor that is at hand; if its types are gone an error, or NULL in the second form. */
extern TaskapiCursorShape *taskapi_cursor_shape_of_cursor(TaskapiCursorShapeCache *cache, const TaskapiCursorView *view);
extern TaskapiCursorShape *taskapi_cursor_shape_of_cursor_try(TaskapiCursorShapeCache *cache, const TaskapiCursorView *view);

/*
 * The shape to compare a cursor with that SQL sees: never an error.  Keys whose type or collation is gone, or whose comparison
 * must not be called in a leakproof operator, compare by their bytes.
 */
extern TaskapiCursorShape *taskapi_cursor_shape_to_compare(TaskapiCursorShapeCache *cache, const TaskapiCursorView *view);

/* Do the operators compare a cursor of this shape with that one by their keys, and if not, why not? */
extern TaskapiCursorMatch taskapi_cursor_shape_compares(const TaskapiCursorShape *shape, const TaskapiCursorView *view);

/* Do all keys run in one direction? */
extern bool taskapi_cursor_is_uniform(const TaskapiCursorShape *shape);

/* All values, each read as the key type given; false where one does not fit. */
extern bool taskapi_cursor_read_keys(const TaskapiCursorShape *shape, const TaskapiCursorView *view,
									 Datum *values, bool *isnull);

#endif							/* TASKAPI_CURSOR_SHAPE_H */
