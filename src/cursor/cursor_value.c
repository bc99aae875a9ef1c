/*-------------------------------------------------------------------------
 *
 * cursor_value.c
 *	  Reading a cursor's keys: cursor_value(), and what the planner puts into
 *	  queries, cursor_key() and cursor_check().
 *
 * A comparison that cursor_support.c rewrites reads its right side with
 * cursor_key(), which may run on rows that row-level security hides.  So it raises
 * for nothing, and is NULL for what it cannot read.  cursor_check() raises; the
 * planner puts it only where no row decides whether it runs (cursor_check.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "cursor/cursor_call.h"
#include "cursor/cursor_shape.h"
#include "http/problem.h"

/* fn_extra of cursor_value() and cursor_key() */
typedef struct ValueCache
{
	TaskapiCursorShapeCache shapes;
	Oid			typid;			/* asked for; InvalidOid if that is not known */
	Oid			base;			/* the base type of that */
	bool		domain;
	void	   *domain_extra;
	char	   *order_by;		/* cursor_key(): what the order part below was made of */
	int			order_by_len;
	TaskapiBytes order;			/* empty if it is no order_by */
} ValueCache;

/* What came of reading a key */
typedef enum ReadResult
{
	READ_VALUE,
	READ_NULL,
	READ_TYPE_GONE,
	READ_NO_POSITION,
	READ_OTHER_TYPE
} ReadResult;

static ValueCache *value_cache(FunctionCallInfo fcinfo, int typearg);
static ReadResult read_key(ValueCache *cache, const TaskapiCursorView *view, int position, Datum *value);
static bool is_of_order(ValueCache *cache, text *order_by, const TaskapiCursorView *view);
static TaskapiCursorShape *expected_shape(FunctionCallInfo fcinfo);
static void check_cursor(TaskapiCursorShape *expected, const struct varlena *cursor, bool not_null);

/*
 * cursor_value(cursor, position int, anyelement) -> anyelement
 *
 * The value of one key, counted from 1; the third argument only says which type is wanted.  Errors:
 * invalid_parameter_value for a position that is not there, cursor_mismatch for a type that the key is not of.
 */
PG_FUNCTION_INFO_V1(taskapi_cursor_value);
Datum
taskapi_cursor_value(PG_FUNCTION_ARGS)
{
	ValueCache *cache;
	TaskapiCursorView view;
	ReadResult	result;
	Datum		value;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	cache = value_cache(fcinfo, 2);
	if (!OidIsValid(cache->typid))
		ereport(ERROR,
				(errcode(ERRCODE_INDETERMINATE_DATATYPE),
				 errmsg("could not determine data type of a cursor's key")));
	taskapi_cursor_view(PG_GETARG_VARLENA_PP(0), &view);
	result = read_key(cache, &view, PG_GETARG_INT32(1), &value);
	switch (result)
	{
		case READ_TYPE_GONE:
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("a type or collation of a cursor no longer exists")));
			break;
		case READ_NO_POSITION:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("cursor has no key %d", PG_GETARG_INT32(1)),
					 errdetail("The number of its keys is %d.", CURSOR_DESCRIPTOR_TERMS(view.descriptor[0]))));
			break;
		case READ_OTHER_TYPE:
			taskapi_cursor_mismatch(CURSOR_OTHER_TYPES);
		default:
			break;
	}
	if (cache->domain)
		domain_check(value, result == READ_NULL, cache->typid, &cache->domain_extra, fcinfo->flinfo->fn_mcxt);
	if (result == READ_NULL)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(value);
}

/*
 * cursor_key(cursor, order_by text, position int, anyelement) -> anyelement
 *
 * As cursor_value(), for a cursor of this order_by.  NULL for any other one and for what cannot be read as that type, which is no
 * domain; no error.
 */
PG_FUNCTION_INFO_V1(taskapi_cursor_key);
Datum
taskapi_cursor_key(PG_FUNCTION_ARGS)
{
	ValueCache *cache;
	TaskapiCursorView view;
	Datum		value;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	cache = value_cache(fcinfo, 3);
	if (!OidIsValid(cache->typid) || cache->domain ||
		!taskapi_cursor_try_view(PG_GETARG_VARLENA_PP(0), &view) ||
		!is_of_order(cache, PG_GETARG_TEXT_PP(1), &view) ||
		read_key(cache, &view, PG_GETARG_INT32(2), &value) != READ_VALUE)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(value);
}

static ValueCache *
value_cache(FunctionCallInfo fcinfo, int typearg)
{
	FmgrInfo   *flinfo = fcinfo->flinfo;
	ValueCache *cache = flinfo->fn_extra;

	if (cache)
		return cache;
	cache = MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(ValueCache));
	cache->shapes.parent = flinfo->fn_mcxt;
	cache->order_by_len = -1;
	cache->typid = get_fn_expr_argtype(flinfo, typearg);
	if (OidIsValid(cache->typid))
	{
		cache->domain = get_typtype(cache->typid) == TYPTYPE_DOMAIN;
		cache->base = taskapi_cursor_key_base_type(cache->typid);
	}
	flinfo->fn_extra = cache;
	return cache;
}

static ReadResult
read_key(ValueCache *cache, const TaskapiCursorView *view, int position, Datum *value)
{
	TaskapiCursorShape *shape = taskapi_cursor_shape_of_cursor_try(&cache->shapes, view);
	const uint8 *pos = view->keys;
	const uint8 *tail = view->tail;
	bool		isnull = true;

	*value = (Datum) 0;
	if (shape == NULL)
		return READ_TYPE_GONE;
	if (position < 1 || position > shape->nterms)
		return READ_NO_POSITION;
	for (int i = 0; i < position; i++)
	{
		TaskapiCursorKeyType type = shape->keys[i];

		/* Read it as the type that is wanted, if that is of the same class */
		if (i == position - 1 && type.kind != CURSOR_KEY_NULL && type.typid != cache->base)
		{
			if (taskapi_cursor_key_class(type.typid) != taskapi_cursor_key_class(cache->base))
				return READ_OTHER_TYPE;
			type.typid = cache->base;
			type.kind = taskapi_cursor_key_kind(type.typid, type.collation_kind);
		}
		if (!taskapi_cursor_key_decode(&type, i, &pos, view->keys_end, &tail, view->tail_end, value, &isnull))
			return READ_OTHER_TYPE;
	}
	return isnull ? READ_NULL : READ_VALUE;
}

/*
 * The order part of a descriptor is kept for the last text that was asked for.
 */
static bool
is_of_order(ValueCache *cache, text *order_by, const TaskapiCursorView *view)
{
	int			len = VARSIZE_ANY_EXHDR(order_by);

	if (cache->order_by_len != len || memcmp(cache->order_by, VARDATA_ANY(order_by), len) != 0)
	{
		char	   *error;
		TaskapiOrderBy *parsed = taskapi_order_by_try(VARDATA_ANY(order_by), len, &error);
		MemoryContext old = MemoryContextSwitchTo(cache->shapes.parent);

		if (cache->order_by)
			pfree(cache->order_by);
		if (cache->order.data)
			pfree(cache->order.data);
		cache->order = (TaskapiBytes) {NULL, 0, 0};
		cache->order_by = palloc(len + 1);
		cache->order_by_len = len;
		memcpy(cache->order_by, VARDATA_ANY(order_by), len);
		if (parsed)
			taskapi_cursor_order_descriptor(parsed, &cache->order);
		MemoryContextSwitchTo(old);
		if (parsed)
			pfree(parsed);
	}
	return cache->order.len > 0 &&
		taskapi_cursor_order_matches(cache->order.data, cache->order.len, view->descriptor, view->descriptor_len);
}

/*
 * cursor_check(cursor, order_by text, not_null bool, VARIADIC keys "any") -> bool
 *
 * True if cursors of this order_by over keys of these types compare with the cursor by their keys, or if it is NULL.  "not_null"
 * says that rows of the query have no NULL in any key.  Errors: cursor_mismatch if it is of another order_by or over other types;
 * with not_null, also if a key is NULL or does not fit the type; invalid_order_by.
 */
PG_FUNCTION_INFO_V1(taskapi_cursor_check);
Datum
taskapi_cursor_check(PG_FUNCTION_ARGS)
{
	TaskapiCursorShape *expected = expected_shape(fcinfo);

	if (!PG_ARGISNULL(0))
		check_cursor(expected, PG_GETARG_VARLENA_PP(0), !PG_ARGISNULL(2) && PG_GETARG_BOOL(2));
	PG_RETURN_BOOL(true);
}

/*
 * cursor_check(cursor[], ...) -> bool
 *
 * The same for every element.
 */
PG_FUNCTION_INFO_V1(taskapi_cursor_check_array);
Datum
taskapi_cursor_check_array(PG_FUNCTION_ARGS)
{
	TaskapiCursorShape *expected = expected_shape(fcinfo);
	ArrayType  *array;
	ArrayIterator iterator;
	Datum		element;
	bool		isnull;

	if (PG_ARGISNULL(0))
		PG_RETURN_BOOL(true);
	array = PG_GETARG_ARRAYTYPE_P(0);
	iterator = array_create_iterator(array, 0, NULL);
	while (array_iterate(iterator, &element, &isnull))
	{
		CHECK_FOR_INTERRUPTS();
		if (!isnull)
			check_cursor(expected, (struct varlena *) PG_DETOAST_DATUM_PACKED(element),
						 !PG_ARGISNULL(2) && PG_GETARG_BOOL(2));
	}
	PG_RETURN_BOOL(true);
}

/*
 * What the cursor is to be like, by the other arguments.
 */
static TaskapiCursorShape *
expected_shape(FunctionCallInfo fcinfo)
{
	FmgrInfo   *flinfo = fcinfo->flinfo;
	TaskapiCursorShapeCache *cache = taskapi_cursor_shape_cache(flinfo);
	List	   *args = flinfo->fn_expr && IsA(flinfo->fn_expr, FuncExpr) ? ((FuncExpr *) flinfo->fn_expr)->args : NIL;
	Oid			types[TASKAPI_MAX_ORDER_TERMS];
	Oid			collations[TASKAPI_MAX_ORDER_TERMS];
	text	   *order_by;
	TaskapiOrderBy *parsed;
	TaskapiCursorShape *shape = NULL;
	char	   *error = "It needs an order_by and its keys.";

	if (PG_ARGISNULL(1) || list_length(args) < 4 || list_length(args) > TASKAPI_MAX_ORDER_TERMS + 3 ||
		((FuncExpr *) flinfo->fn_expr)->funcvariadic)
		taskapi_problem(PROBLEM_INVALID_ORDER_BY, NIL, NULL, "%s", error);
	order_by = PG_GETARG_TEXT_PP(1);
	if (cache->shape && cache->len == VARSIZE_ANY_EXHDR(order_by) &&
		memcmp(cache->bytes, VARDATA_ANY(order_by), cache->len) == 0)
		return cache->shape;

	parsed = taskapi_order_by_try(VARDATA_ANY(order_by), VARSIZE_ANY_EXHDR(order_by), &error);
	if (parsed)
	{
		MemoryContext context = taskapi_cursor_shape_cache_reset(cache);

		taskapi_cursor_call_types(list_copy_tail(args, 2), types, collations, NULL);
		shape = taskapi_cursor_shape_try(parsed, list_length(args) - 3, types, collations, true, context, &error);
	}
	if (shape == NULL)
		taskapi_problem(PROBLEM_INVALID_ORDER_BY, NIL, NULL, "%s", error);
	taskapi_cursor_shape_cache_fill(cache, (const uint8 *) VARDATA_ANY(order_by), VARSIZE_ANY_EXHDR(order_by), shape);
	return shape;
}

static void
check_cursor(TaskapiCursorShape *expected, const struct varlena *cursor, bool not_null)
{
	TaskapiCursorView view;
	TaskapiCursorMatch match;
	Datum		values[TASKAPI_MAX_ORDER_TERMS];
	bool		isnull[TASKAPI_MAX_ORDER_TERMS];

	taskapi_cursor_view(cursor, &view);
	match = taskapi_cursor_shape_compares(expected, &view);
	if (match != CURSOR_MATCHES)
		taskapi_cursor_mismatch(match);
	if (!not_null)
		return;
	if (!taskapi_cursor_read_keys(expected, &view, values, isnull))
		taskapi_cursor_mismatch(CURSOR_OTHER_TYPES);
	for (int i = 0; i < expected->nterms; i++)
	{
		if (isnull[i])
			taskapi_problem(PROBLEM_CURSOR_MISMATCH, NIL, NULL,
							"It holds a null where rows of this query have none.");
	}
}
