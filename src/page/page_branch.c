/*-------------------------------------------------------------------------
 *
 * page_branch.c
 *	  Branches and their SQL (page_branch.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/compat.h"
#include "page/page_branch.h"

static int	add_branch(TaskapiBranch *branches, int n, TaskapiBranch branch, TaskapiBranchKind kind);
static bool one_row_comparison(const TaskapiPageTerm *a, const TaskapiPageTerm *b);
static void append_comparison(StringInfo buf, const TaskapiPageQuery *query, const TaskapiBranch *branch);
static char *null_test(const TaskapiPageTerm *term, bool isnull);
static void append_cursor(StringInfo buf, const TaskapiPageQuery *query);
static const char *beyond_cursor(const TaskapiPageQuery *query, const TaskapiBranch *branch);
static const char *beyond(const TaskapiPageTerm *term, bool backward, bool inclusive);

int
taskapi_page_branches(const TaskapiPageQuery *query, const bool *isnull, bool backward, bool inclusive,
					  TaskapiBranch *branches)
{
	const TaskapiPageTerm *terms = query->order->terms;
	int			n = 0;

	if (isnull == NULL)
	{
		branches[0] = (TaskapiBranch) {.backward = backward, .kind = BRANCH_ALL};
		return 1;
	}
	if (OidIsValid(query->index.cursor_function))
	{
		branches[0] = (TaskapiBranch)
		{
			.backward = backward,
			.kind = inclusive ? BRANCH_FROM : BRANCH_AFTER,
			.last = query->order->nscan - 1
		};
		return 1;
	}

	for (int last = query->order->nscan - 1; last >= 0;)
	{
		const TaskapiPageTerm *term = &terms[last];
		bool		nulls_first = term->nulls_first != backward;
		TaskapiBranch branch = {.backward = backward, .last = last};
		int			first = last;

		while (first > 0 && term->column->notnull && !isnull[last] && terms[first - 1].column->notnull &&
			   !isnull[first - 1] && one_row_comparison(&terms[first - 1], term))
			first--;
		branch.first = first;
		for (int i = 0; i < first; i++)
			branch.nulls |= isnull[i] ? (uint32) 1 << i : 0;

		if (isnull[last])
		{
			if (inclusive)
				n = add_branch(branches, n, branch, BRANCH_IS_NULL);
			if (nulls_first)
				n = add_branch(branches, n, branch, BRANCH_IS_NOT_NULL);
		}
		else
		{
			n = add_branch(branches, n, branch, inclusive ? BRANCH_FROM : BRANCH_AFTER);
			if (!nulls_first && !term->column->notnull)
				n = add_branch(branches, n, branch, BRANCH_IS_NULL);
		}
		inclusive = false;
		last = first - 1;
	}
	return n;
}

static int
add_branch(TaskapiBranch *branches, int n, TaskapiBranch branch, TaskapiBranchKind kind)
{
	branch.kind = kind;
	branches[n] = branch;
	return n + 1;
}

uint64
taskapi_page_branch_id(const TaskapiBranch *branch)
{
	return (uint64) branch->nulls << 32 | (uint64) branch->backward << 24 | (uint64) branch->kind << 16 |
		(uint64) branch->first << 8 | branch->last;
}

/*
 * Can two terms stand in one row comparison?  Both must run in one direction, and their operators be spelt alike.
 */
static bool
one_row_comparison(const TaskapiPageTerm *a, const TaskapiPageTerm *b)
{
	return a->descending == b->descending &&
		strcmp(a->gt, b->gt) == 0 && strcmp(a->ge, b->ge) == 0 &&
		strcmp(a->lt, b->lt) == 0 && strcmp(a->le, b->le) == 0;
}

char *
taskapi_page_branch_sql(const TaskapiPageQuery *query, const TaskapiBranch *branch)
{
	const TaskapiPageTerm *terms = query->order->terms;
	StringInfoData buf;
	const char *separator = "";

	initStringInfo(&buf);
	appendStringInfoString(&buf, "SELECT ");
	for (int i = 0; i < query->source->natts; i++)
	{
		if (!query->source->columns[i].readable)
			continue;
		appendStringInfo(&buf, "%s%s", separator, query->source->columns[i].sql);
		separator = ", ";
	}
	appendStringInfo(&buf, " FROM %s AS r", query->source->sql);

	separator = " WHERE ";
	if (query->filter_sql[0])
	{
		appendStringInfo(&buf, "%s%s", separator, query->filter_sql);
		separator = " AND ";
	}
	if (branch->kind != BRANCH_ALL)
	{
		for (int i = 0; i < branch->first; i++)
		{
			if (branch->nulls & ((uint32) 1 << i))
				appendStringInfo(&buf, "%s%s", separator, null_test(&terms[i], true));
			else
				appendStringInfo(&buf, "%s%s %s $%d", separator, terms[i].operand, terms[i].eq, query->nfilter + i + 1);
			separator = " AND ";
		}
		appendStringInfoString(&buf, separator);
		append_comparison(&buf, query, branch);
	}

	separator = " ORDER BY ";
	for (int i = 0; i < query->index.nitems; i++)
	{
		const TaskapiSortItem *item = &query->index.items[i];

		appendStringInfoString(&buf, separator);
		if (item->column)
			appendStringInfoString(&buf, item->column->sql);
		else
			append_cursor(&buf, query);
		appendStringInfo(&buf, " %s NULLS %s",
						 item->descending != branch->backward ? "DESC" : "ASC",
						 item->nulls_first != branch->backward ? "FIRST" : "LAST");
		separator = ", ";
	}
	appendStringInfo(&buf, " LIMIT %d", query->limit);
	return buf.data;
}

static void
append_comparison(StringInfo buf, const TaskapiPageQuery *query, const TaskapiBranch *branch)
{
	const TaskapiPageTerm *terms = query->order->terms;
	const TaskapiPageTerm *term = &terms[branch->first];
	bool		inclusive = branch->kind == BRANCH_FROM;
	int			parameter = query->nfilter + branch->first + 1;

	if (OidIsValid(query->index.cursor_function))
	{
		append_cursor(buf, query);
		appendStringInfo(buf, " OPERATOR(pg_catalog.%s) $%d", beyond_cursor(query, branch),
						 query->nfilter + query->order->nterms + 1);
	}
	else if (branch->kind == BRANCH_IS_NULL)
		appendStringInfoString(buf, null_test(term, true));
	else if (branch->kind == BRANCH_IS_NOT_NULL)
		appendStringInfoString(buf, null_test(term, false));
	else if (branch->first == branch->last)
		appendStringInfo(buf, "%s %s $%d", term->operand, beyond(term, branch->backward, inclusive), parameter);
	else
	{
		/* Partitions are not pruned by row comparisons */
		if (query->source->base_relkind == RELKIND_PARTITIONED_TABLE)
			appendStringInfo(buf, "%s %s $%d AND ", term->operand, beyond(term, branch->backward, true), parameter);

		appendStringInfoString(buf, "ROW(");
		for (int i = branch->first; i <= branch->last; i++)
			appendStringInfo(buf, "%s%s", i == branch->first ? "" : ", ", terms[i].operand);
		appendStringInfo(buf, ") %s ROW(", beyond(term, branch->backward, inclusive));
		for (int i = branch->first; i <= branch->last; i++)
			appendStringInfo(buf, "%s$%d", i == branch->first ? "" : ", ", query->nfilter + i + 1);
		appendStringInfoChar(buf, ')');
	}
}

/*
 * Is the column NULL itself?  IS NULL would look into the fields of a composite; and of a column that the planner takes
 * for NOT NULL it knows the answer.
 */
static char *
null_test(const TaskapiPageTerm *term, bool isnull)
{
	if (term->column->believed)
		return psprintf("pg_catalog.num_nulls(%s) OPERATOR(pg_catalog.=) %d", term->column->sql, isnull ? 1 : 0);
	return psprintf("%s IS %sDISTINCT FROM NULL", term->column->sql, isnull ? "NOT " : "");
}

/*
 * The cursor that the index is on, of a row.
 */
static void
append_cursor(StringInfo buf, const TaskapiPageQuery *query)
{
	const TaskapiPageIndex *index = &query->index;

	appendStringInfo(buf, "%s(%s",
					 quote_qualified_identifier(get_namespace_name(get_func_namespace(index->cursor_function)),
												get_func_name(index->cursor_function)),
					 quote_literal_cstr(index->cursor_order));
	for (int i = 0; i < query->order->nscan; i++)
		appendStringInfo(buf, ", %s", query->order->terms[i].column->sql);
	appendStringInfoChar(buf, ')');
}

/*
 * The operator between that and the position's cursor, for rows ahead.
 */
static const char *
beyond_cursor(const TaskapiPageQuery *query, const TaskapiBranch *branch)
{
	bool		inclusive = branch->kind == BRANCH_FROM;

	if (query->index.cursor_descending != branch->backward)
		return inclusive ? "<=" : "<";
	return inclusive ? ">=" : ">";
}

/*
 * The operator between a column and the position's value, for rows ahead.
 */
static const char *
beyond(const TaskapiPageTerm *term, bool backward, bool inclusive)
{
	if (term->descending != backward)
		return inclusive ? term->le : term->lt;
	return inclusive ? term->ge : term->gt;
}
