/*-------------------------------------------------------------------------
 *
 * origin.c
 *	  Cookies, and requests that another site makes a browser send with them.
 *
 * A browser sends a cookie with whatever request a page makes, so a cookie proves
 * who the user is and not that he meant it.  Two headers that a page cannot
 * forge say where the request came from: Sec-Fetch-Site (Fetch Metadata) and Origin (RFC
 * 6454).  The first is believed if it is there; an old browser sends only the
 * second, which is then compared with where the request went.
 *
 * That is the scheme and the Host.  No header tells the scheme, but the cookie
 * does: it is Secure, so the browser sent it over TLS, or to its own machine,
 * which it trusts without.  So our origin is https://HOST, and on the loopback
 * http://HOST too.  A page of http://HOST can be written by anybody on the way.
 *
 * SQL: sql/install/51_pre_request.sql
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
static bool is_ours(const char *origin, const char *host);
static bool is_loopback(const char *host);
static bool same_origin(const char *a, size_t a_len, const char *b, size_t b_len);
static size_t without_default_port(const char *origin, size_t len);

void
taskapi_origin_init(void)
{
	DefineCustomStringVariable("taskapi.session_cookie",
							   "Sets the name of the session cookie.",
							   "Browsers take one that begins with __Host- only from the host itself, over TLS.",
							   &taskapi_session_cookie_name,
							   "__Host-session",
							   PGC_SUSET, 0,
							   check_cookie_name, NULL, NULL);
	DefineCustomStringVariable("taskapi.trusted_origins",
							   "Sets the other origins whose pages may use the session cookie.",
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
	const char *origin = taskapi_request_header("origin");
	const char *site;
	const char *host;

	if (origin != NULL && is_trusted(origin))
		return ORIGIN_SAME;

	site = taskapi_request_header("sec-fetch-site");
	if (site != NULL)
		return strcmp(site, "same-origin") == 0 ? ORIGIN_SAME : ORIGIN_OTHER;

	if (origin == NULL)
		return ORIGIN_UNKNOWN;
	host = taskapi_request_header("host");
	return host != NULL && is_ours(origin, host) ? ORIGIN_SAME : ORIGIN_OTHER;
}

static bool
is_ours(const char *origin, const char *host)
{
	char	   *ours;

	if (host[0] == '\0')
		return false;
	ours = psprintf("https://%s", host);
	if (same_origin(origin, strlen(origin), ours, strlen(ours)))
		return true;
	ours = psprintf("http://%s", host);
	return is_loopback(host) && same_origin(origin, strlen(origin), ours, strlen(ours));
}

/* With a port or without */
static bool
is_loopback(const char *host)
{
	static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};

	for (int i = 0; i < lengthof(names); i++)
	{
		size_t		len = strlen(names[i]);

		if (pg_strncasecmp(host, names[i], len) == 0 && (host[len] == '\0' || host[len] == ':'))
			return true;
	}
	return false;
}

/* Scheme, host and port (RFC 6454, section 5). */
static bool
same_origin(const char *a, size_t a_len, const char *b, size_t b_len)
{
	a_len = without_default_port(a, a_len);
	b_len = without_default_port(b, b_len);
	return a_len == b_len && pg_strncasecmp(a, b, a_len) == 0;
}

static size_t
without_default_port(const char *origin, size_t len)
{
	static const struct
	{
		const char *scheme;
		const char *port;
	}			defaults[] = {{"https://", ":443"}, {"http://", ":80"}};

	for (int i = 0; i < lengthof(defaults); i++)
	{
		size_t		scheme_len = strlen(defaults[i].scheme);
		size_t		port_len = strlen(defaults[i].port);

		if (len > scheme_len + port_len && pg_strncasecmp(origin, defaults[i].scheme, scheme_len) == 0 &&
			memcmp(origin + len - port_len, defaults[i].port, port_len) == 0)
			return len - port_len;
	}
	return len;
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
		if (n > 0 && same_origin(p, n, origin, len))
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
