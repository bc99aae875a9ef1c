/*-------------------------------------------------------------------------
 *
 * resource_answer.c
 *	  Writing the rows of an answer into the ledger, and reading them back.
 *
 * A row is read into the view's row type as it is by then: a column that was
 * added since is NULL, one that was dropped is left out.  json_populate_record()
 * does that, at a third of what a replay costs.  So a row with nothing nested
 * and nothing escaped, which most are, is read here in one pass, with the input
 * functions that the view's cache entry keeps.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "base/own_objects.h"
#include "cursor/cursor_wire.h"
#include "resource/resource_answer.h"

static int	cursor_column(TupleDesc desc);
static const char *skip_json_value(const char *s, const char *end);
static bool skip_text(const char **s, const char *end, const char *piece);
static HeapTuple read_row(TaskapiView *view, TupleDesc desc, const char **s, const char *end);
static HeapTuple read_plain_row(TaskapiView *view, TupleDesc desc, const char **s, const char *end);
static bool read_scalar(const char **s, const char *end, char **value);
static int	find_column(TupleDesc desc, const char *name, int guess);

static int
cursor_column(TupleDesc desc)
{
	Oid			type = taskapi_type_oid("cursor");

	for (int i = 0; i < desc->natts; i++)
	{
		if (TupleDescAttr(desc, i)->atttypid == type && !TupleDescAttr(desc, i)->attisdropped)
			return i + 1;
	}
	return 0;
}

void
taskapi_answer_append(StringInfo body, TupleDesc desc, HeapTuple row)
{
	int			cursor = cursor_column(desc);
	Datum		json;

	appendStringInfoString(body, body->len == 0 ? "[" : ",\n");
	appendStringInfoString(body, "{\"row\":");
	if (cursor > 0)
	{
		bool		isnull;
		Datum		value = heap_getattr(row, cursor, desc, &isnull);
		Datum		null = (Datum) 0;
		bool		yes = true;
		HeapTuple	rest = heap_modify_tuple_by_cols(row, desc, 1, &cursor, &null, &yes);

		json = DirectFunctionCall1(row_to_json, heap_copy_tuple_as_datum(rest, desc));
		appendStringInfoString(body, TextDatumGetCString(json));
		if (!isnull)
		{
			StringInfoData wire;
			char	   *hex;

			initStringInfo(&wire);
			taskapi_cursor_to_wire((struct varlena *) DatumGetPointer(value), &wire);
			hex = palloc(wire.len * 2 + 1);
			hex[hex_encode(wire.data, wire.len, hex)] = '\0';
			appendStringInfo(body, ",\"cursor\":\"%s\"", hex);
		}
	}
	else
	{
		json = DirectFunctionCall1(row_to_json, heap_copy_tuple_as_datum(row, desc));
		appendStringInfoString(body, TextDatumGetCString(json));
	}
	appendStringInfoChar(body, '}');
}

void
taskapi_answer_end(StringInfo body)
{
	appendStringInfoChar(body, ']');
}

/*
 * The end of the JSON value that begins at "s".  The text is valid JSON, as all of the type is.
 */
static const char *
skip_json_value(const char *s, const char *end)
{
	int			depth = 0;
	bool		in_string = false;

	for (; s < end; s++)
	{
		if (in_string)
		{
			if (*s == '\\')
				s++;
			else if (*s == '"')
				in_string = false;
			continue;
		}
		if ((*s == ',' || *s == '}' || *s == ']') && depth == 0)
			break;
		if (*s == '"')
			in_string = true;
		else if (*s == '{' || *s == '[')
			depth++;
		else if (*s == '}' || *s == ']')
			depth--;
	}
	return s;
}

/* Step over a piece of what taskapi_answer_append() wrote around the rows; false where something else stands there. */
static bool
skip_text(const char **s, const char *end, const char *piece)
{
	int			len = strlen(piece);

	if (end - *s < len || memcmp(*s, piece, len) != 0)
		return false;
	*s += len;
	return true;
}

bool
taskapi_answer_rows(struct varlena *body, TaskapiView *view, TupleDesc desc, HeapTuple **rows, int *nrows)
{
	const char *s = VARDATA_ANY(body);
	const char *end = s + VARSIZE_ANY_EXHDR(body);
	int			cursor = cursor_column(desc);
	int			allocated = 4;

	*rows = palloc(sizeof(HeapTuple) * allocated);
	*nrows = 0;
	while (skip_text(&s, end, *nrows == 0 ? "[" : ",\n"))
	{
		HeapTuple	row;

		if (!skip_text(&s, end, "{\"row\":") || s == end || *s != '{')
			return false;
		row = read_row(view, desc, &s, end);
		if (row == NULL)
			return false;

		if (skip_text(&s, end, ",\"cursor\":\""))
		{
			const char *start = s;
			StringInfoData wire;
			Datum		value;
			bool		no = false;

			while (s < end && *s != '"')
				s++;
			initStringInfo(&wire);
			enlargeStringInfo(&wire, (s - start) / 2);
			wire.len = hex_decode(start, s - start, wire.data);
			if (cursor > 0)
			{
				value = PointerGetDatum(taskapi_cursor_from_wire(&wire, NULL));
				row = heap_modify_tuple_by_cols(row, desc, 1, &cursor, &value, &no);
			}
			s++;
		}
		if (!skip_text(&s, end, "}"))
			return false;

		if (*nrows == allocated)
		{
			allocated *= 2;
			*rows = repalloc(*rows, sizeof(HeapTuple) * allocated);
		}
		(*rows)[(*nrows)++] = row;
	}
	return skip_text(&s, end, "]") && s == end;
}

/*
 * The row whose object begins at *s, which is moved behind it; NULL where there is none.
 */
static HeapTuple
read_row(TaskapiView *view, TupleDesc desc, const char **s, const char *end)
{
	const char *start = *s;
	HeapTuple	row;
	FmgrInfo	populate;
	HeapTupleData tuple;
	HeapTupleHeader record;
	LOCAL_FCINFO(call, 3);

	row = read_plain_row(view, desc, s, end);
	if (row != NULL)
		return row;

	*s = skip_json_value(start, end);
	fmgr_info(F_JSON_POPULATE_RECORD, &populate);
	fmgr_info_set_expr((Node *) makeFuncExpr(F_JSON_POPULATE_RECORD, desc->tdtypeid,
											 list_make1(makeNullConst(desc->tdtypeid, -1, InvalidOid)),
											 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL),
					   &populate);
	InitFunctionCallInfoData(*call, &populate, 3, InvalidOid, NULL, NULL);
	call->args[0].value = (Datum) 0;
	call->args[0].isnull = true;
	call->args[1].value = PointerGetDatum(cstring_to_text_with_len(start, *s - start));
	call->args[1].isnull = false;
	call->args[2].value = BoolGetDatum(false);
	call->args[2].isnull = false;
	record = DatumGetHeapTupleHeader(FunctionCallInvoke(call));
	if (call->isnull)
		return NULL;
	tuple.t_len = HeapTupleHeaderGetDatumLength(record);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = record;
	return heap_copytuple(&tuple);
}

/*
 * The same for an object as row_to_json() writes it, without white space, of scalars for scalar columns; NULL, with *s
 * anywhere, where it is not known to be one.
 */
static HeapTuple
read_plain_row(TaskapiView *view, TupleDesc desc, const char **s, const char *end)
{
	TaskapiColumnIO *io = taskapi_view_io(view);
	char	  **texts;
	Datum	   *values;
	bool	   *nulls;
	int			nfields = 0;

	if (desc->natts != view->ncolumns)
		return NULL;
	for (int i = 0; i < desc->natts; i++)
	{
		if (!io[i].scalar || TupleDescAttr(desc, i)->atttypid != view->columns[i].type)
			return NULL;
	}

	texts = palloc0(sizeof(char *) * desc->natts);
	while (skip_text(s, end, nfields == 0 ? "{" : ","))
	{
		char	   *name;
		char	   *value;
		int			column;

		if (!read_scalar(s, end, &name) || name == NULL || !skip_text(s, end, ":") || !read_scalar(s, end, &value))
			return NULL;
		column = find_column(desc, name, nfields++);
		if (column >= 0)		/* else dropped since */
			texts[column] = value;
	}
	if (nfields == 0 || !skip_text(s, end, "}"))
		return NULL;

	values = palloc(sizeof(Datum) * desc->natts);
	nulls = palloc(sizeof(bool) * desc->natts);
	for (int i = 0; i < desc->natts; i++)
	{
		/* a NULL as well: a domain may refuse it */
		values[i] = InputFunctionCall(&io[i].input, texts[i], io[i].ioparam, TupleDescAttr(desc, i)->atttypmod);
		nulls[i] = texts[i] == NULL;
	}
	return heap_form_tuple(desc, values, nulls);
}

/*
 * The text of a scalar, NULL for null; false where something else stands there, or a string with escapes.
 */
static bool
read_scalar(const char **s, const char *end, char **value)
{
	bool		quoted = skip_text(s, end, "\"");
	const char *start = *s;

	for (; *s < end; (*s)++)
	{
		if (quoted ? **s == '"' : (**s == ',' || **s == '}'))
			break;
		if (**s == '\\' || (!quoted && (**s == '"' || **s == '[' || **s == '{')))
			return false;
	}
	if (*s == end)
		return false;
	if (!quoted && *s - start == 4 && memcmp(start, "null", 4) == 0)
		*value = NULL;
	else
		*value = pnstrdup(start, *s - start);
	if (quoted)
		(*s)++;
	return true;
}

/* The index of a column, which is likely the one that is guessed; -1 where there is none of that name. */
static int
find_column(TupleDesc desc, const char *name, int guess)
{
	if (guess < desc->natts && strcmp(NameStr(TupleDescAttr(desc, guess)->attname), name) == 0)
		return guess;
	for (int i = 0; i < desc->natts; i++)
	{
		if (strcmp(NameStr(TupleDescAttr(desc, i)->attname), name) == 0)
			return i;
	}
	return -1;
}
