/*-------------------------------------------------------------------------
 *
 * page_link.c
 *	  The response header Link of a page (page_link.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/compat.h"
#include "page/page_link.h"
#include "http/layer.h"
#include "http/response.h"

static void append_link(StringInfo buf, const TaskapiPageArguments *given, const char *token, const char *rel);
static void append_parameter(StringInfo buf, char separator, const char *name, const char *value);
static void append_encoded(StringInfo buf, const char *str, const char *kept);

void
taskapi_page_set_link(const TaskapiPageArguments *given, const char *next_token, const char *previous_token)
{
	StringInfoData buf;

	initStringInfo(&buf);
	if (next_token[0])
		append_link(&buf, given, next_token, "next");
	if (previous_token[0])
		append_link(&buf, given, previous_token, "prev");
	if (buf.len > 0)
		taskapi_set_response_header("Link", buf.data);
}

static void
append_link(StringInfo buf, const TaskapiPageArguments *given, const char *token, const char *rel)
{
	const char *path = taskapi_request_path();
	char		separator = '?';

	if (buf->len > 0)
		appendStringInfoString(buf, ", ");
	appendStringInfoChar(buf, '<');
	/* Without a path the reference is relative to the request's own */
	if (path)
		append_encoded(buf, path, "/%!$&'()*+,;=:@");
	if (given->order_by)
	{
		append_parameter(buf, separator, "order_by", text_to_cstring(given->order_by));
		separator = '&';
	}
	if (given->page_size >= 0)
	{
		append_parameter(buf, separator, "page_size", psprintf("%d", given->page_size));
		separator = '&';
	}
	append_parameter(buf, separator, "page_token", token);
	if (given->filter)
		append_parameter(buf, '&', "filter", JsonbToCString(NULL, &given->filter->root, VARSIZE(given->filter)));
	appendStringInfo(buf, ">; rel=\"%s\"", rel);
}

static void
append_parameter(StringInfo buf, char separator, const char *name, const char *value)
{
	appendStringInfo(buf, "%c%s=", separator, name);
	append_encoded(buf, value, "");
}

/*
 * RFC 3986: unreserved characters and those of "kept" stand for themselves.
 */
static void
append_encoded(StringInfo buf, const char *str, const char *kept)
{
	for (const unsigned char *p = (const unsigned char *) str; *p; p++)
	{
		CHECK_FOR_INTERRUPTS();
		if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
			strchr("-._~", *p) || strchr(kept, *p))
			appendStringInfoChar(buf, *p);
		else
			appendStringInfo(buf, "%%%02X", *p);
	}
}
