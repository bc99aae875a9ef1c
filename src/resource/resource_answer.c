/*-------------------------------------------------------------------------
 *
 * resource_answer.c
 *	  Writing the rows of an answer into the ledger, and reading them back.
 *
 * A row is read by json_populate_record() into the view's row type as it is by
 * then: a column that was added since is NULL, one that was dropped is left out.
 *
 * What is read is text of the ledger, where whoever may call
 * idempotency_complete() with a scope of its own can have written anything.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "base/own_objects.h"
#include "cursor/cursor_wire.h"
#include "http/problem.h"
#include "resource/resource_answer.h"

static int	cursor_column(TupleDesc desc);
static bool has_json_cast(Oid type);
static char *row_as_json(TupleDesc desc, HeapTuple row);
static const char *skip_json_value(const char *s, const char *end);
static bool skip_text(const char **s, const char *end, const char *piece);
static FmgrInfo *row_reader(TaskapiView *view, TupleDesc desc);
static HeapTuple read_row(TaskapiView *view, FmgrInfo *reader, TupleDesc desc, const char *json, int len);
static HeapTuple populate(FmgrInfo *reader, TupleDesc desc, text *json);
static bool read_cursor(const char **s, const char *end, Datum *value);

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

/*
 * A type's own cast to json, such as hstore's, makes what its input function does not read.
 */
static bool
has_json_cast(Oid type)
{
	Oid			element = get_base_element_type(type);
	Oid			cast;
	CoercionPathType path;

	type = getBaseType(OidIsValid(element) ? element : type);
	if (type < FirstNormalObjectId || type_is_rowtype(type))
		return false;
	path = find_coercion_pathway(JSONOID, type, COERCION_EXPLICIT, &cast);
	return path == COERCION_PATH_FUNC && OidIsValid(cast);
}

/*
 * The row as JSON.  Values of types with a cast of their own are in it as their text.
 */
static char *
row_as_json(TupleDesc desc, HeapTuple row)
{
	TupleDesc	plain = CreateTemplateTupleDesc(desc->natts);
	Datum	   *values = palloc(sizeof(Datum) * desc->natts);
	bool	   *nulls = palloc(sizeof(bool) * desc->natts);
	bool		differs = false;

	heap_deform_tuple(row, desc, values, nulls);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		Oid			output;
		bool		is_varlena;

		TupleDescCopyEntry(plain, i + 1, desc, i + 1);
		if (att->attisdropped || !has_json_cast(att->atttypid))
			continue;
		differs = true;
		TupleDescInitEntry(plain, i + 1, NameStr(att->attname), TEXTOID, -1, 0);
		getTypeOutputInfo(att->atttypid, &output, &is_varlena);
		if (!nulls[i])
			values[i] = CStringGetTextDatum(OidOutputFunctionCall(output, values[i]));
	}
	if (differs)
	{
		desc = BlessTupleDesc(plain);
		row = heap_form_tuple(desc, values, nulls);
	}
	return TextDatumGetCString(DirectFunctionCall1(row_to_json, heap_copy_tuple_as_datum(row, desc)));
}

void
taskapi_answer_append(StringInfo body, TupleDesc desc, HeapTuple row)
{
	int			cursor = cursor_column(desc);

	appendStringInfoString(body, body->len == 0 ? "[" : ",\n");
	appendStringInfoString(body, "{\"row\":");
	if (cursor > 0)
	{
		bool		isnull;
		Datum		value = heap_getattr(row, cursor, desc, &isnull);
		Datum		null = (Datum) 0;
		bool		yes = true;
		HeapTuple	rest = heap_modify_tuple_by_cols(row, desc, 1, &cursor, &null, &yes);

		appendStringInfoString(body, row_as_json(desc, rest));
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
		appendStringInfoString(body, row_as_json(desc, row));
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
	FmgrInfo   *reader = row_reader(view, desc);
	int			allocated = 4;

	*rows = palloc(sizeof(HeapTuple) * allocated);
	*nrows = 0;
	while (skip_text(&s, end, *nrows == 0 ? "[" : ",\n"))
	{
		const char *start;
		HeapTuple	row;

		CHECK_FOR_INTERRUPTS();
		if (!skip_text(&s, end, "{\"row\":") || s == end || *s != '{')
			return false;
		start = s;
		s = skip_json_value(s, end);
		row = read_row(view, reader, desc, start, s - start);
		if (row == NULL)
			return false;

		if (skip_text(&s, end, ",\"cursor\":\""))
		{
			Datum		value;
			bool		no = false;

			if (!read_cursor(&s, end, &value))
				return false;
			if (cursor > 0)
				row = heap_modify_tuple_by_cols(row, desc, 1, &cursor, &value, &no);
		}
		if (!skip_text(&s, end, "}"))
			return false;

		if (*nrows == allocated)
		{
			allocated *= 2;
			*rows = repalloc_huge(*rows, sizeof(HeapTuple) * allocated);
		}
		(*rows)[(*nrows)++] = row;
	}
	return skip_text(&s, end, "]") && s == end;
}

/*
 * A cursor in hexadecimal digits, and the double quote behind it.
 */
static bool
read_cursor(const char **s, const char *end, Datum *value)
{
	const char *start = *s;
	StringInfoData wire;

	while (*s < end && *(*s) != '"')
		(*s)++;
	if (*s == end)
		return false;
	initStringInfo(&wire);
	enlargeStringInfo(&wire, (*s - start) / 2);
	wire.len = hex_decode(start, *s - start, wire.data);
	*value = PointerGetDatum(taskapi_cursor_from_wire(&wire, NULL));
	(*s)++;
	return true;
}

/*
 * A row of the view's row type; NULL if the text is none, or does not fit the type as it is now.
 */
static HeapTuple
read_row(TaskapiView *view, FmgrInfo *reader, TupleDesc desc, const char *json, int len)
{
	MemoryContext context = CurrentMemoryContext;
	text	   *object = cstring_to_text_with_len(json, len);
	HeapTuple	row = NULL;

	PG_TRY();
	{
		row = populate(reader, desc, object);
	}
	PG_CATCH();
	{
		int			sqlerrcode;

		MemoryContextSwitchTo(context);
		/* it may have been learning of a column's type */
		view->row_reader = NULL;
		MemoryContextDelete(reader->fn_mcxt);
		sqlerrcode = geterrcode();
		/* the message would show the value, which the caller may not be allowed to read any more */
		if (ERRCODE_TO_CATEGORY(sqlerrcode) != ERRCODE_DATA_EXCEPTION &&
			ERRCODE_TO_CATEGORY(sqlerrcode) != ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION)
			PG_RE_THROW();
		FlushErrorState();
		taskapi_problem(PROBLEM_NOT_FOUND, NIL, NULL,
						"A row of the stored response does not fit the resource any more.");
	}
	PG_END_TRY();
	return row;
}

/*
 * json_populate_record() for the view's row type.  With its FmgrInfo it keeps what it has found out about the row type
 * and the columns' types.  Those of the server's own, and the cursor, stay as they are, so that it is good for as long as
 * the view's entry; otherwise it is made for each statement.
 */
static FmgrInfo *
row_reader(TaskapiView *view, TupleDesc desc)
{
	Oid			cursor;
	bool		keep = true;
	FmgrInfo   *reader;
	MemoryContext context;
	MemoryContext oldcontext;

	if (view->row_reader != NULL)
		return view->row_reader;
	cursor = taskapi_type_oid("cursor");
	for (int i = 0; i < view->ncolumns; i++)
		keep = keep && (view->columns[i].type < FirstNormalObjectId || view->columns[i].type == cursor);

	context = AllocSetContextCreate(keep ? view->entry.context : CurrentMemoryContext, "taskapi row reader",
									ALLOCSET_SMALL_SIZES);
	oldcontext = MemoryContextSwitchTo(context);
	reader = palloc(sizeof(FmgrInfo));
	fmgr_info(F_JSON_POPULATE_RECORD, reader);
	fmgr_info_set_expr((Node *) makeFuncExpr(F_JSON_POPULATE_RECORD, desc->tdtypeid,
											 list_make1(makeNullConst(desc->tdtypeid, -1, InvalidOid)),
											 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL),
					   reader);
	MemoryContextSwitchTo(oldcontext);
	if (keep)
		view->row_reader = reader;
	return reader;
}

static HeapTuple
populate(FmgrInfo *reader, TupleDesc desc, text *json)
{
	HeapTupleData tuple;
	HeapTupleHeader record;
	Datum		result;
	LOCAL_FCINFO(call, 3);

	InitFunctionCallInfoData(*call, reader, 3, InvalidOid, NULL, NULL);
	call->args[0].value = (Datum) 0;
	call->args[0].isnull = true;
	call->args[1].value = PointerGetDatum(json);
	call->args[1].isnull = false;
	call->args[2].value = BoolGetDatum(false);
	call->args[2].isnull = false;
	result = FunctionCallInvoke(call);
	if (call->isnull)
		return NULL;

	record = DatumGetHeapTupleHeader(result);
	if (HeapTupleHeaderGetTypeId(record) != desc->tdtypeid || HeapTupleHeaderGetNatts(record) > desc->natts)
		return NULL;
	tuple.t_len = HeapTupleHeaderGetDatumLength(record);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = record;
	return heap_copytuple(&tuple);
}
