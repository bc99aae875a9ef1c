/*-------------------------------------------------------------------------
 *
 * cursor_descriptor.h
 *	  What a cursor says of its order and its types.
 *
 * The descriptor:
 *
 *		number of terms		1 byte, with CURSOR_DESCRIPTOR_DIGEST
 *		one byte a term		length of the name << 2 | CURSOR_TERM_NULLS_FIRST | CURSOR_TERM_DESCENDING
 *		names				concatenated; or, with CURSOR_DESCRIPTOR_DIGEST, a digest of the above and the names
 *		one type a term		varint of OID << 2 | TaskapiCursorCollation; CURSOR_COLLATION_NAMED is followed by schema and name,
 *							each with a length byte
 *
 * The digest stands in where the names would make a token too long.  Type OIDs survive pg_upgrade and
 * a dump does not carry them (it has tokens, which name types that are not built in).
 *
 * All functions here are pure: no catalog, no error but for want of memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_CURSOR_DESCRIPTOR_H
#define TASKAPI_CURSOR_DESCRIPTOR_H

#include "cursor/cursor_key.h"
#include "cursor/order_by.h"

#define CURSOR_DESCRIPTOR_DIGEST	0x40
#define CURSOR_DESCRIPTOR_TERMS(byte) ((byte) & 0x3F)
#define CURSOR_TERM_DESCENDING		0x01
#define CURSOR_TERM_NULLS_FIRST	0x02
#define CURSOR_TERM_NAME_LENGTH(byte) ((byte) >> 2)
#define CURSOR_DIGEST_LENGTH		16

/*
 * The order of the classes of descriptors: a total order, in which 0 means that cursors of both compare by their keys.  A
 * class is one order_by over types that compare with each other; a digest stands for the names that it was made of.  An untyped
 * NULL is a type of its own, and comes before or after all others as the term's NULLs do.
 */
extern int	taskapi_cursor_descriptor_compare(const uint8 *a, int a_len, const uint8 *b, int b_len);

/*
 * Is what two descriptors say the same, and if not, what is not?  As taskapi_cursor_descriptor_compare(), but an untyped NULL is
 * of any type, and two names are never taken for each other because of a digest.
 */
typedef enum TaskapiCursorMatch
{
	CURSOR_MATCHES,
	CURSOR_OTHER_ORDER,
	CURSOR_OTHER_TYPES
} TaskapiCursorMatch;

extern TaskapiCursorMatch taskapi_cursor_descriptor_match(const uint8 *a, int a_len, const uint8 *b, int b_len);
/* The order alone: "order" is what taskapi_cursor_order_descriptor() makes of an order_by. */
extern void taskapi_cursor_order_descriptor(const TaskapiOrderBy *order_by, TaskapiBytes *buf);
extern bool taskapi_cursor_order_matches(const uint8 *order, int order_len, const uint8 *descriptor, int descriptor_len);

/* The digest of the order part of a descriptor with names, CURSOR_DIGEST_LENGTH bytes. */
extern void taskapi_cursor_descriptor_digest(const uint8 *order, int order_len, uint8 *digest);

/* Length of the order part, given a whole descriptor or more; -1 where it does not end before "len". */
extern int	taskapi_cursor_descriptor_order_len(const uint8 *descriptor, int len);

/* One entry of the type list; false where it is damaged.  Names point into the descriptor, not terminated. */
typedef struct TaskapiCursorTypeEntry
{
	Oid			typid;
	TaskapiCursorCollation collation_kind;
	const char *schema;
	const char *name;
	int			schema_len;
	int			name_len;
} TaskapiCursorTypeEntry;

extern bool taskapi_cursor_read_type_entry(const uint8 **pos, const uint8 *end, TaskapiCursorTypeEntry *entry);
extern bool taskapi_cursor_read_short_string(const uint8 **pos, const uint8 *end, const char **str, int *len);
extern void taskapi_cursor_append_short_string(TaskapiBytes *buf, const char *str);

#endif							/* TASKAPI_CURSOR_DESCRIPTOR_H */
