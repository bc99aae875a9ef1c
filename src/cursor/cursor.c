/*-------------------------------------------------------------------------
 *
 * cursor.c
 *	  The type taskapi.cursor: constructor, input and output, values.
 *
 * The constructor is IMMUTABLE and LEAKPROOF: it fails for an order_by or for a
 * type, never for a value, and an order_by that comes out of a row does not show in
 * the error.  Output is STABLE (it signs, with the time), input is STABLE (it
 * verifies); a Datum of the type is therefore a verified one.
 *
 * What a call needs to know beyond its values (order_by parsed, types looked up) is
 * kept in fn_extra.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "libpq/pqformat.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "cursor/cursor_wire.h"
#include "cursor/cursor.h"
#include "cursor/cursor_shape.h"
#include "cursor/cursor_token.h"
#include "http/problem.h"

/* fn_extra of the constructor and of cursor_encode() */
typedef struct ConstructorCache
{
	MemoryContext context;		/* of all below; reset for another order_by */
	char	   *order_by;
	int			order_by_len;
	TaskapiCursorShape *shape;
	bool		literal[TASKAPI_MAX_ORDER_TERMS];	/* of type unknown: a C string */
	TaskapiCursorShapeCache sealing;
} ConstructorCache;

/* fn_extra of cursor_value() and cursor_key() */
typedef struct ValueCache
{
	TaskapiCursorShapeCache shapes;
	Oid			typid;			/* asked for */
	bool		domain;
	void	   *domain_extra;
	TaskapiCursorKeyType target;
	char	   *order_by;		/* cursor_key(): what the order part below was made of */
	int			order_by_len;
	TaskapiBytes order;
} ValueCache;

static struct varlena *construct(FunctionCallInfo fcinfo);
static ConstructorCache *prepare_constructor(FunctionCallInfo fcinfo, ConstructorCache *cache, text *order_by);
static char *seal(TaskapiCursorShapeCache *cache, const struct varlena *cursor, int before, int after, int *len);
static text *seal_text(TaskapiCursorShapeCache *cache, const struct varlena *cursor);
static struct varlena *open_token(TaskapiCursorShapeCache *cache, const char *token, int len, Node *escontext);
static Datum one_value(FunctionCallInfo fcinfo, ValueCache *cache, const TaskapiCursorView *view, int position, bool *isnull);
static ValueCache *value_cache(FunctionCallInfo fcinfo, int typearg);
static void check_order(ValueCache *cache, text *order_by, const TaskapiCursorView *view);

/*
 * cursor(order_by text, VARIADIC keys "any") -> cursor
 *
 * As many keys as order_by has terms; NULL is a value like others.  Errors: invalid_order_by.
 */
PG_FUNCTION_INFO_V1(taskapi_cursor);
Datum
taskapi_cursor(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(construct(fcinfo));
}

/*
 * cursor_encode(order_by text, VARIADIC keys "any") -> text
 *
 * cursor(...)::text
 */
PG_FUNCTION_INFO_V1(taskapi_cursor_encode);
Datum
taskapi_cursor_encode(PG_FUNCTION_ARGS)
{
	struct varlena *cursor = construct(fcinfo);
	ConstructorCache *cache = fcinfo->flinfo->fn_extra;

	PG_RETURN_TEXT_P(seal_text(&cache->sealing, cursor));
}

static struct varlena *
construct(FunctionCallInfo fcinfo)
{
	ConstructorCache *cache = fcinfo->flinfo->fn_extra;
	text	   *order_by;
	Datum		values[TASKAPI_MAX_ORDER_TERMS];
	bool		isnull[TASKAPI_MAX_ORDER_TERMS];

	if (PG_ARGISNULL(0))
		taskapi_problem(PROBLEM_INVALID_ORDER_BY, NIL, NULL, "It is null.");
	order_by = PG_GETARG_TEXT_PP(0);
	if (cache == NULL || cache->shape == NULL || cache->order_by_len != VARSIZE_ANY_EXHDR(order_by) ||
		memcmp(cache->order_by, VARDATA_ANY(order_by), cache->order_by_len) != 0)
		cache = prepare_constructor(fcinfo, cache, order_by);

	for (int i = 0; i < cache->shape->nterms; i++)
	{
		isnull[i] = PG_ARGISNULL(i + 1);
		values[i] = PG_GETARG_DATUM(i + 1);
		if (cache->literal[i] && !isnull[i])
			values[i] = CStringGetTextDatum(DatumGetCString(values[i]));
	}
	return taskapi_cursor_build(cache->shape, values, isnull);
}

static ConstructorCache *
prepare_constructor(FunctionCallInfo fcinfo, ConstructorCache *cache, text *order_by)
{
	FmgrInfo   *flinfo = fcinfo->flinfo;
	TaskapiOrderBy *parsed;
	char	   *error;
	int			nkeys = PG_NARGS() - 1;
	Oid			types[TASKAPI_MAX_ORDER_TERMS];
	Oid			collations[TASKAPI_MAX_ORDER_TERMS];
	List	   *args = NIL;

	if (get_fn_expr_variadic(flinfo))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cursor keys cannot be given as a VARIADIC array")));

	parsed = taskapi_order_by_try(VARDATA_ANY(order_by), VARSIZE_ANY_EXHDR(order_by), &error);
	if (parsed == NULL)
		taskapi_problem(PROBLEM_INVALID_ORDER_BY, NIL, NULL, "%s",
						get_fn_expr_arg_stable(flinfo, 0) ? error : "It cannot be parsed.");
	if (nkeys != parsed->nterms)
		taskapi_problem(PROBLEM_INVALID_ORDER_BY, NIL, NULL,
						"The number of keys, %d, is not the number of terms, %d.", nkeys, parsed->nterms);

	if (cache == NULL)
	{
		cache = MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(ConstructorCache));
		cache->context = AllocSetContextCreate(flinfo->fn_mcxt, "taskapi cursor constructor", ALLOCSET_SMALL_SIZES);
		cache->sealing.parent = flinfo->fn_mcxt;
		flinfo->fn_extra = cache;
	}
	cache->shape = NULL;
	MemoryContextReset(cache->context);
	cache->order_by_len = VARSIZE_ANY_EXHDR(order_by);
	cache->order_by = MemoryContextAlloc(cache->context, Max(cache->order_by_len, 1));
	memcpy(cache->order_by, VARDATA_ANY(order_by), cache->order_by_len);

	if (flinfo->fn_expr && IsA(flinfo->fn_expr, FuncExpr))
		args = ((FuncExpr *) flinfo->fn_expr)->args;
	for (int i = 0; i < nkeys; i++)
	{
		Node	   *arg = args ? list_nth(args, i + 1) : NULL;

		types[i] = get_fn_expr_argtype(flinfo, i + 1);
		if (!OidIsValid(types[i]))
			ereport(ERROR,
					(errcode(ERRCODE_INDETERMINATE_DATATYPE),
					 errmsg("could not determine data type of a cursor's key")));
		collations[i] = arg ? exprCollation(arg) : InvalidOid;

		/* An untyped NULL compares with any type; any other untyped literal is text */
		cache->literal[i] = (types[i] == UNKNOWNOID);
		if (cache->literal[i] && !(arg && IsA(arg, Const) && ((Const *) arg)->constisnull))
			types[i] = TEXTOID;
	}
	cache->shape = taskapi_cursor_shape(parsed, nkeys, types, collations, cache->context);
	pfree(parsed);
	return cache;
}

/*
 * Input and output: the token.
 */
PG_FUNCTION_INFO_V1(taskapi_cursor_in);
Datum
taskapi_cursor_in(PG_FUNCTION_ARGS)
{
	char	   *token = PG_GETARG_CSTRING(0);
	struct varlena *cursor = open_token(taskapi_cursor_shape_cache(fcinfo->flinfo), token, strlen(token), fcinfo->context);

	if (cursor == NULL)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(cursor);
}

PG_FUNCTION_INFO_V1(taskapi_cursor_out);
Datum
taskapi_cursor_out(PG_FUNCTION_ARGS)
{
	int			len;

	PG_RETURN_CSTRING(seal(taskapi_cursor_shape_cache(fcinfo->flinfo), PG_GETARG_VARLENA_PP(0), 0, 0, &len));
}

PG_FUNCTION_INFO_V1(taskapi_cursor_recv);
Datum
taskapi_cursor_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	int			len = buf->len - buf->cursor;
	const char *token = pq_getmsgbytes(buf, len);

	PG_RETURN_POINTER(open_token(taskapi_cursor_shape_cache(fcinfo->flinfo), token, len, NULL));
}

PG_FUNCTION_INFO_V1(taskapi_cursor_send);
Datum
taskapi_cursor_send(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P((bytea *) seal_text(taskapi_cursor_shape_cache(fcinfo->flinfo), PG_GETARG_VARLENA_PP(0)));
}

/*
 * cursor_json(cursor) -> json
 *
 * The token as a JSON string.  The cast by which the JSON functions write a cursor: it knows that no character of
 * a token needs to be escaped, so that they need not look.
 */
PG_FUNCTION_INFO_V1(taskapi_cursor_json);
Datum
taskapi_cursor_json(PG_FUNCTION_ARGS)
{
	int			len;
	char	   *result = seal(taskapi_cursor_shape_cache(fcinfo->flinfo), PG_GETARG_VARLENA_PP(0), VARHDRSZ + 1, 1, &len);

	SET_VARSIZE(result, VARHDRSZ + len + 2);
	result[VARHDRSZ] = '"';
	result[VARHDRSZ + 1 + len] = '"';
	PG_RETURN_TEXT_P((text *) result);
}

struct varlena *
taskapi_cursor_open(const char *token, int len, Node *escontext)
{
	TaskapiCursorShapeCache cache = {.parent = CurrentMemoryContext};
	struct varlena *cursor = open_token(&cache, token, len, escontext);

	taskapi_cursor_shape_cache_free(&cache);
	return cursor;
}

/*
 * The token, with room before and after it as for taskapi_token_finish().
 */
static char *
seal(TaskapiCursorShapeCache *cache, const struct varlena *cursor, int before, int after, int *len)
{
	TaskapiCursorView view;
	TaskapiBytes buf;

	taskapi_cursor_view(cursor, &view);
	taskapi_token_begin(&buf, TASKAPI_CURSOR_PURPOSE);
	taskapi_cursor_write_wire(taskapi_cursor_shape_of_cursor(cache, &view), &view, &buf);
	return taskapi_token_finish(&buf, TASKAPI_CURSOR_PURPOSE, before, after, len);
}

static text *
seal_text(TaskapiCursorShapeCache *cache, const struct varlena *cursor)
{
	int			len;
	char	   *result = seal(cache, cursor, VARHDRSZ, 0, &len);

	SET_VARSIZE(result, VARHDRSZ + len);
	return (text *) result;
}

static struct varlena *
open_token(TaskapiCursorShapeCache *cache, const char *token, int len, Node *escontext)
{
	int			payload_len;
	uint8	   *payload = taskapi_token_open(TASKAPI_CURSOR_PURPOSE, token, len, &payload_len, escontext);
	const uint8 *pos = payload;
	struct varlena *cursor;

	if (payload == NULL)
		return NULL;
	cursor = taskapi_cursor_read_wire(cache, &pos, payload + payload_len, escontext);
	if (cursor != NULL && pos != payload + payload_len)
	{
		taskapi_problem_soft(escontext, PROBLEM_INVALID_CURSOR, "It holds nothing that can be read here.");
		return NULL;
	}
	return cursor;
}

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
	Datum		value;
	bool		isnull;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	cache = value_cache(fcinfo, 2);
	taskapi_cursor_view(PG_GETARG_VARLENA_PP(0), &view);
	value = one_value(fcinfo, cache, &view, PG_GETARG_INT32(1), &isnull);
	if (isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(value);
}

/*
 * cursor_key(cursor, order_by text, position int, anyelement) -> anyelement
 *
 * What the planner's rewrite of a comparison reads its right side with (keyset.c): as cursor_value(), and a cursor
 * of another order_by, or whose key is NULL where the column never is, is cursor_mismatch.
 */
PG_FUNCTION_INFO_V1(taskapi_cursor_key);
Datum
taskapi_cursor_key(PG_FUNCTION_ARGS)
{
	ValueCache *cache;
	TaskapiCursorView view;
	Datum		value;
	bool		isnull;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	cache = value_cache(fcinfo, 3);
	taskapi_cursor_view(PG_GETARG_VARLENA_PP(0), &view);
	check_order(cache, PG_GETARG_TEXT_PP(1), &view);
	value = one_value(fcinfo, cache, &view, PG_GETARG_INT32(2), &isnull);
	if (isnull)
		taskapi_problem(PROBLEM_CURSOR_MISMATCH, NIL, NULL,
						"It holds a null where rows of this query have none.");
	PG_RETURN_DATUM(value);
}

static ValueCache *
value_cache(FunctionCallInfo fcinfo, int typearg)
{
	FmgrInfo   *flinfo = fcinfo->flinfo;
	ValueCache *cache = flinfo->fn_extra;
	Oid			base;

	if (cache)
		return cache;
	cache = MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(ValueCache));
	cache->shapes.parent = flinfo->fn_mcxt;
	cache->typid = get_fn_expr_argtype(flinfo, typearg);
	if (!OidIsValid(cache->typid))
		ereport(ERROR,
				(errcode(ERRCODE_INDETERMINATE_DATATYPE),
				 errmsg("could not determine data type of a cursor's key")));
	cache->domain = get_typtype(cache->typid) == TYPTYPE_DOMAIN;
	base = taskapi_cursor_key_base_type(cache->typid);
	cache->target.typid = base;
	flinfo->fn_extra = cache;
	return cache;
}

static Datum
one_value(FunctionCallInfo fcinfo, ValueCache *cache, const TaskapiCursorView *view, int position, bool *isnull)
{
	TaskapiCursorShape *shape = taskapi_cursor_shape_of_cursor(&cache->shapes, view);
	const uint8 *pos = view->keys;
	const uint8 *tail = view->tail;
	Datum		value = (Datum) 0;

	if (position < 1 || position > shape->nterms)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cursor has no key %d", position),
				 errdetail("It has %d.", shape->nterms)));

	*isnull = true;
	for (int i = 0; i < position; i++)
	{
		TaskapiCursorKeyType type = shape->keys[i];

		/* Read it as the type that is wanted, where that is of the same class */
		if (i == position - 1 && type.kind != CURSOR_KEY_NULL && type.typid != cache->target.typid)
		{
			if (taskapi_cursor_key_class(type.typid) != taskapi_cursor_key_class(cache->target.typid))
				taskapi_cursor_mismatch(CURSOR_OTHER_TYPES);
			type.typid = cache->target.typid;
			type.kind = taskapi_cursor_key_kind(type.typid, type.collation_kind);
		}
		if (!taskapi_cursor_key_decode(&type, i, &pos, view->keys_end, &tail, view->tail_end, &value, isnull))
			taskapi_cursor_mismatch(CURSOR_OTHER_TYPES);
	}
	if (cache->domain)
		domain_check(value, *isnull, cache->typid, &cache->domain_extra, fcinfo->flinfo->fn_mcxt);
	return value;
}

/*
 * Is the cursor of this order_by?  The order part of a descriptor is kept for the last text that was asked for.
 */
static void
check_order(ValueCache *cache, text *order_by, const TaskapiCursorView *view)
{
	if (cache->order.data == NULL || cache->order_by_len != VARSIZE_ANY_EXHDR(order_by) ||
		memcmp(cache->order_by, VARDATA_ANY(order_by), cache->order_by_len) != 0)
	{
		TaskapiOrderBy *parsed = taskapi_order_by_parse(VARDATA_ANY(order_by), VARSIZE_ANY_EXHDR(order_by));
		MemoryContext old = MemoryContextSwitchTo(cache->shapes.parent);

		cache->order_by_len = VARSIZE_ANY_EXHDR(order_by);
		cache->order_by = palloc(Max(cache->order_by_len, 1));
		memcpy(cache->order_by, VARDATA_ANY(order_by), cache->order_by_len);
		taskapi_cursor_order_descriptor(parsed, &cache->order);
		MemoryContextSwitchTo(old);
	}
	if (!taskapi_cursor_order_matches(cache->order.data, cache->order.len, view->descriptor, view->descriptor_len))
		taskapi_cursor_mismatch(CURSOR_OTHER_ORDER);
}

/*
 * cursor_decode(token text) -> TABLE (position int, key text, type regtype, descending bool, nulls_first bool, value text)
 *
 * What a token says.  The key is NULL where the token has only a digest of long names.
 */
PG_FUNCTION_INFO_V1(taskapi_cursor_decode);
Datum
taskapi_cursor_decode(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	text	   *token = PG_GETARG_TEXT_PP(0);
	TaskapiCursorShapeCache cache = {.parent = CurrentMemoryContext};
	TaskapiCursorView view;
	TaskapiCursorShape *shape;
	Datum		keys[TASKAPI_MAX_ORDER_TERMS];
	bool		keynull[TASKAPI_MAX_ORDER_TERMS];
	const char *name;

	InitMaterializedSRF(fcinfo, 0);
	taskapi_cursor_view(taskapi_cursor_open(VARDATA_ANY(token), VARSIZE_ANY_EXHDR(token), NULL), &view);
	shape = taskapi_cursor_shape_of_cursor(&cache, &view);
	if (!taskapi_cursor_read_keys(shape, &view, keys, keynull))
		taskapi_cursor_mismatch(CURSOR_OTHER_TYPES);

	name = (const char *) shape->descriptor + 1 + shape->nterms;
	for (int i = 0; i < shape->nterms; i++)
	{
		int			name_len = CURSOR_TERM_NAME_LENGTH(shape->descriptor[1 + i]);
		Datum		values[6];
		bool		nulls[6] = {false};

		values[0] = Int32GetDatum(i + 1);
		nulls[1] = (name_len == 0);
		values[1] = nulls[1] ? (Datum) 0 : PointerGetDatum(cstring_to_text_with_len(name, name_len));
		values[2] = ObjectIdGetDatum(shape->keys[i].typid);
		values[3] = BoolGetDatum(shape->keys[i].descending);
		values[4] = BoolGetDatum(shape->keys[i].nulls_first);
		nulls[5] = keynull[i];
		if (!nulls[5])
		{
			Oid			output;
			bool		isvarlena;

			getTypeOutputInfo(shape->keys[i].typid, &output, &isvarlena);
			values[5] = CStringGetTextDatum(OidOutputFunctionCall(output, keys[i]));
		}
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		name += name_len;
	}
	return (Datum) 0;
}
