/*-------------------------------------------------------------------------
 *
 * page_link.c
 *	  The response header Link of a page (page_link.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "page/page_link.h"
#include "http/layer.h"
#include "http/response.h"

#define MAX_LINK 2048

static bool is_requested(Oid resource);
static bool path_ends_with(const char *name);
static bool is_the_one(const char *name, Oid schema);
static void append_link(StringInfo buf, const TaskapiPageArguments *given, const char *token, const char *rel);
static void append_parameter(StringInfo buf, const char *name, const char *value);
static void append_encoded(StringInfo buf, const char *str);

void
taskapi_page_set_link(Oid resource, const TaskapiPageArguments *given, const char *next_token, const char *previous_token)
{
	StringInfoData buf;

	if ((next_token[0] == '\0' && previous_token[0] == '\0') || !is_requested(resource))
		return;
	initStringInfo(&buf);
	append_link(&buf, given, next_token, "next");
	append_link(&buf, given, previous_token, "prev");
	if (buf.len > 0)
		taskapi_set_response_header("Link", buf.data);
}

/*
 * Did the request call the page function of the resource?
 */
static bool
is_requested(Oid resource)
{
	char	   *relname = get_rel_name(resource);
	char	   *name = relname ? psprintf("%s_page", relname) : NULL;

	return name != NULL && strlen(name) < NAMEDATALEN && path_ends_with(name) &&
		is_the_one(name, get_rel_namespace(resource));
}

/*
 * Is the name the last segment of the request's path?  There it may be percent-encoded.
 */
static bool
path_ends_with(const char *name)
{
	const char *path = taskapi_request_path();
	const char *segment = path ? strrchr(path, '/') : NULL;

	if (segment == NULL)
		return false;
	for (segment++; *segment != '\0' && *name != '\0'; segment++, name++)
	{
		unsigned char c = *segment;

		if (c == '%' && isxdigit((unsigned char) segment[1]) && isxdigit((unsigned char) segment[2]))
		{
			c = (unsigned char) strtol(((char[]) {segment[1], segment[2], '\0'}), NULL, 16);
			segment += 2;
		}
		if (c != (unsigned char) *name)
			return false;
	}
	return *segment == '\0' && *name == '\0';
}

/*
 * Is there one function of that name in the schema, and none in a schema that a layer has put before it?
 */
static bool
is_the_one(const char *name, Oid schema)
{
	CatCList   *functions = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(name));
	List	   *path = fetch_search_path(false);
	int			place = list_length(path);
	int			found = 0;
	bool		hidden = false;

	for (int i = 0; i < list_length(path) && place == list_length(path); i++)
	{
		if (list_nth_oid(path, i) == schema)
			place = i;
	}
	for (int i = 0; i < functions->n_members; i++)
	{
		Oid			namespace = ((Form_pg_proc) GETSTRUCT(&functions->members[i]->tuple))->pronamespace;

		found += (namespace == schema);
		for (int j = 0; j < place && !hidden; j++)
			hidden = (list_nth_oid(path, j) == namespace);
	}
	ReleaseCatCacheList(functions);
	return found == 1 && !hidden;
}

static void
append_link(StringInfo buf, const TaskapiPageArguments *given, const char *token, const char *rel)
{
	int			start = buf->len;

	if (token[0] == '\0')
		return;
	appendStringInfoString(buf, start > 0 ? ", <?" : "<?");
	if (given->order_by)
		append_parameter(buf, "order_by", text_to_cstring(given->order_by));
	if (given->page_size >= 0)
		append_parameter(buf, "page_size", psprintf("%d", given->page_size));
	append_parameter(buf, "page_token", token);
	if (given->filter)
		append_parameter(buf, "filter", JsonbToCString(NULL, &given->filter->root, VARSIZE(given->filter)));
	if (given->count)
		append_parameter(buf, "count", text_to_cstring(given->count));
	if (given->columns)
		append_parameter(buf, "fields", OidOutputFunctionCall(F_ARRAY_OUT, PointerGetDatum(given->columns)));
	if (given->show_deleted)
		append_parameter(buf, "show_deleted", "true");
	appendStringInfo(buf, ">; rel=\"%s\"", rel);
	if (buf->len > MAX_LINK)
	{
		buf->len = start;
		buf->data[start] = '\0';
	}
}

static void
append_parameter(StringInfo buf, const char *name, const char *value)
{
	appendStringInfo(buf, "%s%s=", buf->data[buf->len - 1] == '?' ? "" : "&", name);
	append_encoded(buf, value);
}

/*
 * RFC 3986: unreserved characters stand for themselves.
 */
static void
append_encoded(StringInfo buf, const char *str)
{
	for (const unsigned char *p = (const unsigned char *) str; *p; p++)
	{
		CHECK_FOR_INTERRUPTS();
		if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || strchr("-._~", *p))
			appendStringInfoChar(buf, *p);
		else
			appendStringInfo(buf, "%%%02X", *p);
	}
}
