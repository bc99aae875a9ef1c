/*-------------------------------------------------------------------------
 *
 * row_json.c
 *	  Rows as JSON, to the byte as row_to_json() writes them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "common/jsonapi.h"
#include "miscadmin.h"
#include "parser/parse_coerce.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/uuid.h"

#include "base/compat.h"
#include "base/row_json.h"

/* How a value is written: the categories of json.c, with integers told from other numbers */
typedef enum ValueForm
{
	FORM_BOOL,
	FORM_INTEGER,				/* always a JSON number */
	FORM_NUMBER,				/* a string if it is NaN or infinite */
	FORM_DATETIME,				/* in ISO 8601, whatever DateStyle says */
	FORM_UUID,					/* nothing to escape, and many columns are one */
	FORM_JSON,					/* as it is */
	FORM_CAST,					/* what a cast to json gives, as it is */
	FORM_ARRAY,
	FORM_ROW,
	FORM_STRING
} ValueForm;

typedef struct ColumnWriter
{
	AttrNumber	attno;
	ValueForm	form;
	Oid			type;			/* of a domain, its base */
	char	   *name;			/* as a JSON string, with the colon */
	int			name_len;
	FmgrInfo	output;			/* or the cast */
	bool		may_cast;		/* the caller has been found to have EXECUTE on it */
} ColumnWriter;

struct TaskapiRowWriter
{
	TupleDesc	desc;
	Datum	   *values;
	bool	   *nulls;
	int			ncolumns;
	ColumnWriter columns[FLEXIBLE_ARRAY_MEMBER];
};

static void column_writer(Form_pg_attribute att, ColumnWriter *column);
static Oid	cast_to_json(Oid type);
static void write_value(ColumnWriter *column, Datum value, StringInfo buf);
static text *cast_value(ColumnWriter *column, Datum value);
static void append_uuid(const pg_uuid_t *uuid, StringInfo buf);

TaskapiRowWriter *
taskapi_row_writer(TupleDesc desc)
{
	AttrNumber *all = palloc(desc->natts * sizeof(AttrNumber));

	for (int i = 0; i < desc->natts; i++)
		all[i] = i + 1;
	return taskapi_row_writer_of(desc, all, desc->natts);
}

TaskapiRowWriter *
taskapi_row_writer_of(TupleDesc desc, const AttrNumber *columns, int ncolumns)
{
	TaskapiRowWriter *writer = palloc0(offsetof(TaskapiRowWriter, columns) + ncolumns * sizeof(ColumnWriter));

	writer->desc = desc;
	writer->values = palloc(desc->natts * sizeof(Datum));
	writer->nulls = palloc(desc->natts * sizeof(bool));
	for (int i = 0; i < ncolumns; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, columns[i] - 1);

		if (att->attisdropped)
			continue;
		writer->columns[writer->ncolumns].attno = columns[i];
		column_writer(att, &writer->columns[writer->ncolumns++]);
	}
	return writer;
}

static void
column_writer(Form_pg_attribute att, ColumnWriter *column)
{
	StringInfoData name;
	Oid			output;
	bool		is_varlena;

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
			return;
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
			return;
		case UUIDOID:
			column->form = FORM_UUID;
			return;
		case JSONOID:
		case JSONBOID:
			column->form = FORM_JSON;
			break;
		default:
			if (OidIsValid(get_element_type(column->type)) || column->type == ANYARRAYOID || column->type == RECORDARRAYOID)
			{
				column->form = FORM_ARRAY;
				return;
			}
			if (type_is_rowtype(column->type))
			{
				column->form = FORM_ROW;
				return;
			}
			output = cast_to_json(column->type);
			if (OidIsValid(output))
			{
				column->form = FORM_CAST;
				fmgr_info(output, &column->output);
				return;
			}
			column->form = FORM_STRING;
			break;
	}
	getTypeOutputInfo(column->type, &output, &is_varlena);
	fmgr_info(output, &column->output);
}

/* As json.c decides: the casts of built-in types do not count. */
static Oid
cast_to_json(Oid type)
{
	Oid			function;

	if (type >= FirstNormalObjectId &&
		find_coercion_pathway(JSONOID, type, COERCION_EXPLICIT, &function) == COERCION_PATH_FUNC)
		return function;
	return InvalidOid;
}

void
taskapi_write_row(TaskapiRowWriter *writer, HeapTuple row, StringInfo buf)
{
	heap_deform_tuple(row, writer->desc, writer->values, writer->nulls);
	appendStringInfoChar(buf, '{');
	for (int i = 0; i < writer->ncolumns; i++)
	{
		ColumnWriter *column = &writer->columns[i];

		if (i > 0)
			appendStringInfoChar(buf, ',');
		appendBinaryStringInfo(buf, column->name, column->name_len);
		if (writer->nulls[column->attno - 1])
			appendBinaryStringInfo(buf, "null", 4);
		else
			write_value(column, writer->values[column->attno - 1], buf);
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
		case FORM_UUID:
			append_uuid(DatumGetUUIDP(value), buf);
			return;
		case FORM_CAST:
			{
				text	   *cast = cast_value(column, value);

				appendBinaryStringInfo(buf, VARDATA_ANY(cast), VARSIZE_ANY_EXHDR(cast));
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

static text *
cast_value(ColumnWriter *column, Datum value)
{
	Oid			function = column->output.fn_oid;

	if (!column->may_cast)
	{
		if (!taskapi_may_execute(function, GetUserId()))
			aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FUNCTION, get_func_name(function));
		InvokeFunctionExecuteHook(function);
		column->may_cast = true;
	}
	return DatumGetTextPP(FunctionCall1(&column->output, value));
}

static void
append_uuid(const pg_uuid_t *uuid, StringInfo buf)
{
	static const char digits[] = "0123456789abcdef";
	char		text[2 * UUID_LEN + 4 + 2];
	char	   *next = text;

	*next++ = '"';
	for (int i = 0; i < UUID_LEN; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*next++ = '-';
		*next++ = digits[uuid->data[i] >> 4];
		*next++ = digits[uuid->data[i] & 0x0f];
	}
	*next++ = '"';
	Assert(next == text + sizeof(text));
	appendBinaryStringInfo(buf, text, sizeof(text));
}
