/*-------------------------------------------------------------------------
 *
 * match_bound.h
 *	  What keeps a leakproof match from telling of a row by an error.
 *
 * jsonb's @> and tsvector's @@ recurse into the value, and how deep they get depends on the row.  If a deep
 * value met a nearly exhausted stack, "stack depth limit exceeded" would tell rows apart that row-level
 * security hides.  So a value nested deeper than TASKAPI_MATCH_MAX_DEPTH matches nothing: the result
 * is NULL.  The rest is compared whatever stack is left, since even an error that does not depend on the row
 * tells that there is one.
 *
 * What an index does with a value is the server's own call, so there must be stack for all of that depth: match_value(),
 * which is put around the value, raises the server's error when the scan begins, before any row is looked at.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_MATCH_BOUND_H
#define TASKAPI_MATCH_BOUND_H

#include "tsearch/ts_type.h"
#include "utils/jsonb.h"

#define TASKAPI_MATCH_MAX_DEPTH 100 /* levels of AND, OR, NOT and <->, or of objects and arrays */
#define TASKAPI_MATCH_MAX_PATTERN 1000	/* bytes of a pattern */

/* Raises statement_too_complex unless there is stack for TASKAPI_MATCH_MAX_DEPTH levels. */
extern void taskapi_match_need_stack(void);

/* match(value, wanted), which recurses TASKAPI_MATCH_MAX_DEPTH levels at most: raises nothing for lack of stack. */
extern Datum taskapi_match_call(PGFunction match, Datum value, Datum wanted);

/* May it be matched?  Neither raises nor recurses. */
extern bool taskapi_match_query_bounded(TSQuery query);
extern bool taskapi_match_jsonb_bounded(Jsonb *value);
extern bool taskapi_match_pattern_bounded(const text *pattern);

#endif							/* TASKAPI_MATCH_BOUND_H */
