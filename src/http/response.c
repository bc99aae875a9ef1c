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
#include "http/grammar.h"
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

/* What this library sends that a browser does not show by itself */
#define EXPOSED_HEADERS \
	"ETag, Idempotency-Key, Idempotency-Replayed, Link, RateLimit, RateLimit-Policy, Read-After, Retry-After, WWW-Authenticate"

/* What is true of a refusal too */
static const char *const kept_headers[] = {"Access-Control-Expose-Headers", "RateLimit-Policy", "RateLimit"};

static bool read_response_headers(void);
static bool parse_response_headers(Jsonb *array);
static void put_header(const char *name, const char *value);
static TaskapiHeader *find_header(List *headers, const char *name);
static void write_response_headers(void);

void
taskapi_set_response_header(const char *name, const char *value)
{
	taskapi_set_response_headers(&(TaskapiHeader) {unconstify(char *, name), unconstify(char *, value)}, 1);
}

void
taskapi_set_response_headers(const TaskapiHeader *headers, int n)
{
	MemoryContext oldcontext;

	for (int i = 0; i < n; i++)
		taskapi_check_header(headers[i].name, headers[i].value ? headers[i].value : "");
	if (!read_response_headers())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("response.headers must be a JSON array of objects of strings")));
	oldcontext = MemoryContextSwitchTo(response.context);
	for (int i = 0; i < n; i++)
		put_header(headers[i].name, headers[i].value);
	MemoryContextSwitchTo(oldcontext);

	write_response_headers();
}

static void
put_header(const char *name, const char *value)
{
	TaskapiHeader *header = NULL;

	if (pg_strcasecmp(name, "Set-Cookie") != 0)
		header = find_header(response.headers, name);
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

const char *
taskapi_response_header(const char *name)
{
	TaskapiHeader *header = read_response_headers() ? find_header(response.headers, name) : NULL;

	return header ? header->value : NULL;
}

List *
taskapi_response_headers(void)
{
	List	   *result = NIL;
	ListCell   *lc;

	if (read_response_headers())
	{
		foreach(lc, response.headers)
		{
			TaskapiHeader *header = lfirst(lc);

			result = taskapi_headers_add(result, header->name, header->value);
		}
	}
	return result;
}

void
taskapi_expose_response_headers(void)
{
	taskapi_set_response_header("Access-Control-Expose-Headers", EXPOSED_HEADERS);
}

List *
taskapi_refusal_headers(List *headers)
{
	if (!read_response_headers())
		return headers;
	for (int i = 0; i < lengthof(kept_headers); i++)
	{
		TaskapiHeader *header = find_header(response.headers, kept_headers[i]);

		if (header && find_header(headers, kept_headers[i]) == NULL)
			headers = taskapi_headers_add(headers, header->name, header->value);
	}
	return headers;
}

static TaskapiHeader *
find_header(List *headers, const char *name)
{
	ListCell   *lc;

	foreach(lc, headers)
	{
		TaskapiHeader *header = lfirst(lc);

		if (pg_strcasecmp(header->name, name) == 0)
			return header;
	}
	return NULL;
}

/*
 * Bring response.headers of the struct up to date with the GUC, which somebody
 * else may have set: an array of objects with one field each.  False if it is
 * anything else.
 */
static bool
read_response_headers(void)
{
	const char *text = taskapi_layer_setting("response.headers");
	MemoryContext oldcontext;
	Jsonb	   *array;
	bool		valid;

	if (response.context == NULL)
		response.context = AllocSetContextCreate(TopMemoryContext, "taskapi response",
												 ALLOCSET_SMALL_SIZES);
	if (text != NULL && response.text != NULL && strcmp(response.text, text) == 0)
		return true;

	response.text = NULL;
	response.headers = NIL;
	MemoryContextReset(response.context);
	if (text == NULL)
		return true;

	/* jsonb_in() would quote what it does not understand, and a cookie may be in it */
	array = taskapi_jsonb_parse(text);
	if (array == NULL || !JB_ROOT_IS_ARRAY(array) || JB_ROOT_IS_SCALAR(array))
		return false;
	oldcontext = MemoryContextSwitchTo(response.context);
	valid = parse_response_headers(array);
	MemoryContextSwitchTo(oldcontext);
	if (!valid)
		response.headers = NIL;
	return valid;
}

static bool
parse_response_headers(Jsonb *array)
{
	JsonbIterator *it = JsonbIteratorInit(&array->root);
	JsonbIteratorToken tok;
	JsonbValue	v;
	char	   *name = NULL;

	while ((tok = JsonbIteratorNext(&it, &v, false)) != WJB_DONE)
	{
		if (tok == WJB_KEY)
			name = pnstrdup(v.val.string.val, v.val.string.len);
		else if (tok == WJB_VALUE && v.type == jbvString)
		{
			char	   *value = pnstrdup(v.val.string.val, v.val.string.len);

			if (!taskapi_is_token(name) || !taskapi_is_field_value(value))
				return false;
			response.headers = taskapi_headers_add(response.headers, name, value);
		}
		else if (tok == WJB_VALUE || tok == WJB_ELEM)
			return false;
	}
	return true;
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
