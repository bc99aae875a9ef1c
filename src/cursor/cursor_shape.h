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
 * The shape, allocated in "context".  "nkeys" unlike the number of terms, or a
 * type without a default btree order, is invalid_order_by.
 */
extern TaskapiCursorShape *taskapi_cursor_shape(const TaskapiOrderBy *order_by, int nkeys, const Oid *types,
												const Oid *collations, MemoryContext context);

/* A cursor of that shape, palloc'd. */
extern struct varlena *taskapi_cursor_build(TaskapiCursorShape *shape, const Datum *values, const bool *isnull);

/*
 * The values of a cursor (detoasted or not), one for each term.  cursor_mismatch where the cursor is of
 * another order_by or of types that do not compare with the shape's.
 */
extern void taskapi_cursor_values(TaskapiCursorShape *shape, const struct varlena *cursor, Datum *values, bool *isnull);

#define CURSOR_VERSION		0x10
#define CURSOR_TAIL			0x01
#define CURSOR_RAW			0x02

struct TaskapiCursorShape
{
	MemoryContext context;
	bool		raw;			/* some key is CURSOR_KEY_RAW */
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

/* Look into a detoasted cursor, with either header. */
static inline void
taskapi_cursor_view(const struct varlena *cursor, TaskapiCursorView *view)
{
	const uint8 *p = (const uint8 *) VARDATA_ANY(cursor);
	const uint8 *end = p + VARSIZE_ANY_EXHDR(cursor);
	uint64		len;

	view->flags = *p++;
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

/* The shape of a cursor that is at hand; an error where its types are gone. */
extern TaskapiCursorShape *taskapi_cursor_shape_of_cursor(TaskapiCursorShapeCache *cache, const TaskapiCursorView *view);

/* All values, each read as the key type given; false where one does not fit. */
extern bool taskapi_cursor_read_keys(const TaskapiCursorShape *shape, const TaskapiCursorView *view,
									 Datum *values, bool *isnull);

#endif							/* TASKAPI_CURSOR_SHAPE_H */
