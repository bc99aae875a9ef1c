/*-------------------------------------------------------------------------
 *
 * index_advice.c
 *	  index_advice(): the index that a given order needs.
 *
 * It asks the very question that page() asks (page_order.h).  Columns that a filter holds equal to a value come first,
 * in any order; those that it holds NULL make the index a partial one.  One index serves both directions, so an
 * order that runs down throughout is given as one that runs up, and NULLS FIRST or LAST only where a
 * column may have NULLs and it is not the default.  The server finds a name that is free.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "lib/stringinfo.h"
#include "nodes/primnodes.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"

#include "base/args.h"
#include "base/compat.h"
#include "base/own_objects.h"
#include "cursor/cursor_key.h"
#include "page/filter_bind.h"
#include "page/page_order.h"

static void check_advisable(const TaskapiPageSource *source, const TaskapiPageOrder *order);
static bool has_encoding(const TaskapiPageOrder *order);
static char *advise(const TaskapiPageSource *source, const TaskapiPageOrder *order, bool as_cursor,
					const Bitmapset *equal, const Bitmapset *isnull);
static void append_terms(StringInfo buf, const TaskapiPageSource *source, const TaskapiPageOrder *order,
						 const Bitmapset *equal, const char *separator);
static void append_cursor(StringInfo buf, const TaskapiPageSource *source, const TaskapiPageOrder *order);
static void append_column(StringInfo buf, const TaskapiPageSource *source, const TaskapiPageColumn *column);
static const char *column_name(const TaskapiPageSource *source, AttrNumber attno);
static void append_where(StringInfo buf, const TaskapiPageSource *source, const TaskapiPageOrder *order,
						 const Bitmapset *isnull);

/*
 * index_advice(source regclass, order_by text, filter jsonb) -> text
 *
 * NULL if an index bounds that order, else the statement that creates one.  Errors: invalid_order_by, invalid_filter; a
 * source that no index can help.
 */
PG_FUNCTION_INFO_V1(taskapi_index_advice);
Datum
taskapi_index_advice(PG_FUNCTION_ARGS)
{
	text	   *order_by = (text *) taskapi_arg_varlena(fcinfo, 1);
	int			order_len = order_by ? (int) VARSIZE_ANY_EXHDR(order_by) : 0;
	List	   *conditions = taskapi_filter_parse(PG_ARGISNULL(2) ? NULL : PG_GETARG_JSONB_P(2));
	TaskapiPageSource *source;
	TaskapiPageOrder *order;
	TaskapiPageIndex index;
	Bitmapset  *filtered = NULL;
	Bitmapset  *equal = NULL;
	Bitmapset  *isnull = NULL;

	taskapi_require_arg(fcinfo, 0, "source");
	source = taskapi_page_source(PG_GETARG_OID(0));
	order = taskapi_page_order(source, order_len > 0 ? VARDATA_ANY(order_by) : NULL, order_len);
	taskapi_filter_constants(taskapi_filter_bind(conditions, source), list_length(conditions), &filtered, &equal, &isnull);
	check_advisable(source, order);

	taskapi_page_find_index(source, order, equal, isnull, &index);
	if (!OidIsValid(index.indexoid))
		PG_RETURN_TEXT_P(cstring_to_text(advise(source, order, false, equal, isnull)));

	/* Comparisons that may tell of rows wait for row-level security; a cursor's do not */
	if (index.leaky && has_encoding(order))
		PG_RETURN_TEXT_P(cstring_to_text(advise(source, order, true, equal, isnull)));
	PG_RETURN_NULL();
}

static void
check_advisable(const TaskapiPageSource *source, const TaskapiPageOrder *order)
{
	if (!OidIsValid(source->base_relid) || source->base_relkind == RELKIND_FOREIGN_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot advise an index for \"%s\"", source->name),
				 errdetail("It is neither a table nor a view of the rows of one table.")));
	if (source->opaque)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot advise an index for \"%s\"", source->name),
				 errdetail("A view with %s is planned separately, so no index bounds an order of its rows.", source->opaque),
				 errhint("Page the table behind the view, or another view.")));
	for (int i = 0; i < order->nscan; i++)
	{
		if (order->terms[i].column->base_attno == 0)
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("cannot advise an index for \"%s\"", source->name),
					 errdetail("Its column \"%s\" is not a column of a table.", order->terms[i].column->name)));
	}
}

/*
 * Do cursors of the order compare by their bytes?
 */
static bool
has_encoding(const TaskapiPageOrder *order)
{
	for (int i = 0; i < order->nscan; i++)
	{
		const TaskapiPageColumn *column = order->terms[i].column;

		if (column->generated ||
			taskapi_cursor_key_kind(column->basetype,
									taskapi_cursor_key_collation_kind(column->basetype, column->collation)) == CURSOR_KEY_RAW)
			return false;
	}
	return true;
}

static char *
advise(const TaskapiPageSource *source, const TaskapiPageOrder *order, bool as_cursor,
	   const Bitmapset *equal, const Bitmapset *isnull)
{
	StringInfoData buf;
	const char *separator = "";
	int			attno = -1;

	initStringInfo(&buf);
	/* CONCURRENTLY is refused for partitioned tables */
	appendStringInfo(&buf, "CREATE INDEX %sON %s (",
					 source->base_relkind == RELKIND_PARTITIONED_TABLE ? "" : "CONCURRENTLY ",
					 quote_qualified_identifier(get_namespace_name(get_rel_namespace(source->base_relid)),
												get_rel_name(source->base_relid)));
	while ((attno = bms_next_member(equal, attno)) >= 0)
	{
		appendStringInfoString(&buf, separator);
		append_column(&buf, source, taskapi_page_base_column(source, attno));
		separator = ", ";
	}
	if (as_cursor)
	{
		appendStringInfoString(&buf, separator);
		append_cursor(&buf, source, order);
	}
	else
		append_terms(&buf, source, order, equal, separator);
	appendStringInfoChar(&buf, ')');
	append_where(&buf, source, order, isnull);
	return buf.data;
}

static void
append_terms(StringInfo buf, const TaskapiPageSource *source, const TaskapiPageOrder *order,
			 const Bitmapset *equal, const char *separator)
{
	bool		opposite = true;

	for (int i = 0; i < order->nscan; i++)
		opposite &= order->terms[i].descending || bms_is_member(order->terms[i].column->base_attno, equal);
	for (int i = 0; i < order->nscan; i++)
	{
		const TaskapiPageTerm *term = &order->terms[i];
		bool		descending = term->descending != opposite;
		bool		nulls_first = term->nulls_first != opposite;

		if (bms_is_member(term->column->base_attno, equal))
			continue;
		appendStringInfoString(buf, separator);
		append_column(buf, source, term->column);
		appendStringInfo(buf, "%s%s", descending ? " DESC" : "",
						 term->column->notnull || nulls_first == descending ? "" :
						 nulls_first ? " NULLS FIRST" : " NULLS LAST");
		separator = ", ";
	}
}

static void
append_cursor(StringInfo buf, const TaskapiPageSource *source, const TaskapiPageOrder *order)
{
	TaskapiOrderBy *order_by = palloc0(offsetof(TaskapiOrderBy, terms) + sizeof(TaskapiOrderTerm) * order->nscan);

	order_by->nterms = order->nscan;
	memcpy(order_by->terms, order->order_by->terms, sizeof(TaskapiOrderTerm) * order->nscan);
	appendStringInfo(buf, TASKAPI_SCHEMA ".cursor(%s", quote_literal_cstr(taskapi_order_by_canonical(order_by)));
	for (int i = 0; i < order->nscan; i++)
		appendStringInfo(buf, ", %s", column_name(source, order->terms[i].column->base_attno));
	appendStringInfoChar(buf, ')');
}

static void
append_column(StringInfo buf, const TaskapiPageSource *source, const TaskapiPageColumn *column)
{
	if (column->generated)
		appendStringInfo(buf, "(%s)",
						 deparse_expression(column->generated,
											deparse_context_for(get_rel_name(source->base_relid), source->base_relid),
											false, false));
	else
		appendStringInfoString(buf, column_name(source, column->base_attno));
}

static const char *
column_name(const TaskapiPageSource *source, AttrNumber attno)
{
	return quote_identifier(get_attname(source->base_relid, attno, false));
}

/*
 * The view's WHERE, if it only says which columns are NULL, and what the filter holds NULL: the index may be partial.
 */
static void
append_where(StringInfo buf, const TaskapiPageSource *source, const TaskapiPageOrder *order, const Bitmapset *isnull)
{
	List	   *quals = source->base_quals;
	Bitmapset  *rest = bms_copy(isnull);
	const char *separator = " WHERE ";
	ListCell   *cell;
	int			attno = -1;

	foreach(cell, source->base_quals)
	{
		NullTest   *test = lfirst(cell);

		if (!IsA(test, NullTest) || !IsA(test->arg, Var) || test->argisrow || ((Var *) test->arg)->varattno <= 0)
			quals = NIL;
	}
	foreach(cell, quals)
	{
		NullTest   *test = lfirst(cell);
		AttrNumber	about = ((Var *) test->arg)->varattno;

		appendStringInfo(buf, "%s%s %s", separator, column_name(source, about),
						 test->nulltesttype == IS_NULL ? "IS NULL" : "IS NOT NULL");
		separator = " AND ";
		if (test->nulltesttype == IS_NULL)
			rest = bms_del_member(rest, about);
	}

	/* What the order has is in the index */
	for (int i = 0; i < order->nscan; i++)
	{
		if (order->terms[i].column->base_attno > 0)
			rest = bms_del_member(rest, order->terms[i].column->base_attno);
	}
	while ((attno = bms_next_member(rest, attno)) >= 0)
	{
		appendStringInfo(buf, "%s%s IS NULL", separator, column_name(source, attno));
		separator = " AND ";
	}
}
