/*-------------------------------------------------------------------------
 *
 * cursor_shape.h
 *	  Inside of a cursor, for the files that implement the type.
 *
 * Behind the varlena header:
 *
 *		flags				1 byte: layout version and CURSOR_ bits
 *		descriptor length	varint
 *		descriptor			what all cursors of one shape have in common
 *		keys				cursor_key.h; order is memcmp's where there is no CURSOR_RAW
 *		tail, its length	with CURSOR_TAIL; the length is the last two bytes, big-endian
 *
 * The descriptor:
 *
 *		number of terms		1 byte, with DESCRIPTOR_DIGEST
 *		one byte a term		length of the name << 2 | TERM_NULLS_FIRST | TERM_DESCENDING
 *		names				concatenated; or, with DESCRIPTOR_DIGEST, a digest of the above and the names
 *		one type a term		varint of OID << 2 | TaskapiKeyCollation; COLLATION_NAMED is followed by schema and name,
 *							each with a length byte
 *
 * The digest stands in where the names would make a token too long.  Type OIDs survive pg_upgrade and
 * a dump does not carry them (it has tokens, which name types that are not built in).
 * No alignment anywhere; a short varlena header is the normal case.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_CURSOR_SHAPE_H
#define TASKAPI_CURSOR_SHAPE_H

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

#define DESCRIPTOR_DIGEST	0x40
#define DESCRIPTOR_TERMS(byte) ((byte) & 0x3F)
#define TERM_DESCENDING		0x01
#define TERM_NULLS_FIRST	0x02
#define TERM_NAME_LENGTH(byte) ((byte) >> 2)
#define DIGEST_LENGTH		16

struct TaskapiCursorShape
{
	MemoryContext context;
	bool		raw;			/* some key is KEY_RAW */
	int			nterms;
	int			order_len;		/* of the descriptor, without the types */
	int			descriptor_len;
	uint8	   *descriptor;
	int			prefix_len;
	uint8	   *prefix;			/* what every cursor begins with, varlena header included */
	int			wire_len;
	int			wire_names_len;
	uint8	   *wire;			/* cursor_wire.c: what every wire form begins with; NULL until it is needed */
	TaskapiKeyType keys[FLEXIBLE_ARRAY_MEMBER];
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

/* Do two descriptors compare, and if not, why not?  Pure; never throws. */
typedef enum TaskapiShapeMatch
{
	SHAPE_MATCHES,
	SHAPE_OTHER_ORDER,
	SHAPE_OTHER_TYPES
} TaskapiShapeMatch;

extern TaskapiShapeMatch taskapi_descriptor_match(const uint8 *a, int a_len, const uint8 *b, int b_len);
/* The order alone: "order" is what taskapi_order_descriptor() makes of an order_by. */
extern void taskapi_order_descriptor(const TaskapiOrderBy *order_by, TaskapiBytes *buf);
extern bool taskapi_order_matches(const uint8 *order, int order_len, const uint8 *descriptor, int descriptor_len);

pg_noreturn extern void taskapi_cursor_mismatch(TaskapiShapeMatch match);

/* The digest of the order part of a descriptor with names, DIGEST_LENGTH bytes. */
extern void taskapi_descriptor_digest(const uint8 *order, int order_len, uint8 *digest);

/* Length of the order part, given a whole descriptor or more; -1 where it does not end before "len". */
extern int	taskapi_descriptor_order_len(const uint8 *descriptor, int len);

/* One entry of the type list; false where it is damaged.  Names point into the descriptor, not terminated. */
typedef struct TaskapiTypeEntry
{
	Oid			typid;
	TaskapiKeyCollation collation_kind;
	const char *schema;
	const char *name;
	int			schema_len;
	int			name_len;
} TaskapiTypeEntry;

extern bool taskapi_read_type_entry(const uint8 **pos, const uint8 *end, TaskapiTypeEntry *entry);
extern bool taskapi_read_short_string(const uint8 **pos, const uint8 *end, const char **str, int *len);
extern void taskapi_append_short_string(TaskapiBytes *buf, const char *str);

/* The OID of a collation named so; InvalidOid where there is none. */
extern Oid	taskapi_named_collation(const char *schema, int schema_len, const char *name, int name_len);

/*
 * The shape behind a descriptor, with the catalog looked up.  NULL where a type or collation is
 * gone or cannot be a key.
 */
extern TaskapiCursorShape *taskapi_shape_of_descriptor(const uint8 *descriptor, int len, MemoryContext context);

/*
 * The last shape that was used and does not last, kept for the next call: in fn_extra, in ssup_extra.  "bytes" is what it was
 * made of.  taskapi_shape_cache_reset() prepares for another one and returns the context for it.
 */
typedef struct TaskapiShapeCache
{
	MemoryContext parent;
	MemoryContext context;
	TaskapiCursorShape *shape;
	uint8	   *bytes;
	int			len;
} TaskapiShapeCache;

extern TaskapiShapeCache *taskapi_shape_cache(FmgrInfo *flinfo);
extern MemoryContext taskapi_shape_cache_reset(TaskapiShapeCache *cache);
extern void taskapi_shape_cache_free(TaskapiShapeCache *cache);
extern void taskapi_shape_cache_fill(TaskapiShapeCache *cache, const uint8 *bytes, int len, TaskapiCursorShape *shape);

/*
 * Shapes of built-in types with an encoding depend on nothing in the catalog and call no code of others, so
 * the last few are kept for the backend.  What calls an output function anew for each value (json_agg, record
 * output) never comes to use fn_extra.  A shape found is good until the next call of taskapi_add_lasting_shape().
 */
#define LASTING_SHAPES 8

typedef struct TaskapiLastingShapes
{
	int			last;			/* where to look first */
	struct
	{
		MemoryContext context;
		uint8	   *bytes;		/* what the shape was asked for with */
		int			len;
		TaskapiCursorShape *shape;
	}			entries[LASTING_SHAPES];
} TaskapiLastingShapes;

extern TaskapiCursorShape *taskapi_find_lasting_shape(TaskapiLastingShapes *shapes, const uint8 *bytes, int len);

/* Make the shape of a descriptor and keep it under "bytes"; NULL where it is not one to keep. */
extern TaskapiCursorShape *taskapi_add_lasting_shape(TaskapiLastingShapes *shapes, const uint8 *bytes, int len,
													 const uint8 *descriptor, int descriptor_len);

/* The shape of a cursor that is at hand; an error where its types are gone. */
extern TaskapiCursorShape *taskapi_shape_of_cursor(TaskapiShapeCache *cache, const TaskapiCursorView *view);

/* All values, each read as the key type given; false where one does not fit. */
extern bool taskapi_cursor_read_keys(const TaskapiCursorShape *shape, const TaskapiCursorView *view,
									 Datum *values, bool *isnull);

#endif							/* TASKAPI_CURSOR_SHAPE_H */
