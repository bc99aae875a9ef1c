/*-------------------------------------------------------------------------
 *
 * response.c
 *	  Headers and status of the answer (response.h).
 *
 * SQL: sql/install/10_request.sql
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "base/jsonb_parse.h"
#include "http/header.h"
#include "http/layer.h"
#include "http/response.h"

/*
 * The response headers as of the text in response.headers.  A statement may set
 * a header for each of a million rows, so what is replaced is freed at once.
 */
static struct
{
	MemoryContext context;
	char	   *text;
	List	   *headers;		/* of TaskapiHeader */
} response;

static void read_response_headers(void);
static void write_response_headers(void);

void
taskapi_set_response_header(const char *name, const char *value)
{
	MemoryContext oldcontext;
	ListCell   *lc;
	TaskapiHeader *header = NULL;

	taskapi_check_header(name, value ? value : "");
	read_response_headers();
	oldcontext = MemoryContextSwitchTo(response.context);
	if (pg_strcasecmp(name, "Set-Cookie") != 0)
	{
		foreach(lc, response.headers)
		{
			TaskapiHeader *h = lfirst(lc);

			if (pg_strcasecmp(h->name, name) == 0)
				header = h;
		}
	}
	if (value == NULL && header)
	{
		response.headers = list_delete_ptr(response.headers, header);
		pfree(header->name);
		pfree(header->value);
		pfree(header);
	}
	else if (header)
	{
		char	   *old = header->value;

		header->value = pstrdup(value);
		pfree(old);
	}
	else if (value)
		response.headers = taskapi_headers_add(response.headers, name, value);
	MemoryContextSwitchTo(oldcontext);

	write_response_headers();
}

void
taskapi_set_response_status(int status)
{
	if (status < 100 || status > 599)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid HTTP status: %d", status)));
	taskapi_set_local("response.status", psprintf("%d", status));
}

/*
 * Bring response.headers of the struct up to date with the GUC, which somebody
 * else may have set: an array of objects with one field each.
 */
static void
read_response_headers(void)
{
	const char *text = taskapi_layer_setting("response.headers");
	MemoryContext oldcontext;
	JsonbIterator *it;
	JsonbIteratorToken tok;
	JsonbValue	v;
	Jsonb	   *array;
	char	   *name = NULL;
	ListCell   *lc;

	if (response.context == NULL)
		response.context = AllocSetContextCreate(TopMemoryContext, "taskapi response",
												 ALLOCSET_SMALL_SIZES);
	if (text != NULL && response.text != NULL && strcmp(response.text, text) == 0)
		return;

	response.text = NULL;
	response.headers = NIL;
	MemoryContextReset(response.context);
	if (text == NULL)
		return;

	/* jsonb_in() would quote what it does not understand, and a cookie may be in it */
	array = taskapi_jsonb_parse(text);
	if (array == NULL || !JB_ROOT_IS_ARRAY(array) || JB_ROOT_IS_SCALAR(array))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("response.headers must be a JSON array of objects")));

	oldcontext = MemoryContextSwitchTo(response.context);
	it = JsonbIteratorInit(&array->root);
	while ((tok = JsonbIteratorNext(&it, &v, false)) != WJB_DONE)
	{
		if (tok == WJB_KEY)
			name = pnstrdup(v.val.string.val, v.val.string.len);
		else if (tok == WJB_VALUE && v.type == jbvString)
			response.headers = taskapi_headers_add(response.headers, name,
												   pnstrdup(v.val.string.val, v.val.string.len));
		else if (tok == WJB_VALUE || tok == WJB_ELEM)
		{
			response.headers = NIL;
			MemoryContextSwitchTo(oldcontext);
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("response.headers must be a JSON array of objects of strings")));
		}
	}
	MemoryContextSwitchTo(oldcontext);
	foreach(lc, response.headers)
	{
		TaskapiHeader *header = lfirst(lc);

		taskapi_check_header(header->name, header->value);
	}
}

static void
write_response_headers(void)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	appendStringInfoChar(&buf, '[');
	foreach(lc, response.headers)
	{
		TaskapiHeader *header = lfirst(lc);

		if (buf.len > 1)
			appendStringInfoString(&buf, ", ");
		appendStringInfoChar(&buf, '{');
		escape_json(&buf, header->name);
		appendStringInfoString(&buf, ": ");
		escape_json(&buf, header->value);
		appendStringInfoChar(&buf, '}');
	}
	appendStringInfoChar(&buf, ']');

	/* A rollback to a savepoint gives the GUC its old text, which then differs from ours */
	if (response.text != NULL)
		pfree(response.text);
	response.text = NULL;
	taskapi_set_local("response.headers", buf.data);
	response.text = MemoryContextStrdup(response.context, buf.data);
}

/*
 * set_response_header(name text, value text) -> void
 * set_response_status(status int) -> void
 */
PG_FUNCTION_INFO_V1(taskapi_set_response_header_sql);
Datum
taskapi_set_response_header_sql(PG_FUNCTION_ARGS)
{
	taskapi_set_response_header(text_to_cstring(PG_GETARG_TEXT_PP(0)),
								text_to_cstring(PG_GETARG_TEXT_PP(1)));
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(taskapi_set_response_status_sql);
Datum
taskapi_set_response_status_sql(PG_FUNCTION_ARGS)
{
	taskapi_set_response_status(PG_GETARG_INT32(0));
	PG_RETURN_VOID();
}
