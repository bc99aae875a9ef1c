/*-------------------------------------------------------------------------
 *
 * resource_answer.c
 *	  Writing the rows of an answer into the ledger, and reading them back.
 *
 * What is read is text of the ledger, where whoever may call
 * idempotency_complete() with a scope of its own can have written anything.  It
 * reaches no memory but through the input functions of the types.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "base/own_objects.h"
#include "cursor/cursor_wire.h"
#include "http/problem.h"
#include "resource/answer_text.h"
#include "resource/resource_answer.h"

typedef struct AnswerColumn
{
	bool		dropped;
	bool		is_text;		/* the value's bytes are its text */
	char	   *member;			/* "name": with the name as JSON writes it */
	int			member_len;
	FmgrInfo	output;
	FmgrInfo	input;
	Oid			ioparam;
	int32		typmod;
} AnswerColumn;

struct TaskapiAnswerType
{
	int			ncolumns;
	AnswerColumn *columns;
	int			cursor;			/* number of the column of that type, or 0 */
	bool		by_settings;	/* has types whose text depends on more settings than those of dates and numbers */
};

static bool is_plain_type(Oid type);
static void append_row(StringInfo body, TaskapiAnswerType *type, TupleDesc desc, HeapTuple row);
static void append_cursor(StringInfo body, TaskapiAnswerType *type, TupleDesc desc, HeapTuple row);
static bool read_row(TaskapiAnswerReader *reader, TaskapiAnswerType *type, TupleDesc desc, MemoryContext scratch, HeapTuple *row);
static bool read_texts(TaskapiAnswerReader *reader, const TaskapiAnswerType *type, char **texts);
static int	read_member(TaskapiAnswerReader *reader, const TaskapiAnswerType *type, int expected, bool *valid);
static HeapTuple make_row(TaskapiAnswerType *type, TupleDesc desc, char **texts, MemoryContext result);
static bool read_cursor(TaskapiAnswerReader *reader, Datum *value);

/* ---------- row types ---------- */

TaskapiAnswerType *
taskapi_answer_type(TupleDesc desc)
{
	TaskapiAnswerType *type = palloc0(sizeof(TaskapiAnswerType));
	Oid			cursor = taskapi_type_oid("cursor");

	type->ncolumns = desc->natts;
	type->columns = palloc0(sizeof(AnswerColumn) * Max(desc->natts, 1));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		AnswerColumn *column = &type->columns[i];
		StringInfoData member;
		Oid			function;
		bool		is_varlena;

		column->dropped = att->attisdropped;
		if (column->dropped)
			continue;
		initStringInfo(&member);
		escape_json(&member, NameStr(att->attname));
		appendStringInfoChar(&member, ':');
		column->member = member.data;
		column->member_len = member.len;
		if (att->atttypid == cursor && type->cursor == 0)
		{
			type->cursor = i + 1;
			continue;
		}
		column->is_text = (att->atttypid == TEXTOID || att->atttypid == VARCHAROID || att->atttypid == BPCHAROID ||
						   att->atttypid == JSONOID);
		column->typmod = att->atttypmod;
		getTypeOutputInfo(att->atttypid, &function, &is_varlena);
		fmgr_info(function, &column->output);
		getTypeInputInfo(att->atttypid, &function, &column->ioparam);
		fmgr_info(function, &column->input);
		type->by_settings |= !is_plain_type(att->atttypid);
	}
	return type;
}

/*
 * Does the text of the type's values depend on no settings but those of dates, intervals and floating-point numbers?
 */
static bool
is_plain_type(Oid type)
{
	Oid			element = get_element_type(type);

	if (OidIsValid(element))
		type = element;
	switch (type)
	{
		case BOOLOID:
		case BYTEAOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case FLOAT4OID:
		case FLOAT8OID:
		case NUMERICOID:
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case NAMEOID:
		case JSONOID:
		case JSONBOID:
		case UUIDOID:
		case DATEOID:
		case TIMEOID:
		case TIMETZOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case INTERVALOID:
		case INETOID:
		case CIDROID:
			return true;
		default:
			return false;
	}
}

/*
 * A name in search_path would stand for another object later, and money for another sum.
 */
int
taskapi_answer_pin_settings(bool all)
{
	static const struct
	{
		const char *name;
		const char *value;
		bool		always;		/* not only with "all" */
	}			pinned[] = {
		{"datestyle", "ISO", true}, {"intervalstyle", "postgres", true}, {"extra_float_digits", "1", true},
		{"array_nulls", "on", true}, {"search_path", "pg_catalog", false}, {"lc_monetary", "C", false},
		{"xmloption", "content", false}, {"timezone", "GMT", false}
	};
	bool		usual = (DateStyle == USE_ISO_DATES && IntervalStyle == INTSTYLE_POSTGRES && extra_float_digits >= 1 &&
						 Array_nulls);
	int			level;

	if (usual && !all)
		return 0;
	level = NewGUCNestLevel();
	for (int i = 0; i < lengthof(pinned); i++)
	{
		if (pinned[i].always ? !usual : all)
			(void) set_config_option(pinned[i].name, pinned[i].value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
									 true, 0, false);
	}
	return level;
}

/* ---------- writing ---------- */

void
taskapi_answer_begin(StringInfo body)
{
	initStringInfo(body);
	enlargeStringInfo(body, VARHDRSZ);
	body->len = VARHDRSZ;		/* set at the end */
	appendStringInfoChar(body, '[');
}

struct varlena *
taskapi_answer_end(StringInfo body)
{
	appendStringInfoChar(body, ']');
	SET_VARSIZE(body->data, body->len);
	return (struct varlena *) body->data;
}

void
taskapi_answer_append(StringInfo body, TaskapiAnswerType *type, TupleDesc desc, HeapTuple row)
{
	int			level = taskapi_answer_pin_settings(type->by_settings);

	if (body->len > VARHDRSZ + 1)
		appendStringInfoString(body, ",\n");
	appendStringInfoString(body, "{\"row\":");
	append_row(body, type, desc, row);
	if (level > 0)
		AtEOXact_GUC(true, level);
	if (type->cursor > 0)
		append_cursor(body, type, desc, row);
	appendStringInfoChar(body, '}');
}

static void
append_row(StringInfo body, TaskapiAnswerType *type, TupleDesc desc, HeapTuple row)
{
	Datum	   *values = palloc(sizeof(Datum) * Max(desc->natts, 1));
	bool	   *nulls = palloc(sizeof(bool) * Max(desc->natts, 1));
	char		separator = '{';

	heap_deform_tuple(row, desc, values, nulls);
	for (int i = 0; i < type->ncolumns; i++)
	{
		AnswerColumn *column = &type->columns[i];

		if (column->dropped || i + 1 == type->cursor)
			continue;
		appendStringInfoCharMacro(body, separator);
		separator = ',';
		appendBinaryStringInfo(body, column->member, column->member_len);
		if (nulls[i])
			appendStringInfoString(body, "null");
		else if (column->is_text)
		{
			text	   *value = DatumGetTextPP(values[i]);

			taskapi_answer_append_text(body, VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
			if ((Pointer) value != DatumGetPointer(values[i]))
				pfree(value);
		}
		else
		{
			char	   *value = OutputFunctionCall(&column->output, values[i]);

			taskapi_answer_append_text(body, value, strlen(value));
			pfree(value);
		}
	}
	if (separator == '{')
		appendStringInfoChar(body, '{');
	appendStringInfoChar(body, '}');
	pfree(values);
	pfree(nulls);
}

static void
append_cursor(StringInfo body, TaskapiAnswerType *type, TupleDesc desc, HeapTuple row)
{
	bool		isnull;
	Datum		value = heap_getattr(row, type->cursor, desc, &isnull);
	StringInfoData wire;

	if (isnull)
		return;
	initStringInfo(&wire);
	taskapi_cursor_to_wire((struct varlena *) DatumGetPointer(value), &wire);
	appendStringInfoString(body, ",\"cursor\":\"");
	enlargeStringInfo(body, wire.len * 2 + 1);
	body->len += hex_encode(wire.data, wire.len, body->data + body->len);
	appendStringInfoChar(body, '"');
}

/* ---------- reading ---------- */

bool
taskapi_answer_rows(struct varlena *body, TaskapiAnswerType *type, TupleDesc desc, HeapTuple **rows, int *nrows)
{
	TaskapiAnswerReader		reader = {VARDATA_ANY(body), (char *) VARDATA_ANY(body) + VARSIZE_ANY_EXHDR(body)};
	int			allocated = 4;
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "taskapi stored row", ALLOCSET_SMALL_SIZES);

	*rows = palloc(sizeof(HeapTuple) * allocated);
	*nrows = 0;
	if (!taskapi_answer_skip(&reader, "["))
		return false;
	while (*nrows == 0 ? reader.s < reader.end && *reader.s != ']' : taskapi_answer_skip(&reader, ",\n"))
	{
		HeapTuple	row;

		CHECK_FOR_INTERRUPTS();
		if (!taskapi_answer_skip(&reader, "{\"row\":"))
			return false;
		MemoryContextReset(scratch);
		if (!read_row(&reader, type, desc, scratch, &row))
			return false;
		if (taskapi_answer_skip(&reader, ",\"cursor\":\""))
		{
			Datum		value;
			bool		no = false;

			if (!read_cursor(&reader, &value))
				return false;
			if (type->cursor > 0)
				row = heap_modify_tuple_by_cols(row, desc, 1, &type->cursor, &value, &no);
		}
		if (!taskapi_answer_skip(&reader, "}"))
			return false;

		if (*nrows == allocated)
		{
			allocated *= 2;
			*rows = repalloc_huge(*rows, sizeof(HeapTuple) * allocated);
		}
		(*rows)[(*nrows)++] = row;
	}
	MemoryContextDelete(scratch);
	return taskapi_answer_skip(&reader, "]") && reader.s == reader.end;
}

/*
 * A row in the current context; texts and values of its columns are in "scratch".
 */
static bool
read_row(TaskapiAnswerReader *reader, TaskapiAnswerType *type, TupleDesc desc, MemoryContext scratch, HeapTuple *row)
{
	MemoryContext context = MemoryContextSwitchTo(scratch);
	char	  **texts = palloc0(sizeof(char *) * Max(type->ncolumns, 1));
	bool		valid = read_texts(reader, type, texts);

	if (valid)
		*row = make_row(type, desc, texts, context);
	MemoryContextSwitchTo(context);
	return valid;
}

static bool
read_texts(TaskapiAnswerReader *reader, const TaskapiAnswerType *type, char **texts)
{
	int			expected = 0;

	if (!taskapi_answer_skip(reader, "{"))
		return false;
	if (taskapi_answer_skip(reader, "}"))
		return true;
	do
	{
		bool		valid = true;
		int			i = read_member(reader, type, expected, &valid);
		char	   *text;

		if (!valid || !taskapi_answer_read_value(reader, &text))
			return false;
		if (i >= 0)
		{
			texts[i] = text;
			expected = i + 1;
		}
	} while (taskapi_answer_skip(reader, ","));
	return taskapi_answer_skip(reader, "}");
}

/*
 * The column whose name stands here, which most often is the expected one; -1 for a name of no column.
 */
static int
read_member(TaskapiAnswerReader *reader, const TaskapiAnswerType *type, int expected, bool *valid)
{
	for (int n = 0; n < type->ncolumns; n++)
	{
		int			i = (expected + n) % type->ncolumns;

		if (!type->columns[i].dropped && i + 1 != type->cursor && taskapi_answer_skip(reader, type->columns[i].member))
			return i;
	}
	*valid = taskapi_answer_skip(reader, "\"") && taskapi_answer_read_string(reader) != NULL && taskapi_answer_skip(reader, ":");
	return -1;
}

/*
 * Texts that are NULL are too: a domain may refuse that.
 */
static HeapTuple
make_row(TaskapiAnswerType *type, TupleDesc desc, char **texts, MemoryContext result)
{
	MemoryContext context = CurrentMemoryContext;
	Datum	   *values = palloc0(sizeof(Datum) * Max(type->ncolumns, 1));
	bool	   *nulls = palloc(sizeof(bool) * Max(type->ncolumns, 1));
	HeapTuple	row = NULL;
	int			level = taskapi_answer_pin_settings(type->by_settings);

	PG_TRY();
	{
		for (int i = 0; i < type->ncolumns; i++)
		{
			AnswerColumn *column = &type->columns[i];

			nulls[i] = (texts[i] == NULL);
			if (!column->dropped && i + 1 != type->cursor)
				values[i] = InputFunctionCall(&column->input, texts[i], column->ioparam, column->typmod);
		}
		MemoryContextSwitchTo(result);
		row = heap_form_tuple(desc, values, nulls);
	}
	PG_CATCH();
	{
		int			sqlerrcode;

		MemoryContextSwitchTo(context);
		sqlerrcode = geterrcode();
		/* the message would show the value, which the caller may not be allowed to read any more */
		if (ERRCODE_TO_CATEGORY(sqlerrcode) != ERRCODE_DATA_EXCEPTION &&
			ERRCODE_TO_CATEGORY(sqlerrcode) != ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION &&
			sqlerrcode != ERRCODE_FEATURE_NOT_SUPPORTED && sqlerrcode != ERRCODE_UNDEFINED_OBJECT &&
			sqlerrcode != ERRCODE_UNDEFINED_TABLE && sqlerrcode != ERRCODE_UNDEFINED_FUNCTION)
			PG_RE_THROW();
		FlushErrorState();
		taskapi_problem(PROBLEM_NOT_FOUND, NIL, NULL,
						"A row of the stored response no longer fits the resource.");
	}
	PG_END_TRY();
	if (level > 0)
		AtEOXact_GUC(true, level);
	MemoryContextSwitchTo(context);
	return row;
}

/*
 * A cursor in hexadecimal digits, and the double quote behind it.
 */
static bool
read_cursor(TaskapiAnswerReader *reader, Datum *value)
{
	const char *start = reader->s;
	StringInfoData wire;

	while (reader->s < reader->end && *reader->s != '"')
		reader->s++;
	if (reader->s == reader->end)
		return false;
	initStringInfo(&wire);
	enlargeStringInfo(&wire, (reader->s - start) / 2);
	wire.len = hex_decode(start, reader->s - start, wire.data);
	*value = PointerGetDatum(taskapi_cursor_from_wire(&wire, NULL));
	reader->s++;
	return true;
}
