/*-------------------------------------------------------------------------
 *
 * request.c
 *	  Headers and cookies of the request (request.h).
 *
 * SQL: sql/install/10_request.sql
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "base/compat.h"
#include "http/json_setting.h"
#include "http/request.h"

static TaskapiJsonSetting headers = {
	.name = "request.headers", .lenient = true, .problem = PROBLEM_INVALID_VALUE
};
static TaskapiJsonSetting cookies = {
	.name = "request.cookies", .lenient = true, .problem = PROBLEM_INVALID_VALUE
};

char *
taskapi_request_header(const char *name)
{
	char	   *value;

	taskapi_request_headers(&name, &value, 1);
	return value;
}

void
taskapi_request_headers(const char *const *names, char **values, int n)
{
	memset(values, 0, n * sizeof(char *));
	if (!taskapi_json_setting(&headers))
		return;
	for (int i = 0; i < headers.nfields; i++)
	{
		const TaskapiJsonField *field = &headers.fields[i];

		if (field->value == NULL || field->type == JSON_TOKEN_NULL)
			continue;
		for (int j = 0; j < n; j++)
		{
			if (pg_strcasecmp(field->name, names[j]) == 0)
				values[j] = values[j] ? psprintf("%s, %s", values[j], field->value) : pstrdup(field->value);
		}
	}
}

char *
taskapi_request_cookie(const char *name)
{
	const TaskapiJsonField *field;

	if (!taskapi_json_setting(&cookies))
		return NULL;
	field = taskapi_json_setting_field(&cookies, name);
	return field && field->value ? pstrdup(field->value) : NULL;
}

/*
 * request_header(name text) -> text, request_cookie(name text) -> text
 */
PG_FUNCTION_INFO_V1(taskapi_request_header_sql);
Datum
taskapi_request_header_sql(PG_FUNCTION_ARGS)
{
	char	   *value = taskapi_request_header(text_to_cstring(PG_GETARG_TEXT_PP(0)));

	if (value == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(value));
}

PG_FUNCTION_INFO_V1(taskapi_request_cookie_sql);
Datum
taskapi_request_cookie_sql(PG_FUNCTION_ARGS)
{
	char	   *value = taskapi_request_cookie(text_to_cstring(PG_GETARG_TEXT_PP(0)));

	if (value == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(value));
}
