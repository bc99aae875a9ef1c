/*-------------------------------------------------------------------------
 *
 * page_items.c
 *	  The rows of a page as a JSON array (page_items.h).
 *
 * Which columns are shown is the writer's to choose: the row that was fetched has those that its position needs, and is the
 * same for every choice, so that all of them share their plans.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "base/row_json.h"
#include "http/problem.h"
#include "page/page_items.h"

/* Room that is made for all rows by the length of the first, at most */
#define LARGE_PAGE	(256 * 1024)

/* How the rows of one query are written */
typedef struct ItemWriter
{
	const TaskapiPageQuery *query;
	TaskapiRowWriter *writer;
} ItemWriter;

static void make_writer(ItemWriter *writer, const TaskapiPageColumns *columns, const TaskapiPageQuery *query);
static AttrNumber find_column(const TaskapiPageQuery *query, const char *name);

TaskapiPageColumns
taskapi_page_columns(ArrayType *array)
{
	TaskapiPageColumns columns = {0};
	Datum	   *elements;
	bool	   *nulls;

	if (array == NULL)
		return columns;
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &columns.n);
	if (columns.n > MaxHeapAttributeNumber)
		taskapi_problem(PROBLEM_INVALID_VALUE, NIL, NULL, "At most %d columns can be named.", MaxHeapAttributeNumber);
	columns.names = palloc(sizeof(char *) * Max(columns.n, 1));
	for (int i = 0; i < columns.n; i++)
	{
		if (nulls[i])
			taskapi_problem(PROBLEM_INVALID_VALUE, NIL, NULL, "A column to show must not be null.");
		columns.names[i] = TextDatumGetCString(elements[i]);
		for (int j = 0; j < i; j++)
		{
			if (strcmp(columns.names[i], columns.names[j]) == 0)
				taskapi_problem(PROBLEM_INVALID_VALUE, NIL, NULL, "Column \"%s\" is named twice.", columns.names[i]);
		}
	}
	return columns;
}

void
taskapi_page_check_columns(const TaskapiPageColumns *columns, const TaskapiPageQuery *query, const TaskapiPageQuery *other)
{
	for (int i = 0; i < columns->n; i++)
	{
		if (find_column(query, columns->names[i]) == 0 && (other == NULL || find_column(other, columns->names[i]) == 0))
			taskapi_problem(PROBLEM_INVALID_VALUE, NIL, NULL, "\"%s\" has no column \"%s\".",
							query->source->name, columns->names[i]);
	}
}

text *
taskapi_page_items(const TaskapiPageColumns *columns, const TaskapiPageRow *rows, int nrows)
{
	ItemWriter	writers[2] = {0};
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "taskapi page items", ALLOCSET_DEFAULT_SIZES);
	StringInfoData buf;			/* a text in the making */

	initStringInfo(&buf);
	buf.len = VARHDRSZ;
	appendStringInfoChar(&buf, '[');
	for (int i = 0; i < nrows; i++)
	{
		ItemWriter *writer = &writers[writers[0].query != NULL && writers[0].query != rows[i].query];
		MemoryContext old;

		CHECK_FOR_INTERRUPTS();
		if (writer->query == NULL)
			make_writer(writer, columns, rows[i].query);
		if (i > 0)
			appendStringInfoChar(&buf, ',');
		old = MemoryContextSwitchTo(context);
		taskapi_write_row(writer->writer, rows[i].tuple, &buf);
		MemoryContextSwitchTo(old);
		MemoryContextReset(context);
		if (i == 0)
			enlargeStringInfo(&buf, Min((int64) nrows * buf.len, LARGE_PAGE));
	}
	appendStringInfoChar(&buf, ']');
	MemoryContextDelete(context);
	SET_VARSIZE(buf.data, buf.len);
	return (text *) buf.data;
}

static void
make_writer(ItemWriter *writer, const TaskapiPageColumns *columns, const TaskapiPageQuery *query)
{
	AttrNumber *from;
	int			n = 0;

	writer->query = query;
	if (columns->n == 0)
	{
		writer->writer = taskapi_row_writer(query->desc);
		return;
	}
	from = palloc(sizeof(AttrNumber) * columns->n);
	for (int i = 0; i < columns->n; i++)
	{
		from[n] = find_column(query, columns->names[i]);
		n += from[n] > 0 ? 1 : 0;
	}
	writer->writer = taskapi_row_writer_of(query->desc, from, n);
}

/* The number in the rows of the query; 0 if they do not have it. */
static AttrNumber
find_column(const TaskapiPageQuery *query, const char *name)
{
	for (int i = 0; i < query->desc->natts; i++)
	{
		if (strcmp(NameStr(TupleDescAttr(query->desc, i)->attname), name) == 0)
			return i + 1;
	}
	return 0;
}
