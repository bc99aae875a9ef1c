/*-------------------------------------------------------------------------
 *
 * index_advice.c
 *	  index_advice(): the index that a given order needs.
 *
 * It asks the very question that page() asks (page_order.h).  One index serves both directions, so an
 * order that runs down throughout is given as one that runs up, and NULLS FIRST or LAST only where a
 * column may have NULLs and it is not the default.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "lib/stringinfo.h"
#include "nodes/primnodes.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/args.h"
#include "base/compat.h"
#include "page/page_order.h"

static char *advise(const TaskapiPageSource *source, const TaskapiPageOrder *order);
static void append_where(StringInfo buf, const TaskapiPageSource *source);

/*
 * index_advice(source regclass, order_by text) -> text
 *
 * NULL where an index bounds that order, else the statement that creates one.  Errors: invalid_order_by; a view
 * that no single table stands behind, since no index can help it.
 */
PG_FUNCTION_INFO_V1(taskapi_index_advice);
Datum
taskapi_index_advice(PG_FUNCTION_ARGS)
{
	TaskapiPageSource *source;
	TaskapiPageOrder *order;
	TaskapiPageIndex index;
	text	   *order_by = PG_ARGISNULL(1) ? NULL : PG_GETARG_TEXT_PP(1);

	taskapi_require_arg(fcinfo, 0, "source");
	source = taskapi_page_source(PG_GETARG_OID(0));
	order = taskapi_page_order(source, order_by ? VARDATA_ANY(order_by) : NULL, order_by ? (int) VARSIZE_ANY_EXHDR(order_by) : 0);

	if (!OidIsValid(source->base_relid) || source->base_relkind == RELKIND_FOREIGN_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("no index can be advised for \"%s\"", source->name),
				 errdetail("It is not a table, nor a view that shows the rows of one table.")));
	for (int i = 0; i < order->nscan; i++)
	{
		if (order->terms[i].column->base_attno == 0)
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("no index can be advised for \"%s\"", source->name),
					 errdetail("Its column \"%s\" is no column of a table.", order->terms[i].column->name)));
	}

	taskapi_page_find_index(source, order, NULL, NULL, &index);
	if (OidIsValid(index.indexoid))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(advise(source, order)));
}

static char *
advise(const TaskapiPageSource *source, const TaskapiPageOrder *order)
{
	StringInfoData buf;
	bool		opposite = true;

	for (int i = 0; i < order->nscan; i++)
		opposite &= order->terms[i].descending;

	initStringInfo(&buf);
	/* CONCURRENTLY is refused for partitioned tables */
	appendStringInfo(&buf, "CREATE INDEX %sON %s (",
					 source->base_relkind == RELKIND_PARTITIONED_TABLE ? "" : "CONCURRENTLY ",
					 quote_qualified_identifier(get_namespace_name(get_rel_namespace(source->base_relid)),
												get_rel_name(source->base_relid)));
	for (int i = 0; i < order->nscan; i++)
	{
		const TaskapiPageTerm *term = &order->terms[i];
		bool		descending = term->descending != opposite;
		bool		nulls_first = term->nulls_first != opposite;

		appendStringInfo(&buf, "%s%s%s%s", i == 0 ? "" : ", ",
						 quote_identifier(get_attname(source->base_relid, term->column->base_attno, false)),
						 descending ? " DESC" : "",
						 term->column->notnull || nulls_first == descending ? "" :
						 nulls_first ? " NULLS FIRST" : " NULLS LAST");
	}
	appendStringInfoChar(&buf, ')');
	append_where(&buf, source);
	return buf.data;
}

/*
 * The view's WHERE, where it only says which columns are NULL: the index may be partial.
 */
static void
append_where(StringInfo buf, const TaskapiPageSource *source)
{
	ListCell   *cell;

	foreach(cell, source->base_quals)
	{
		NullTest   *test = lfirst(cell);

		if (!IsA(test, NullTest) || !IsA(test->arg, Var) || test->argisrow || ((Var *) test->arg)->varattno <= 0)
			return;
	}
	foreach(cell, source->base_quals)
	{
		NullTest   *test = lfirst(cell);

		appendStringInfo(buf, "%s%s %s", foreach_current_index(cell) == 0 ? " WHERE " : " AND ",
						 quote_identifier(get_attname(source->base_relid, ((Var *) test->arg)->varattno, false)),
						 test->nulltesttype == IS_NULL ? "IS NULL" : "IS NOT NULL");
	}
}
