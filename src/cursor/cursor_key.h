/*-------------------------------------------------------------------------
 *
 * cursor_key.h
 *	  One key of a cursor: an encoding that memcmp orders as the type's btree
 *	  order does.
 *
 * Encoded keys are concatenated, so each is prefix-free: no encoding of a type is a proper
 * prefix of another.  A NULL is one byte, 00 where NULLs come first and FF where
 * they come last; any other key begins with a byte between.  A descending key has every byte
 * inverted.  By kind, before inversion:
 *
 *		bool			02 | 03
 *		integers, dates, times, timestamps, money, oid, xid8, pg_lsn
 *						80 + n, n bytes of a number >= 0 | 80 - n, n bytes of a negative one; big-endian, n minimal
 *		float4, float8	02, 8 bytes of the float8: sign bit flipped, a negative one inverted; -0 is 0, every NaN the same
 *		numeric			sign and kind, weight, base-10000 digits shifted left by one with a bit that says "more follows"
 *		timetz			as integers: UTC time, zone
 *		interval		as integers: days (a month is 30 of them), microseconds of the last day
 *		uuid, macaddr, macaddr8, "char"		02, the bytes
 *		text, name, bpchar (without its trailing blanks)		02, the bytes, 00; only where the collation is byte order
 *		bytea			02, the bytes with 00 written as 00 FF, 00 00
 *		anything else	02, length, the Datum's bytes; never inverted, compared as TaskapiCursorRawOrder says
 *
 * What the encoding forgets (-0, a numeric's display scale, an interval's fields, trailing blanks) goes into a
 * "tail" behind the keys, which takes no part in comparisons.
 *
 * Reading functions trust their input: a cursor is verified by construction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_CURSOR_KEY_H
#define TASKAPI_CURSOR_KEY_H

#include "fmgr.h"

#include "cursor/cursor_encoding.h"

typedef enum TaskapiCursorKeyKind
{
	CURSOR_KEY_NULL,					/* an untyped NULL, which compares with any type */
	CURSOR_KEY_BOOL,
	CURSOR_KEY_INT2,
	CURSOR_KEY_INT4,
	CURSOR_KEY_INT8,
	CURSOR_KEY_DATE,
	CURSOR_KEY_TIME,
	CURSOR_KEY_TIMESTAMP,
	CURSOR_KEY_UINT4,
	CURSOR_KEY_UINT8,
	CURSOR_KEY_FLOAT4,
	CURSOR_KEY_FLOAT8,
	CURSOR_KEY_NUMERIC,
	CURSOR_KEY_TIMETZ,
	CURSOR_KEY_INTERVAL,
	CURSOR_KEY_CHAR,
	CURSOR_KEY_FIXED,					/* typlen bytes, by reference */
	CURSOR_KEY_BYTEA,
	CURSOR_KEY_TEXT,
	CURSOR_KEY_NAME,
	CURSOR_KEY_BPCHAR,
	CURSOR_KEY_RAW
} TaskapiCursorKeyKind;

/* How a key collates, part of a cursor's descriptor. */
typedef enum TaskapiCursorCollation
{
	CURSOR_COLLATION_NONE,				/* the type has none */
	CURSOR_COLLATION_BYTES,			/* byte order: C, POSIX, and all that behave alike */
	CURSOR_COLLATION_DEFAULT,			/* the database's, which is linguistic */
	CURSOR_COLLATION_NAMED				/* another, named */
} TaskapiCursorCollation;

/* How keys of CURSOR_KEY_RAW compare. */
typedef enum TaskapiCursorRawOrder
{
	CURSOR_RAW_BY_TYPE,			/* by the type's btree support function */
	CURSOR_RAW_ENUM,			/* by the place of the label, as enum_cmp() does, which may raise */
	CURSOR_RAW_BYTES			/* by bytes: the type or collation is gone, or its comparison is not to be called */
} TaskapiCursorRawOrder;

typedef struct TaskapiCursorKeyType
{
	Oid			typid;			/* never a domain, never varchar */
	Oid			collation;		/* to compare CURSOR_KEY_RAW with; else InvalidOid */
	TaskapiCursorRawOrder raw_order;
	TaskapiCursorCollation collation_kind;
	TaskapiCursorKeyKind kind;
	bool		descending;
	bool		nulls_first;
	bool		typbyval;
	int16		typlen;
	FmgrInfo	cmp;			/* of CURSOR_RAW_BY_TYPE: btree support function 1 */
	FmgrInfo	hash;			/* of CURSOR_RAW_BY_TYPE, if there is one (fn_oid) */
	FmgrInfo	send;			/* of CURSOR_KEY_RAW */
	FmgrInfo	recv;			/* of CURSOR_KEY_RAW */
	Oid			ioparam;
} TaskapiCursorKeyType;

/* The base type that stands for "typid": domains and varchar are seen through. */
extern Oid	taskapi_cursor_key_base_type(Oid typid);

/* The types whose keys compare with each other have one class. */
extern Oid	taskapi_cursor_key_class(Oid typid);

/*
 * May keys of this base type stand in a cursor that SQL sees?  The operators of cursors are leakproof, so these are the types
 * with an encoding, enums, which compare here, and a list of types whose comparison PostgreSQL marks leakproof
 * (test/t/024_leakproof.pl compares the list with pg_proc).  page() orders by others too: its positions are no cursors to SQL.
 */
extern bool taskapi_cursor_key_is_leakproof(Oid typid, TaskapiCursorCollation collation_kind);

extern TaskapiCursorKeyKind taskapi_cursor_key_kind(Oid typid, TaskapiCursorCollation collation_kind);
extern TaskapiCursorCollation taskapi_cursor_key_collation_kind(Oid typid, Oid collation);

/*
 * Fill in everything but directions.  "typid" is a base type that exists.  Returns false if the type cannot be
 * a key: no default btree order, or no binary input and output.  FmgrInfos go to "context".
 */
extern bool taskapi_cursor_key_type_init(TaskapiCursorKeyType *type, Oid typid, Oid collation,
								  TaskapiCursorCollation collation_kind, MemoryContext context);

/* Fill in as a type of which only the bytes are known. */
extern void taskapi_cursor_key_type_unknown(TaskapiCursorKeyType *type);

/* Append the encoding of a value (not NULL); "term" numbers it in the tail. */
extern void taskapi_cursor_key_encode(const TaskapiCursorKeyType *type, Datum value, int term,
							   TaskapiBytes *key, TaskapiBytes *tail);
extern void taskapi_cursor_key_encode_null(const TaskapiCursorKeyType *type, TaskapiBytes *key);

/*
 * Read the key at *pos, advance it, and the tail's position where the tail is about this term.
 * By-reference values are palloc'd.  False where the value does not fit "type", which may be another
 * of the class than it was made of.
 */
extern bool taskapi_cursor_key_decode(const TaskapiCursorKeyType *type, int term, const uint8 **pos, const uint8 *end,
							   const uint8 **tail, const uint8 *tail_end, Datum *value, bool *isnull);

/* Advance behind the key at pos. */
extern const uint8 *taskapi_cursor_key_skip(const TaskapiCursorKeyType *type, const uint8 *pos, const uint8 *end);

/* For CURSOR_KEY_RAW: the two keys, which both are not NULL, in page order; advance both. */
extern int	taskapi_cursor_key_compare_raw(TaskapiCursorKeyType *type, const uint8 **a, const uint8 *a_end,
									const uint8 **b, const uint8 *b_end);
extern uint32 taskapi_cursor_key_hash_raw(TaskapiCursorKeyType *type, const uint8 **pos, const uint8 *end);

static inline bool
taskapi_cursor_key_is_null(const TaskapiCursorKeyType *type, const uint8 *pos)
{
	return *pos == (type->nulls_first ? 0x00 : 0xFF);
}

#endif							/* TASKAPI_CURSOR_KEY_H */
