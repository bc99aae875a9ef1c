/*-------------------------------------------------------------------------
 *
 * filter.h
 *	  The filter grammar: a JSON object of conditions on columns, all of which must hold.
 *
 *		{"column": scalar}					equals
 *		{"column": {"op": value, ...}}		op is one of:
 *			eq neq gt gte lt lte			a value of the column's type
 *			in								an array of them
 *			is								null, true, false, or "null", "not_null", "true", "false", "unknown"
 *			like ilike						a pattern of SQL's LIKE, for text
 *			cs cd ov						contains, is contained in, overlaps: arrays, ranges, jsonb
 *			contains overlaps matches is_like	the functions of docs/filters.md, for what few rows have: arrays,
 *											jsonb; tsvector, by a tsquery; text
 *
 * A value is given as a JSON scalar, whose text the type's input function reads; for an
 * array type as a JSON array too; for json and jsonb it is the JSON value itself.  As in
 * SQL nothing but "is" is true of NULL.  Everything else is the problem invalid_filter.
 *
 * A number is written out, for an input function and in a Link header, and JSON writes one of 131072 digits in 8 bytes.
 * So one of more than TASKAPI_MAX_FILTER_DIGITS is refused: with it, a few kilobytes of filter would take gigabytes of
 * memory, and of log if an input function quotes it.  Nothing else grows by more than a small factor, so how many
 * values "in" may have is left to what bounds a request.
 *
 * Parsing knows nothing of tables.  Binding looks up columns and operators and makes
 * SQL with parameters, so that a value never becomes part of a statement.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_FILTER_H
#define TASKAPI_FILTER_H

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

#define TASKAPI_MAX_FILTER_DIGITS 1000	/* what numeric(1000) holds */

/* The numbers stand in the digest that a page token is bound to: a new one comes last. */
typedef enum TaskapiFilterOp
{
	FILTER_EQ,
	FILTER_NEQ,
	FILTER_GT,
	FILTER_GTE,
	FILTER_LT,
	FILTER_LTE,
	FILTER_IN,
	FILTER_LIKE,
	FILTER_ILIKE,
	FILTER_CS,
	FILTER_CD,
	FILTER_OV,
	FILTER_IS_NULL,
	FILTER_IS_NOT_NULL,
	FILTER_IS_TRUE,
	FILTER_IS_FALSE,
	FILTER_IS_UNKNOWN,
	FILTER_CONTAINS,
	FILTER_OVERLAPS,
	FILTER_MATCHES,
	FILTER_IS_LIKE
} TaskapiFilterOp;

typedef struct TaskapiFilterCondition
{
	char	   *column;
	TaskapiFilterOp op;
	JsonbValue	value;			/* unused with FILTER_IS_ */
} TaskapiFilterCondition;

#define FILTER_HAS_PARAMETER(op) ((op) < FILTER_IS_NULL || (op) > FILTER_IS_UNKNOWN)

/* A List of TaskapiFilterCondition, in an order that does not depend on the spelling.  It points into "filter". */
extern List *taskapi_filter_parse(Jsonb *filter);

/* Columns, operators and types of parsed conditions, without their values: equal shapes bind alike. */
extern void taskapi_filter_shape(List *conditions, StringInfo buf);

/* What the conditions mean, as JSON: equal for two filters that mean the same. */
extern Jsonb *taskapi_filter_canonical(List *conditions);

/* What a condition's operator is called in a filter. */
extern const char *taskapi_filter_operator_name(TaskapiFilterOp op);

/* The value of "like": refuses what LIKE would fail on, when it happens to get there. */
extern void taskapi_filter_check_pattern(const JsonbValue *pattern);

/* A value as a type's input function reads it; an array as that of an array type does. */
extern char *taskapi_filter_scalar_text(const JsonbValue *value);
extern void taskapi_filter_array_literal(JsonbContainer *array, StringInfo buf);

#endif							/* TASKAPI_FILTER_H */
