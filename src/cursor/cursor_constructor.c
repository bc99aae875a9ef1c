/*-------------------------------------------------------------------------
 *
 * cursor_constructor.c
 *	  taskapi.cursor('created_at DESC, id DESC', created_at, id)
 *
 * The constructor is IMMUTABLE and LEAKPROOF, so it runs on rows that row-level
 * security hides, and raises for nothing that comes out of a row: what makes no
 * cursor (an order_by from a column that is none, too large a key) is NULL.  What
 * no row decides is refused while planning: a constant order_by that cannot be
 * parsed or has not as many terms as there are keys, a type that cannot be in a
 * cursor.  That is the support function's business, and the constructor's own
 * if all arguments are constants, since the planner then calls it at once.
 *
 * cursor_encode() is neither leakproof nor immutable, and raises.
 *
 * What a call needs to know beyond its values (order_by parsed, types looked up) is
 * kept in fn_extra; that an order_by is none, too.  Each statement that writes a table
 * with an index on cursors plans and calls its expressions anew, so for types of the
 * server's own it is kept for the backend as well.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "cursor/cursor.h"
#include "cursor/cursor_call.h"
#include "cursor/cursor_shape.h"
#include "http/problem.h"

/*
 * Keys of more bytes make no cursor.  Far above what an index takes, and so far below what palloc() takes that no encoding of
 * so many bytes can fail.
 */
#define CURSOR_MAX_BYTES	(16 * 1024 * 1024)

/* What a shape is asked for with, of those that are kept for the backend */
#define MAX_LASTING_BYTES	256

/* fn_extra of the constructor and of cursor_encode() */
typedef struct ConstructorCache
{
	MemoryContext context;		/* of all below; reset for another order_by */
	char	   *order_by;
	int			order_by_len;
	TaskapiCursorShape *shape;	/* NULL: makes no cursor */
	char	   *error;			/* then, why */
	bool		literal[TASKAPI_MAX_ORDER_TERMS];	/* of type unknown: a C string */
	TaskapiCursorShapeCache sealing;
} ConstructorCache;

static struct varlena *construct(FunctionCallInfo fcinfo, bool raise);
static ConstructorCache *prepare(FunctionCallInfo fcinfo, ConstructorCache *cache, text *order_by);
static void prepare_shape(FmgrInfo *flinfo, ConstructorCache *cache);
static TaskapiCursorShape *find_shape(const char *order_by, int len, int nkeys, const Oid *types, const Oid *collations,
									  MemoryContext context, char **error);
static int	describe(uint8 *bytes, const char *order_by, int len, int nkeys, const Oid *types, const Oid *collations);
static bool all_constant(FmgrInfo *flinfo);
static bool is_large(TaskapiCursorShape *shape, const Datum *values, const bool *isnull);
static struct varlena *refuse(bool raise, const char *error);
static void check_call(FuncExpr *call);
static void check_types(FuncExpr *call);

/*
 * cursor(order_by text, VARIADIC keys "any") -> cursor
 *
 * As many keys as order_by has terms; a NULL key is a value like others.  NULL if the arguments make no cursor.
 */
PG_FUNCTION_INFO_V1(taskapi_cursor);
Datum
taskapi_cursor(PG_FUNCTION_ARGS)
{
	struct varlena *cursor = construct(fcinfo, false);

	if (cursor == NULL)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(cursor);
}

/*
 * cursor_encode(order_by text, VARIADIC keys "any") -> text
 *
 * cursor(...)::text.  Errors: invalid_order_by.
 */
PG_FUNCTION_INFO_V1(taskapi_cursor_encode);
Datum
taskapi_cursor_encode(PG_FUNCTION_ARGS)
{
	struct varlena *cursor = construct(fcinfo, true);
	ConstructorCache *cache = fcinfo->flinfo->fn_extra;

	PG_RETURN_TEXT_P(taskapi_cursor_seal(&cache->sealing, cursor));
}

static struct varlena *
construct(FunctionCallInfo fcinfo, bool raise)
{
	ConstructorCache *cache = fcinfo->flinfo->fn_extra;
	text	   *order_by;
	Datum		values[TASKAPI_MAX_ORDER_TERMS];
	bool		isnull[TASKAPI_MAX_ORDER_TERMS];

	if (PG_ARGISNULL(0))
		return refuse(raise || all_constant(fcinfo->flinfo), "It is null.");
	order_by = PG_GETARG_TEXT_PP(0);
	if (cache == NULL || cache->order_by_len != VARSIZE_ANY_EXHDR(order_by) ||
		memcmp(cache->order_by, VARDATA_ANY(order_by), cache->order_by_len) != 0)
		cache = prepare(fcinfo, cache, order_by);
	if (unlikely(cache->shape == NULL))
		return refuse(raise || all_constant(fcinfo->flinfo), cache->error);

	for (int i = 0; i < cache->shape->nterms; i++)
	{
		isnull[i] = PG_ARGISNULL(i + 1);
		values[i] = PG_GETARG_DATUM(i + 1);
		if (cache->literal[i] && !isnull[i])
			values[i] = CStringGetTextDatum(DatumGetCString(values[i]));
	}
	if (is_large(cache->shape, values, isnull))
		return refuse(raise, "Its keys are too large.");
	return taskapi_cursor_build(cache->shape, values, isnull);
}

static ConstructorCache *
prepare(FunctionCallInfo fcinfo, ConstructorCache *cache, text *order_by)
{
	FmgrInfo   *flinfo = fcinfo->flinfo;
	int			len = VARSIZE_ANY_EXHDR(order_by);

	if (cache == NULL)
	{
		cache = MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(ConstructorCache));
		cache->context = AllocSetContextCreate(flinfo->fn_mcxt, "taskapi cursor constructor", ALLOCSET_SMALL_SIZES);
		cache->sealing.parent = flinfo->fn_mcxt;
	}
	else
		MemoryContextReset(cache->context);
	cache->shape = NULL;
	cache->order_by_len = len;
	cache->order_by = MemoryContextAlloc(cache->context, len + 1);
	memcpy(cache->order_by, VARDATA_ANY(order_by), len);
	prepare_shape(flinfo, cache);
	flinfo->fn_extra = cache;
	return cache;
}

static void
prepare_shape(FmgrInfo *flinfo, ConstructorCache *cache)
{
	List	   *args = flinfo->fn_expr && IsA(flinfo->fn_expr, FuncExpr) ? ((FuncExpr *) flinfo->fn_expr)->args : NIL;
	MemoryContext old = MemoryContextSwitchTo(cache->context);
	int			nkeys = list_length(args) - 1;
	Oid			types[TASKAPI_MAX_ORDER_TERMS];
	Oid			collations[TASKAPI_MAX_ORDER_TERMS];

	if (args == NIL)
		cache->error = "The types of its keys are unknown.";
	else if (((FuncExpr *) flinfo->fn_expr)->funcvariadic)
		cache->error = "Cursor keys cannot be given as a VARIADIC array.";
	else
	{
		if (nkeys <= TASKAPI_MAX_ORDER_TERMS)
			taskapi_cursor_call_types(args, types, collations, cache->literal);
		cache->shape = find_shape(cache->order_by, cache->order_by_len, nkeys, types, collations, cache->context, &cache->error);
	}
	MemoryContextSwitchTo(old);
}

/*
 * The shape, in that context, or if it is NULL wherever it is; NULL if there is none, and in *error a sentence that says why.
 */
static TaskapiCursorShape *
find_shape(const char *order_by, int len, int nkeys, const Oid *types, const Oid *collations, MemoryContext context, char **error)
{
	static TaskapiCursorLastingShapes lasting;
	uint8		bytes[MAX_LASTING_BYTES];
	int			nbytes = describe(bytes, order_by, len, nkeys, types, collations);
	TaskapiCursorShape *shape = nbytes > 0 ? taskapi_cursor_find_lasting_shape(&lasting, bytes, nbytes) : NULL;
	TaskapiOrderBy *parsed;

	if (shape != NULL)
		return context ? taskapi_cursor_shape_copy(shape, context) : shape;
	parsed = taskapi_order_by_try(order_by, len, error);
	if (parsed == NULL)
		return NULL;
	shape = taskapi_cursor_shape_try(parsed, nkeys, types, collations, true, context ? context : CurrentMemoryContext, error);
	if (shape != NULL && nbytes > 0)
		(void) taskapi_cursor_add_lasting_shape(&lasting, bytes, nbytes, shape->descriptor, shape->descriptor_len);
	return shape;
}

/*
 * What a shape is asked for with.  Its length; 0 if the shape depends on the catalog, or it would be too long.
 */
static int
describe(uint8 *bytes, const char *order_by, int len, int nkeys, const Oid *types, const Oid *collations)
{
	int			size = nkeys * (int) sizeof(Oid);

	if (nkeys > TASKAPI_MAX_ORDER_TERMS || 1 + 2 * size + len > MAX_LASTING_BYTES)
		return 0;
	for (int i = 0; i < nkeys; i++)
	{
		if (types[i] >= FirstGenbkiObjectId || collations[i] >= FirstGenbkiObjectId)
			return 0;
	}
	bytes[0] = (uint8) nkeys;
	memcpy(bytes + 1, types, size);
	memcpy(bytes + 1 + size, collations, size);
	memcpy(bytes + 1 + 2 * size, order_by, len);
	return 1 + 2 * size + len;
}

/*
 * Does the planner ask?  It evaluates a call of constants before anything runs, so that no row decides whether it does.
 */
static bool
all_constant(FmgrInfo *flinfo)
{
	ListCell   *lc;

	if (flinfo->fn_expr == NULL || !IsA(flinfo->fn_expr, FuncExpr))
		return false;
	foreach(lc, ((FuncExpr *) flinfo->fn_expr)->args)
	{
		if (!IsA(lfirst(lc), Const))
			return false;
	}
	return true;
}

static bool
is_large(TaskapiCursorShape *shape, const Datum *values, const bool *isnull)
{
	Size		size = 0;

	for (int i = 0; i < shape->nterms; i++)
	{
		if (shape->keys[i].typlen == -1 && !isnull[i])
			size += toast_raw_datum_size(values[i]);
	}
	return size > CURSOR_MAX_BYTES;
}

static struct varlena *
refuse(bool raise, const char *error)
{
	if (raise)
		taskapi_problem(PROBLEM_INVALID_ORDER_BY, NIL, NULL, "%s", error);
	return NULL;
}

/*
 * Planner support of the constructor: refuses what can make no cursor, whatever the rows are.
 */
PG_FUNCTION_INFO_V1(taskapi_cursor_constructor_support);
Datum
taskapi_cursor_constructor_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);

	if (IsA(request, SupportRequestSimplify))
		check_call(((SupportRequestSimplify *) request)->fcall);
	PG_RETURN_POINTER(NULL);
}

static void
check_call(FuncExpr *call)
{
	Const	   *order_by = linitial(call->args);
	text	   *str;
	char	   *error;
	Oid			types[TASKAPI_MAX_ORDER_TERMS];
	Oid			collations[TASKAPI_MAX_ORDER_TERMS];
	int			nkeys = list_length(call->args) - 1;

	if (call->funcvariadic)
		refuse(true, "Cursor keys cannot be given as a VARIADIC array.");
	if (!IsA(order_by, Const))
	{
		check_types(call);
		return;
	}
	if (order_by->constisnull)
		refuse(true, "It is null.");
	str = DatumGetTextPP(order_by->constvalue);
	if (nkeys <= TASKAPI_MAX_ORDER_TERMS)
		taskapi_cursor_call_types(call->args, types, collations, NULL);
	if (find_shape(VARDATA_ANY(str), VARSIZE_ANY_EXHDR(str), nkeys, types, collations, NULL, &error) == NULL)
		refuse(true, error);
}

/*
 * The order_by is not known yet: the types are, and how many there are.
 */
static void
check_types(FuncExpr *call)
{
	int			nkeys = list_length(call->args) - 1;
	TaskapiOrderBy *order_by;
	Oid			types[TASKAPI_MAX_ORDER_TERMS];
	Oid			collations[TASKAPI_MAX_ORDER_TERMS];
	char	   *error;

	if (nkeys > TASKAPI_MAX_ORDER_TERMS)
		refuse(true, psprintf("An order_by has at most %d terms.", TASKAPI_MAX_ORDER_TERMS));
	order_by = palloc0(offsetof(TaskapiOrderBy, terms) + nkeys * sizeof(TaskapiOrderTerm));
	order_by->nterms = nkeys;
	for (int i = 0; i < nkeys; i++)
		snprintf(order_by->terms[i].name, NAMEDATALEN, "key %d", i + 1);
	taskapi_cursor_call_types(call->args, types, collations, NULL);
	if (taskapi_cursor_shape_try(order_by, nkeys, types, collations, true, CurrentMemoryContext, &error) == NULL)
		refuse(true, error);
}
