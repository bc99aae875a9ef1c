/*-------------------------------------------------------------------------
 *
 * page_json.c
 *	  Rows as JSON, to the byte as row_to_json() writes them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "common/jsonapi.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/lsyscache.h"

#include "page/page_json.h"

/* How a value is written: the categories of json.c, with integers told from other numbers */
typedef enum ValueForm
{
	FORM_BOOL,
	FORM_INTEGER,				/* always a JSON number */
	FORM_NUMBER,				/* a string if it is NaN or infinite */
	FORM_DATETIME,				/* in ISO 8601, whatever DateStyle says */
	FORM_JSON,					/* as it is */
	FORM_ARRAY,
	FORM_ROW,
	FORM_STRING
} ValueForm;

typedef struct ColumnWriter
{
	ValueForm	form;
	Oid			type;			/* of a domain, its base */
	char	   *name;			/* as a JSON string, with the colon; NULL if the column was dropped */
	int			name_len;
	FmgrInfo	output;
} ColumnWriter;

struct TaskapiRowWriter
{
	TupleDesc	desc;
	bool		by_server;		/* the whole row */
	Datum	   *values;
	bool	   *nulls;
	ColumnWriter columns[FLEXIBLE_ARRAY_MEMBER];
};

static bool column_writer(Form_pg_attribute att, ColumnWriter *column);
static bool casts_to_json(Oid type);
static void write_value(ColumnWriter *column, Datum value, StringInfo buf);

TaskapiRowWriter *
taskapi_row_writer(TupleDesc desc)
{
	TaskapiRowWriter *writer = palloc0(offsetof(TaskapiRowWriter, columns) + desc->natts * sizeof(ColumnWriter));

	writer->desc = desc;
	writer->values = palloc(desc->natts * sizeof(Datum));
	writer->nulls = palloc(desc->natts * sizeof(bool));
	for (int i = 0; i < desc->natts && !writer->by_server; i++)
		writer->by_server = !column_writer(TupleDescAttr(desc, i), &writer->columns[i]);
	return writer;
}

/* false: the column is not ours to write. */
static bool
column_writer(Form_pg_attribute att, ColumnWriter *column)
{
	StringInfoData name;
	Oid			output;
	bool		is_varlena;

	if (att->attisdropped)
		return true;
	initStringInfo(&name);
	escape_json(&name, NameStr(att->attname));
	appendStringInfoChar(&name, ':');
	column->name = name.data;
	column->name_len = name.len;

	column->type = getBaseType(att->atttypid);
	switch (column->type)
	{
		case BOOLOID:
			column->form = FORM_BOOL;
			return true;
		case INT2OID:
		case INT4OID:
		case INT8OID:
			column->form = FORM_INTEGER;
			break;
		case FLOAT4OID:
		case FLOAT8OID:
		case NUMERICOID:
			column->form = FORM_NUMBER;
			break;
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			column->form = FORM_DATETIME;
			return true;
		case JSONOID:
		case JSONBOID:
			column->form = FORM_JSON;
			break;
		default:
			if (OidIsValid(get_element_type(column->type)) || column->type == ANYARRAYOID || column->type == RECORDARRAYOID)
			{
				column->form = FORM_ARRAY;
				return true;
			}
			if (type_is_rowtype(column->type))
			{
				column->form = FORM_ROW;
				return true;
			}
			if (casts_to_json(column->type))
				return false;
			column->form = FORM_STRING;
			break;
	}
	getTypeOutputInfo(column->type, &output, &is_varlena);
	fmgr_info(output, &column->output);
	return true;
}

/* As json.c decides: the casts of built-in types do not count. */
static bool
casts_to_json(Oid type)
{
	Oid			function;

	return type >= FirstNormalObjectId &&
		find_coercion_pathway(JSONOID, type, COERCION_EXPLICIT, &function) == COERCION_PATH_FUNC;
}

void
taskapi_write_row(TaskapiRowWriter *writer, HeapTuple row, StringInfo buf)
{
	bool		first = true;

	if (writer->by_server)
	{
		text	   *object =
			DatumGetTextPP(DirectFunctionCall1(row_to_json, heap_copy_tuple_as_datum(row, writer->desc)));

		appendBinaryStringInfo(buf, VARDATA_ANY(object), VARSIZE_ANY_EXHDR(object));
		return;
	}
	heap_deform_tuple(row, writer->desc, writer->values, writer->nulls);
	appendStringInfoChar(buf, '{');
	for (int i = 0; i < writer->desc->natts; i++)
	{
		ColumnWriter *column = &writer->columns[i];

		if (column->name == NULL)
			continue;
		if (!first)
			appendStringInfoChar(buf, ',');
		first = false;
		appendBinaryStringInfo(buf, column->name, column->name_len);
		if (writer->nulls[i])
			appendBinaryStringInfo(buf, "null", 4);
		else
			write_value(column, writer->values[i], buf);
	}
	appendStringInfoChar(buf, '}');
}

static void
write_value(ColumnWriter *column, Datum value, StringInfo buf)
{
	char	   *written;

	switch (column->form)
	{
		case FORM_BOOL:
			appendStringInfoString(buf, DatumGetBool(value) ? "true" : "false");
			return;
		case FORM_DATETIME:
			{
				char		datetime[MAXDATELEN + 1];

				JsonEncodeDateTime(datetime, value, column->type, NULL);
				appendStringInfoChar(buf, '"');
				appendStringInfoString(buf, datetime);
				appendStringInfoChar(buf, '"');
				return;
			}
		case FORM_ARRAY:
		case FORM_ROW:
			{
				PGFunction	to_json = column->form == FORM_ARRAY ? array_to_json : row_to_json;
				text	   *nested = DatumGetTextPP(DirectFunctionCall1(to_json, value));

				appendBinaryStringInfo(buf, VARDATA_ANY(nested), VARSIZE_ANY_EXHDR(nested));
				return;
			}
		case FORM_INTEGER:
		case FORM_NUMBER:
		case FORM_JSON:
		case FORM_STRING:
			break;
	}
	written = OutputFunctionCall(&column->output, value);
	if (column->form == FORM_INTEGER || column->form == FORM_JSON ||
		(column->form == FORM_NUMBER && IsValidJsonNumber(written, strlen(written))))
		appendStringInfoString(buf, written);
	else
		escape_json(buf, written);
}
