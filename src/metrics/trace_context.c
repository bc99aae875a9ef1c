/*-------------------------------------------------------------------------
 *
 * trace_context.c
 *	  What a request is called in traces and logs (trace_context.h).
 *
 * https://www.w3.org/TR/trace-context/#traceparent-header
 *
 *	  00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
 *	  version, trace-id, parent-id, trace-flags
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/guc.h"

#include "base/compat.h"
#include "http/layer.h"
#include "http/request.h"
#include "metrics/trace_context.h"

typedef enum TraceContext
{
	TRACE_CONTEXT_OFF,
	TRACE_CONTEXT_APPLICATION_NAME,
	TRACE_CONTEXT_PG_TRACING
} TraceContext;

static const struct config_enum_entry trace_context_options[] = {
	{"off", TRACE_CONTEXT_OFF, false},
	{"application_name", TRACE_CONTEXT_APPLICATION_NAME, false},
	{"pg_tracing", TRACE_CONTEXT_PG_TRACING, false},
	{NULL, 0, false}
};

static int	trace_context = TRACE_CONTEXT_OFF;

static bool is_hex(const char *text, int len);
static bool is_zero(const char *text, int len);
static bool request_id_parse(const char *text, char *id);

void
taskapi_trace_init(void)
{
	DefineCustomEnumVariable("taskapi.trace_context",
							 "Sets where the header traceparent of a request is shown.",
							 "off, application_name (else X-Request-Id) or pg_tracing.",
							 &trace_context,
							 TRACE_CONTEXT_OFF, trace_context_options,
							 PGC_SUSET, 0,
							 NULL, NULL, NULL);
}

void
taskapi_trace_begin(TaskapiTrace *trace, bool wanted)
{
	static const char *const names[] = {"traceparent", "x-request-id"};
	char	   *headers[lengthof(names)];

	trace->parent[0] = '\0';
	trace->request_id[0] = '\0';
	if (trace_context == TRACE_CONTEXT_OFF && !wanted)
		return;

	taskapi_request_headers(names, headers, lengthof(names));
	if (headers[0] != NULL)
		(void) taskapi_traceparent_parse(headers[0], trace->parent);
	if (headers[1] != NULL)
		(void) request_id_parse(headers[1], trace->request_id);

	if (trace_context == TRACE_CONTEXT_APPLICATION_NAME && (trace->parent[0] != '\0' || trace->request_id[0] != '\0'))
		taskapi_set_local("application_name", trace->parent[0] != '\0' ? trace->parent : trace->request_id);
	else if (trace_context == TRACE_CONTEXT_PG_TRACING && trace->parent[0] != '\0')
	{
		char		context[TASKAPI_TRACEPARENT_LEN + 20];

		snprintf(context, sizeof(context), "traceparent='%s'", trace->parent);
		taskapi_set_local("pg_tracing.trace_context", context);
	}
}

bool
taskapi_traceparent_parse(const char *text, char parent[TASKAPI_TRACEPARENT_LEN + 1])
{
	if (strlen(text) < TASKAPI_TRACEPARENT_LEN ||
		text[2] != '-' || text[35] != '-' || text[52] != '-' ||
		!is_hex(text, 2) || !is_hex(text + 3, TASKAPI_TRACE_ID_LEN) || !is_hex(text + 36, 16) || !is_hex(text + 53, 2) ||
		is_zero(text + 3, TASKAPI_TRACE_ID_LEN) || is_zero(text + 36, 16) || strncmp(text, "ff", 2) == 0)
		return false;
	if (text[TASKAPI_TRACEPARENT_LEN] != '\0' && (strncmp(text, "00", 2) == 0 || text[TASKAPI_TRACEPARENT_LEN] != '-'))
		return false;
	strlcpy(parent, text, TASKAPI_TRACEPARENT_LEN + 1);
	return true;
}

static bool
is_hex(const char *text, int len)
{
	for (int i = 0; i < len; i++)
	{
		if (!(text[i] >= '0' && text[i] <= '9') && !(text[i] >= 'a' && text[i] <= 'f'))
			return false;
	}
	return true;
}

static bool
is_zero(const char *text, int len)
{
	return strspn(text, "0") >= len;
}

/*
 * Letters, digits and what stands in uuids and the like.
 */
static bool
request_id_parse(const char *text, char *id)
{
	int			len = strlen(text);

	if (len < 1 || len > TASKAPI_REQUEST_ID_LEN)
		return false;
	for (int i = 0; i < len; i++)
	{
		char		c = text[i];

		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && strchr("-_.:", c) == NULL)
			return false;
	}
	strlcpy(id, text, TASKAPI_REQUEST_ID_LEN + 1);
	return true;
}
