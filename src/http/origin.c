/*-------------------------------------------------------------------------
 *
 * origin.c
 *	  Cookies, and requests that another site makes a browser send with them.
 *
 * A browser sends a cookie with whatever request a page makes, so a cookie proves
 * who the user is and not that he meant it.  Two headers that a page cannot
 * forge say where the request came from: Sec-Fetch-Site (Fetch Metadata) and Origin (RFC
 * 6454).  The first is believed where it is there; an old browser sends the
 * second alone, which is then compared with the Host that the request was for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/guc.h"

#include "http/grammar.h"
#include "http/origin.h"
#include "base/compat.h"
#include "http/request.h"

char	   *taskapi_session_cookie_name = NULL;

static char *trusted_origins = NULL;

static bool check_cookie_name(char **newval, void **extra, GucSource source);
static bool is_trusted(const char *origin);

void
taskapi_origin_init(void)
{
	DefineCustomStringVariable("taskapi.session_cookie",
							   "The name of the session cookie.",
							   "Browsers take one that begins with __Host- only from the host itself, over TLS.",
							   &taskapi_session_cookie_name,
							   "__Host-session",
							   PGC_SUSET, 0,
							   check_cookie_name, NULL, NULL);
	DefineCustomStringVariable("taskapi.trusted_origins",
							   "Other origins whose pages may use the session cookie.",
							   "A comma-separated list such as https://app.example.com.",
							   &trusted_origins,
							   "",
							   PGC_SUSET, 0,
							   NULL, NULL, NULL);
}

/* RFC 6265, section 4.1.1: a token; those with a special meaning in a Set-Cookie are no part of one. */
static bool
check_cookie_name(char **newval, void **extra, GucSource source)
{
	if (*newval == NULL || !taskapi_is_token(*newval))
	{
		GUC_check_errdetail("A cookie's name is letters, digits and !#$%%&'*+-.^_`|~.");
		return false;
	}
	return true;
}

TaskapiOrigin
taskapi_request_origin(void)
{
	const char *value = taskapi_request_header("origin");
	char	   *origin = value ? pstrdup(value) : NULL;
	const char *site;
	const char *host;
	const char *authority;

	if (origin != NULL && is_trusted(origin))
		return ORIGIN_SAME;

	site = taskapi_request_header("sec-fetch-site");
	if (site != NULL)
		return strcmp(site, "same-origin") == 0 ? ORIGIN_SAME : ORIGIN_OTHER;

	if (origin == NULL)
		return ORIGIN_UNKNOWN;
	host = taskapi_request_header("host");
	authority = strstr(origin, "://");
	if (host == NULL || authority == NULL)
		return ORIGIN_OTHER;
	return pg_strcasecmp(authority + 3, host) == 0 ? ORIGIN_SAME : ORIGIN_OTHER;
}

/* Is it in taskapi.trusted_origins? */
static bool
is_trusted(const char *origin)
{
	const char *p = trusted_origins;
	size_t		len = strlen(origin);

	if (len == 0)
		return false;
	while (p != NULL && *p != '\0')
	{
		size_t		n;

		p += strspn(p, " ,");
		n = strcspn(p, " ,");
		if (n == len && pg_strncasecmp(p, origin, n) == 0)
			return true;
		p += n;
	}
	return false;
}

char *
taskapi_session_cookie(const char *token, int seconds)
{
	return psprintf("%s=%s; Path=/; Max-Age=%d; HttpOnly; Secure; SameSite=Lax",
					taskapi_session_cookie_name, token, seconds);
}

/*
 * session_cookie(token text, seconds int) -> text
 *
 * The value of Set-Cookie.
 */
PG_FUNCTION_INFO_V1(taskapi_session_cookie_sql);
Datum
taskapi_session_cookie_sql(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(taskapi_session_cookie(text_to_cstring(PG_GETARG_TEXT_PP(0)),
															PG_GETARG_INT32(1))));
}

/*
 * same_origin() -> boolean
 *
 * NULL where the request does not say.
 */
PG_FUNCTION_INFO_V1(taskapi_same_origin);
Datum
taskapi_same_origin(PG_FUNCTION_ARGS)
{
	TaskapiOrigin origin = taskapi_request_origin();

	if (origin == ORIGIN_UNKNOWN)
		PG_RETURN_NULL();
	PG_RETURN_BOOL(origin == ORIGIN_SAME);
}
