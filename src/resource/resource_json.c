/*-------------------------------------------------------------------------
 *
 * resource_json.c
 *	  json_agg() of rows that were read from a resource (resource_json.h).
 *
 * json_agg(t) -> 0, by which a layer asks for one row, is the first row of the same text, without parsing it again.
 *
 * The aggregate is put in by a hook of the planner, not of the parser, so that it never stands in a stored view or
 * function.  Only json_agg() of an anonymous row type is replaced, as it is wherever a subquery's alias stands as its
 * argument: such a type never changes, so that what was looked up for the first row holds for the others.  A row of a
 * named type may all the same come out of it, and is the server's to write.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/planner.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "base/own_objects.h"
#include "base/row_json.h"
#include "resource/resource_json.h"
#include "resource/resource_registry.h"

/* The transition state of json_rows() */
typedef struct JsonRows
{
	StringInfoData text;
	int			first_len;		/* of the first row */
	MemoryContext context;		/* of the writer and its row type, and of no other */
	TaskapiRowWriter *writer;	/* NULL before the first row */
	int32		typmod;			/* which anonymous row type it writes */
} JsonRows;

/* What the walk through a query replaces json_agg() by */
typedef struct Replacement
{
	Query	   *top;
	bool		decided;		/* at the first json_agg(): */
	Oid			rows;			/* json_rows(); InvalidOid: it stays */
	Oid			row;			/* json_row() */
} Replacement;

PG_FUNCTION_INFO_V1(taskapi_json_rows_add);

static planner_hook_type next_planner_hook = NULL;

static PlannedStmt *json_planner(Query *parse, const char *query_string, int cursor_options,
								 ParamListInfo params TASKAPI_PLANNER_PARAM);
static void replace_in(Query *query, Replacement *replacement);
static Node *replace(Node *node, void *context);
static bool is_json_agg(const Node *node, Replacement *replacement);
static bool may_replace(void);
static bool is_first_element(const Node *node);
static bool reads_resource(const Query *query);
static bool is_page(const RangeTblEntry *rte);
static Oid	own_aggregate(const char *name);
static bool is_own(Oid aggregate);
static Datum finish(const JsonRows *rows, int start, int len, const char *end);
static JsonRows *begin_rows(MemoryContext context);
static void write_row(JsonRows *rows, HeapTupleHeader row);
static void prepare_writer(JsonRows *rows, int32 typmod);

void
taskapi_resource_json_init(void)
{
	next_planner_hook = planner_hook;
	planner_hook = json_planner;
}

/*
 * In place: the planner may scribble on its query as well, and whoever keeps one hands it a copy.
 */
static PlannedStmt *
json_planner(Query *parse, const char *query_string, int cursor_options, ParamListInfo params TASKAPI_PLANNER_PARAM)
{
	Replacement replacement = {parse, false, InvalidOid, InvalidOid};

	replace_in(parse, &replacement);
	if (next_planner_hook)
		return next_planner_hook(parse, query_string, cursor_options, params TASKAPI_PLANNER_ARG);
	return standard_planner(parse, query_string, cursor_options, params TASKAPI_PLANNER_ARG);
}

/*
 * In this query, and in those that it reads from or answers with: a layer's embedded lists are there.
 */
static void
replace_in(Query *query, Replacement *replacement)
{
	ListCell   *lc;

	check_stack_depth();
	if (query->hasAggs || query->hasSubLinks)
		query->targetList = castNode(List, replace((Node *) query->targetList, replacement));
	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (rte->rtekind == RTE_SUBQUERY)
			replace_in(rte->subquery, replacement);
	}
	foreach(lc, query->cteList)
		replace_in(castNode(Query, lfirst_node(CommonTableExpr, lc)->ctequery), replacement);
}

static Node *
replace(Node *node, void *context)
{
	Replacement *replacement = context;
	Node	   *first = is_first_element(node) ? linitial(((OpExpr *) node)->args) : NULL;
	Node	   *result;

	if (node && IsA(node, Query))
	{
		replace_in((Query *) node, replacement);
		return node;
	}
	if (is_json_agg(first, replacement))
	{
		result = expression_tree_mutator(first, TASKAPI_MUTATOR(replace), context);
		((Aggref *) result)->aggfnoid = replacement->row;
		return result;
	}
	result = expression_tree_mutator(node, TASKAPI_MUTATOR(replace), context);
	if (is_json_agg(node, replacement))
		((Aggref *) result)->aggfnoid = replacement->rows;
	return result;
}

/*
 * Is it one that is to be replaced?
 */
static bool
is_json_agg(const Node *node, Replacement *replacement)
{
	if (node == NULL || !IsA(node, Aggref) || ((const Aggref *) node)->aggfnoid != F_JSON_AGG ||
		linitial_oid(((const Aggref *) node)->aggargtypes) != RECORDOID)
		return false;
	if (!replacement->decided)
	{
		replacement->decided = true;
		if (may_replace() && reads_resource(replacement->top))
		{
			replacement->row = own_aggregate("json_row");
			replacement->rows = OidIsValid(replacement->row) ? own_aggregate("json_rows") : InvalidOid;
		}
	}
	return OidIsValid(replacement->rows);
}

/*
 * Not if a superuser has taken json_agg() or the operator from some: the executor would not ask for it any more.
 */
static bool
may_replace(void)
{
	return taskapi_may_execute(F_JSON_AGG, ACL_ID_PUBLIC) && taskapi_may_execute(F_JSON_ARRAY_ELEMENT, ACL_ID_PUBLIC);
}

/*
 * json -> 0: so a layer takes a single row out of json_agg().
 */
static bool
is_first_element(const Node *node)
{
	const OpExpr *op = (const OpExpr *) node;
	const Const *index;

	if (node == NULL || !IsA(node, OpExpr) || op->opfuncid != F_JSON_ARRAY_ELEMENT)
		return false;
	index = lsecond(op->args);
	return IsA(index, Const) && !index->constisnull && DatumGetInt32(index->constvalue) == 0;
}

/*
 * Views are subqueries by now.  Before 16 each has an entry of its own view among its relations, and since then the subquery's
 * entry names it.
 */
static bool
reads_resource(const Query *query)
{
	ListCell   *lc;

	check_stack_depth();
	foreach(lc, query->rtable)
	{
		const RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (OidIsValid(rte->relid) && rte->relkind == RELKIND_VIEW && taskapi_resource_find(rte->relid) != NULL)
			return true;
		if (rte->rtekind == RTE_SUBQUERY && reads_resource(rte->subquery))
			return true;
		if (rte->rtekind == RTE_FUNCTION && is_page(rte))
			return true;
	}
	foreach(lc, query->cteList)
	{
		if (reads_resource(castNode(Query, lfirst_node(CommonTableExpr, lc)->ctequery)))
			return true;
	}
	return false;
}

/*
 * A call of RESOURCE_page(), or of page()?
 */
static bool
is_page(const RangeTblEntry *rte)
{
	Oid			type = exprType(linitial_node(RangeTblFunction, rte->functions)->funcexpr);

	return type >= FirstNormalObjectId && taskapi_registry_load() && type == taskapi_type_oid("page_result");
}

/*
 * InvalidOid if the extension has none, since it was created by an earlier version, or not everybody may execute it: a plan that
 * is kept may be run by another role than the one that it was made for.
 */
static Oid
own_aggregate(const char *name)
{
	Oid			type = RECORDOID;
	Oid			aggregate = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(name),
											PointerGetDatum(buildoidvector(&type, 1)), ObjectIdGetDatum(taskapi_schema_oid()));

	return OidIsValid(aggregate) && is_own(aggregate) && taskapi_may_execute(aggregate, ACL_ID_PUBLIC) ? aggregate : InvalidOid;
}

/*
 * It takes the place of the server's own, which superusers call as well: nothing but its name and place would make it ours.
 */
static bool
is_own(Oid aggregate)
{
	HeapTuple	tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggregate));
	FmgrInfo	transition;

	if (!HeapTupleIsValid(tuple))
		return false;
	fmgr_info(((Form_pg_aggregate) GETSTRUCT(tuple))->aggtransfn, &transition);
	ReleaseSysCache(tuple);
	return transition.fn_addr == taskapi_json_rows_add;
}

/*
 * json_rows_add(internal, record) -> internal
 */
Datum
taskapi_json_rows_add(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	JsonRows   *rows;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "json_rows_add called in non-aggregate context");
	rows = PG_ARGISNULL(0) ? begin_rows(context) : (JsonRows *) PG_GETARG_POINTER(0);
	if (!PG_ARGISNULL(0))
		appendBinaryStringInfo(&rows->text, ", ", 2);
	if (PG_ARGISNULL(1))
		appendBinaryStringInfo(&rows->text, "null", 4);
	else
	{
		if (!PG_ARGISNULL(0))
			appendBinaryStringInfo(&rows->text, "\n ", 2);
		write_row(rows, PG_GETARG_HEAPTUPLEHEADER(1));
	}
	if (PG_ARGISNULL(0))
		rows->first_len = rows->text.len - 1;
	PG_RETURN_POINTER(rows);
}

static JsonRows *
begin_rows(MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	JsonRows   *rows = palloc0(sizeof(JsonRows));

	rows->context = AllocSetContextCreate(context, "taskapi json rows", ALLOCSET_SMALL_SIZES);
	initStringInfo(&rows->text);
	appendStringInfoChar(&rows->text, '[');
	MemoryContextSwitchTo(old);
	return rows;
}

static void
write_row(JsonRows *rows, HeapTupleHeader row)
{
	HeapTupleData tuple = {
		.t_len = HeapTupleHeaderGetDatumLength(row),
		.t_data = row
	};

	if (HeapTupleHeaderGetTypeId(row) != RECORDOID)
	{
		text	   *object = DatumGetTextPP(DirectFunctionCall1(row_to_json, PointerGetDatum(row)));

		appendBinaryStringInfo(&rows->text, VARDATA_ANY(object), VARSIZE_ANY_EXHDR(object));
		return;
	}
	if (rows->writer == NULL || rows->typmod != HeapTupleHeaderGetTypMod(row))
		prepare_writer(rows, HeapTupleHeaderGetTypMod(row));
	taskapi_write_row(rows->writer, &tuple, &rows->text);
}

static void
prepare_writer(JsonRows *rows, int32 typmod)
{
	MemoryContext old = MemoryContextSwitchTo(rows->context);

	rows->writer = NULL;
	MemoryContextReset(rows->context);
	rows->writer = taskapi_row_writer(lookup_rowtype_tupdesc_copy(RECORDOID, typmod));
	rows->typmod = typmod;
	MemoryContextSwitchTo(old);
}

/*
 * json_rows_end(internal) -> json: all rows
 */
PG_FUNCTION_INFO_V1(taskapi_json_rows_end);
Datum
taskapi_json_rows_end(PG_FUNCTION_ARGS)
{
	JsonRows   *rows = PG_ARGISNULL(0) ? NULL : (JsonRows *) PG_GETARG_POINTER(0);

	if (rows == NULL)
		PG_RETURN_NULL();
	return finish(rows, 0, rows->text.len, "]");
}

/*
 * json_row_end(internal) -> json: the first row
 */
PG_FUNCTION_INFO_V1(taskapi_json_row_end);
Datum
taskapi_json_row_end(PG_FUNCTION_ARGS)
{
	JsonRows   *rows = PG_ARGISNULL(0) ? NULL : (JsonRows *) PG_GETARG_POINTER(0);

	if (rows == NULL)
		PG_RETURN_NULL();
	return finish(rows, 1, rows->first_len, "");
}

/*
 * The state stays as it is: other aggregates of the same rows may share it.
 */
static Datum
finish(const JsonRows *rows, int start, int len, const char *end)
{
	int			end_len = strlen(end);
	text	   *result = palloc(VARHDRSZ + len + end_len);

	SET_VARSIZE(result, VARHDRSZ + len + end_len);
	memcpy(VARDATA(result), rows->text.data + start, len);
	memcpy(VARDATA(result) + len, end, end_len);
	PG_RETURN_TEXT_P(result);
}
