/*-------------------------------------------------------------------------
 *
 * request.c
 *	  Headers, cookies and claims of the request, and headers and status of
 *	  the answer.
 *
 * A layer sets the GUCs with set_config(..., true), so they change with every
 * transaction and may change within one.  There is no hook on a placeholder
 * GUC; what is kept of one is therefore kept beside the text it was made from,
 * and the texts are compared on every call.  That is cheaper by far than to parse again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "base/json_fields.h"
#include "http/problem.h"
#include "http/request.h"

/*
 * One JSON object in a GUC.  "text" is what "fields" were read from, both in
 * "context"; a text that is no JSON object is not kept, so that each look at it
 * raises again.
 */
typedef struct RequestObject
{
	const char *guc;
	MemoryContext context;
	char	   *text;
	TaskapiJsonField *fields;
	int			nfields;
} RequestObject;

static RequestObject headers = {.guc = "request.headers"};
static RequestObject cookies = {.guc = "request.cookies"};
static RequestObject claims = {.guc = "request.jwt.claims"};

/* Derived from claims, and dropped with them */
static struct
{
	Jsonb	   *jsonb;			/* NULL = not made yet */
	bool		has_subject_id; /* is subject_id made? */
	pg_uuid_t	subject_id;
} derived;

/* The response headers as of the text in response.headers */
static struct
{
	MemoryContext context;
	char	   *text;
	List	   *headers;		/* of TaskapiHeader */
} response;

static bool request_object(RequestObject *object);
static const TaskapiJsonField *find_field(RequestObject *object, const char *name, bool any_case);
static const char *combined_value(RequestObject *object, const char *name);
static bool parse_uuid(const char *text, pg_uuid_t *id);
static void read_response_headers(void);
static void write_response_headers(void);
static bool is_token(const char *name);
static bool is_field_value(const char *value);

/*
 * Bring an object up to date with its GUC.  False where there is none.
 */
static bool
request_object(RequestObject *object)
{
	const char *text = taskapi_layer_setting(object->guc);
	MemoryContext oldcontext;
	TaskapiJsonField *fields;
	int			nfields;
	char	   *copy;

	if (text == NULL)
		return false;
	if (object->text != NULL && strcmp(object->text, text) == 0)
		return true;

	if (object->context == NULL)
		object->context = AllocSetContextCreate(TopMemoryContext, "taskapi request",
												ALLOCSET_SMALL_SIZES);
	object->text = NULL;
	if (object == &claims)
		memset(&derived, 0, sizeof(derived));
	MemoryContextReset(object->context);

	oldcontext = MemoryContextSwitchTo(object->context);
	copy = pstrdup(text);
	if (!taskapi_json_fields(copy, strlen(copy), &fields, &nfields))
	{
		MemoryContextSwitchTo(oldcontext);
		taskapi_problem(object == &claims ? PROBLEM_UNAUTHENTICATED : PROBLEM_INVALID_VALUE, NIL, NULL,
						"%s is not a JSON object.", object->guc);
	}
	MemoryContextSwitchTo(oldcontext);

	object->fields = fields;
	object->nfields = nfields;
	object->text = copy;
	return true;
}

/* The last field of that name, as in jsonb. */
static const TaskapiJsonField *
find_field(RequestObject *object, const char *name, bool any_case)
{
	for (int i = object->nfields - 1; i >= 0; i--)
	{
		if (any_case
			? pg_strcasecmp(object->fields[i].name, name) == 0
			: strcmp(object->fields[i].name, name) == 0)
			return &object->fields[i];
	}
	return NULL;
}

/*
 * Several fields of one name are one list (RFC 9110, section 5.3), so that a
 * header sent twice is never taken for a header sent once.
 */
static const char *
combined_value(RequestObject *object, const char *name)
{
	const char *value = NULL;

	for (int i = 0; i < object->nfields; i++)
	{
		TaskapiJsonField *field = &object->fields[i];

		if (field->value == NULL || field->type == JSON_TOKEN_NULL ||
			pg_strcasecmp(field->name, name) != 0)
			continue;
		value = value ? psprintf("%s, %s", value, field->value) : field->value;
	}
	return value;
}

const char *
taskapi_request_header(const char *name)
{
	return request_object(&headers) ? combined_value(&headers, name) : NULL;
}

const char *
taskapi_request_cookie(const char *name)
{
	const TaskapiJsonField *field;

	/* A cookie's name, unlike a header's, has its case (RFC 6265) */
	if (!request_object(&cookies))
		return NULL;
	field = find_field(&cookies, name, false);
	return (field && field->type != JSON_TOKEN_NULL) ? field->value : NULL;
}

Jsonb *
taskapi_jwt_claims(void)
{
	if (!request_object(&claims))
		return NULL;

	if (derived.jsonb == NULL)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(claims.context);
		Jsonb	   *jsonb = taskapi_jsonb_parse(claims.text);

		MemoryContextSwitchTo(oldcontext);
		if (jsonb == NULL)
			taskapi_problem(PROBLEM_UNAUTHENTICATED, NIL, NULL, "The claims are not valid JSON.");
		derived.jsonb = jsonb;
	}
	return derived.jsonb;
}

/*
 * No subtransaction is needed to go on after this error: the input function
 * only computes.  Memory that it took stays until the context is reset.
 */
Jsonb *
taskapi_jsonb_parse(const char *text)
{
	MemoryContext oldcontext = CurrentMemoryContext;
	Jsonb	   *volatile jsonb = NULL;

	PG_TRY();
	{
		jsonb = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
	}
	PG_CATCH();
	{
		int			sqlerrcode = geterrcode();

		MemoryContextSwitchTo(oldcontext);
		if (ERRCODE_TO_CATEGORY(sqlerrcode) != ERRCODE_DATA_EXCEPTION)
			PG_RE_THROW();
		FlushErrorState();
	}
	PG_END_TRY();

	return jsonb;
}

const char *
taskapi_current_subject(void)
{
	const TaskapiJsonField *sub;

	if (!request_object(&claims))
		return NULL;
	sub = find_field(&claims, "sub", false);
	if (sub == NULL || sub->type == JSON_TOKEN_NULL)
		return NULL;
	if (sub->type != JSON_TOKEN_STRING || sub->value[0] == '\0')
		taskapi_problem(PROBLEM_UNAUTHENTICATED, NIL, NULL,
						"Claim \"sub\" must be a string that is not empty.");
	return sub->value;
}

bool
taskapi_current_subject_id(pg_uuid_t *id)
{
	const char *subject = taskapi_current_subject();

	if (subject == NULL)
		return false;
	if (!derived.has_subject_id)
	{
		if (!parse_uuid(subject, &derived.subject_id))
			taskapi_problem(PROBLEM_UNAUTHENTICATED, NIL, NULL, "Claim \"sub\" is not a uuid.");
		derived.has_subject_id = true;
	}
	*id = derived.subject_id;
	return true;
}

/* The standard form alone, 8-4-4-4-12 hexadecimal digits. */
static bool
parse_uuid(const char *text, pg_uuid_t *id)
{
	int			nibbles = 0;

	if (strlen(text) != 36)
		return false;
	for (int i = 0; i < 36; i++)
	{
		char		c = text[i];
		int			digit;

		if (i == 8 || i == 13 || i == 18 || i == 23)
		{
			if (c != '-')
				return false;
			continue;
		}
		if (c >= '0' && c <= '9')
			digit = c - '0';
		else if (c >= 'a' && c <= 'f')
			digit = c - 'a' + 10;
		else if (c >= 'A' && c <= 'F')
			digit = c - 'A' + 10;
		else
			return false;
		if (nibbles % 2 == 0)
			id->data[nibbles / 2] = digit << 4;
		else
			id->data[nibbles / 2] |= digit;
		nibbles++;
	}
	return true;
}

void
taskapi_set_response_header(const char *name, const char *value)
{
	MemoryContext oldcontext;
	ListCell   *lc;
	TaskapiHeader *header = NULL;

	if (!is_token(name))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid header name: \"%s\"", name)));
	if (value != NULL && !is_field_value(value))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value of header \"%s\"", name),
				 errdetail("A header value has no control characters.")));

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
	if (value == NULL)
		response.headers = list_delete_ptr(response.headers, header);
	else if (header)
		header->value = pstrdup(value);
	else
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
	response.text = NULL;
	taskapi_set_local("response.headers", buf.data);
	response.text = MemoryContextStrdup(response.context, buf.data);
}

/* RFC 9110, section 5.6.2 */
static bool
is_token(const char *name)
{
	if (name[0] == '\0')
		return false;
	for (const char *p = name; *p; p++)
	{
		if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
			  strchr("!#$%&'*+-.^_`|~", *p) != NULL))
			return false;
	}
	return true;
}

/* No control characters but the tab: a line break would start a header of the caller's choice. */
static bool
is_field_value(const char *value)
{
	for (const char *p = value; *p; p++)
	{
		if (((unsigned char) *p < 0x20 && *p != '\t') || *p == 0x7f)
			return false;
	}
	return true;
}

/*
 * request_header(name text) -> text, request_cookie(name text) -> text
 */
PG_FUNCTION_INFO_V1(taskapi_request_header_sql);
Datum
taskapi_request_header_sql(PG_FUNCTION_ARGS)
{
	const char *value = taskapi_request_header(text_to_cstring(PG_GETARG_TEXT_PP(0)));

	if (value == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(value));
}

PG_FUNCTION_INFO_V1(taskapi_request_cookie_sql);
Datum
taskapi_request_cookie_sql(PG_FUNCTION_ARGS)
{
	const char *value = taskapi_request_cookie(text_to_cstring(PG_GETARG_TEXT_PP(0)));

	if (value == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(value));
}

/*
 * jwt_claims() -> jsonb, current_subject() -> text, current_subject_id() -> uuid
 *
 * NULL where there are none.  Claims that are no JSON object, and a sub that is
 * not what it should be, are unauthenticated.
 */
PG_FUNCTION_INFO_V1(taskapi_jwt_claims_sql);
Datum
taskapi_jwt_claims_sql(PG_FUNCTION_ARGS)
{
	Jsonb	   *jsonb = taskapi_jwt_claims();
	Jsonb	   *copy;

	if (jsonb == NULL)
		PG_RETURN_NULL();
	/* The caller may keep it for longer than the GUC keeps its value */
	copy = palloc(VARSIZE(jsonb));
	memcpy(copy, jsonb, VARSIZE(jsonb));
	PG_RETURN_JSONB_P(copy);
}

PG_FUNCTION_INFO_V1(taskapi_current_subject_sql);
Datum
taskapi_current_subject_sql(PG_FUNCTION_ARGS)
{
	const char *subject = taskapi_current_subject();

	if (subject == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(subject));
}

PG_FUNCTION_INFO_V1(taskapi_current_subject_id_sql);
Datum
taskapi_current_subject_id_sql(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));

	if (!taskapi_current_subject_id(id))
		PG_RETURN_NULL();
	PG_RETURN_UUID_P(id);
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
