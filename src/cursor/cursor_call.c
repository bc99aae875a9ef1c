/*-------------------------------------------------------------------------
 *
 * cursor_call.c
 *	  The functions and operators of cursors, as the planner meets them
 *	  (cursor_call.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/own_objects.h"
#include "base/table_cache.h"
#include "cursor/cursor_call.h"

static void find_objects(TaskapiCursorObjects *objects);
static Oid	find_function(Oid schema, const char *name, const Oid *args, int nargs);

const TaskapiCursorObjects *
taskapi_cursor_objects(void)
{
	static TaskapiCursorObjects objects;
	static uint64 generation = 0;

	if (generation != taskapi_names_generation())
	{
		uint64		now = taskapi_names_generation();
		TaskapiCursorObjects found;

		find_objects(&found);	/* may throw; then the next call looks again */
		objects = found;
		generation = now;
	}
	return OidIsValid(objects.type) ? &objects : NULL;
}

static void
find_objects(TaskapiCursorObjects *objects)
{
	static const struct
	{
		const char *operator;
		const char *function;
	}			names[] = {
		[BTLessStrategyNumber] = {"<", "cursor_lt"},
		[BTLessEqualStrategyNumber] = {"<=", "cursor_le"},
		[BTEqualStrategyNumber] = {"=", "cursor_eq"},
		[BTGreaterEqualStrategyNumber] = {">=", "cursor_ge"},
		[BTGreaterStrategyNumber] = {">", "cursor_gt"},
		[CURSOR_NOT_EQUAL] = {"<>", "cursor_ne"}
	};
	Oid			schema = get_namespace_oid(TASKAPI_SCHEMA, true);
	Oid			type;

	memset(objects, 0, sizeof(TaskapiCursorObjects));
	if (!OidIsValid(schema))
		return;
	type = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum("cursor"), ObjectIdGetDatum(schema));
	if (!OidIsValid(type))
		return;
	objects->schema = schema;
	objects->type = type;
	objects->constructor = find_function(schema, "cursor", (Oid[]) {TEXTOID, ANYOID}, 2);
	objects->key = find_function(schema, "cursor_key", (Oid[]) {type, TEXTOID, INT4OID, ANYELEMENTOID}, 4);
	objects->check = find_function(schema, "cursor_check", (Oid[]) {type, TEXTOID, BOOLOID, ANYOID}, 4);
	objects->check_array = find_function(schema, "cursor_check",
										 (Oid[]) {get_array_type(type), TEXTOID, BOOLOID, ANYOID}, 4);
	for (int i = BTLessStrategyNumber; i <= CURSOR_NOT_EQUAL; i++)
	{
		objects->operators[i] = GetSysCacheOid4(OPERNAMENSP, Anum_pg_operator_oid, CStringGetDatum(names[i].operator),
												ObjectIdGetDatum(type), ObjectIdGetDatum(type),
												ObjectIdGetDatum(PG_CATALOG_NAMESPACE));
		objects->functions[i] = find_function(schema, names[i].function, (Oid[]) {type, type}, 2);
	}
}

static Oid
find_function(Oid schema, const char *name, const Oid *args, int nargs)
{
	oidvector  *vector = buildoidvector(args, nargs);
	Oid			result = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(name),
										 PointerGetDatum(vector), ObjectIdGetDatum(schema));

	pfree(vector);
	return result;
}

int
taskapi_cursor_strategy_of_operator(const TaskapiCursorObjects *objects, Oid opno)
{
	for (int i = BTLessStrategyNumber; i <= CURSOR_NOT_EQUAL; i++)
	{
		if (objects->operators[i] == opno)
			return i;
	}
	return 0;
}

int
taskapi_cursor_strategy_of_function(const TaskapiCursorObjects *objects, Oid funcid)
{
	for (int i = BTLessStrategyNumber; i <= CURSOR_NOT_EQUAL; i++)
	{
		if (objects->functions[i] == funcid)
			return i;
	}
	return 0;
}

FuncExpr *
taskapi_cursor_call(Node *node)
{
	const TaskapiCursorObjects *objects = taskapi_cursor_objects();
	FuncExpr   *call = (FuncExpr *) node;
	Const	   *order_by;

	if (node == NULL || !IsA(node, FuncExpr) || objects == NULL || call->funcid != objects->constructor ||
		call->funcvariadic || list_length(call->args) < 2)
		return NULL;
	order_by = linitial(call->args);
	if (!IsA(order_by, Const) || order_by->constisnull || order_by->consttype != TEXTOID)
		return NULL;
	return call;
}

/*
 * One query asks for the same order_by again and again while it is planned, so the last one is kept.
 */
TaskapiOrderBy *
taskapi_cursor_call_order(const FuncExpr *call)
{
	static struct
	{
		int			len;
		char		text[128];
		int			nterms;		/* 0 if there is none yet */
		TaskapiOrderTerm terms[4];
	}			last;
	Const	   *order_by = linitial(call->args);
	text	   *str = DatumGetTextPP(order_by->constvalue);
	int			len = VARSIZE_ANY_EXHDR(str);
	TaskapiOrderBy *result;
	char	   *error;

	if (last.nterms > 0 && last.len == len && memcmp(last.text, VARDATA_ANY(str), len) == 0)
	{
		result = palloc(offsetof(TaskapiOrderBy, terms) + last.nterms * sizeof(TaskapiOrderTerm));
		result->nterms = last.nterms;
		memcpy(result->terms, last.terms, last.nterms * sizeof(TaskapiOrderTerm));
		return result;
	}
	result = taskapi_order_by_try(VARDATA_ANY(str), len, &error);
	if (result && len <= sizeof(last.text) && result->nterms <= lengthof(last.terms))
	{
		last.len = len;
		memcpy(last.text, VARDATA_ANY(str), len);
		last.nterms = result->nterms;
		memcpy(last.terms, result->terms, result->nterms * sizeof(TaskapiOrderTerm));
	}
	return result;
}

void
taskapi_cursor_call_types(const List *args, Oid *types, Oid *collations, bool *literal)
{
	for (int i = 0; i < list_length(args) - 1; i++)
	{
		Node	   *arg = list_nth(args, i + 1);
		bool		unknown;

		types[i] = exprType(arg);
		collations[i] = exprCollation(arg);
		unknown = types[i] == UNKNOWNOID;
		if (unknown && !(IsA(arg, Const) && ((Const *) arg)->constisnull))
			types[i] = TEXTOID;
		if (literal)
			literal[i] = unknown;
	}
}

TaskapiCursorShape *
taskapi_cursor_call_shape(const FuncExpr *call, MemoryContext context, char **error)
{
	int			nkeys = list_length(call->args) - 1;
	TaskapiOrderBy *order_by = taskapi_cursor_call_order(call);
	Oid			types[TASKAPI_MAX_ORDER_TERMS];
	Oid			collations[TASKAPI_MAX_ORDER_TERMS];

	if (order_by == NULL || nkeys != order_by->nterms)
	{
		*error = "It is not an order_by of these keys.";
		return NULL;
	}
	taskapi_cursor_call_types(call->args, types, collations, NULL);
	return taskapi_cursor_shape_try(order_by, nkeys, types, collations, true, context, error);
}
