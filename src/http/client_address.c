/*-------------------------------------------------------------------------
 *
 * client_address.c
 *	  The caller's address, as far as it can be believed.
 *
 * Each proxy appends the address that it was called from to X-Forwarded-For, so
 * only the entries from the right are ours: as many as there are trusted
 * proxies.  Everything further left was written by the caller and is never
 * looked at.  An IPv6 subscriber has at least a /64 to himself, so that is what
 * counts as one address.  ::ffff:a.b.c.d is a.b.c.d, and so is 64:ff9b::a.b.c.d,
 * where all clients behind the translators of the world (RFC 6052) share a /64.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inet.h"

#include "http/client_address.h"
#include "base/compat.h"
#include "http/request.h"

#define MAX_HOPS 32

int			taskapi_trusted_proxy_hops = 0;

static char *nth_from_right(const char *list, int n);
static char *normalize_address(const char *entry);

void
taskapi_client_address_init(void)
{
	DefineCustomIntVariable("taskapi.trusted_proxy_hops",
							"Sets how many proxies in front append to X-Forwarded-For.",
							"0 means no proxy; callers then have no address.",
							&taskapi_trusted_proxy_hops,
							0, 0, MAX_HOPS,
							PGC_SUSET, 0,
							NULL, NULL, NULL);
}

char *
taskapi_client_address(void)
{
	const char *forwarded;
	char	   *entry;

	if (taskapi_trusted_proxy_hops == 0)
		return NULL;
	/* several headers of that name come joined, in their order */
	forwarded = taskapi_request_header("x-forwarded-for");
	if (forwarded == NULL)
		return NULL;
	entry = nth_from_right(forwarded, taskapi_trusted_proxy_hops);
	return entry ? normalize_address(entry) : NULL;
}

/* An entry of a comma-separated list without white space around it; NULL where the list is shorter. */
static char *
nth_from_right(const char *list, int n)
{
	const char *end = list + strlen(list);
	const char *start;

	for (;;)
	{
		start = end;
		while (start > list && start[-1] != ',')
			start--;
		if (--n == 0)
			break;
		if (start == list)
			return NULL;
		end = start - 1;
	}
	while (start < end && (*start == ' ' || *start == '\t'))
		start++;
	while (end > start && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	return pnstrdup(start, end - start);
}

/*
 * "a.b.c.d", "a.b.c.d:port", IPv6, "[IPv6]", "[IPv6]:port": some proxies append
 * the port too.  NULL for anything else.
 */
static char *
normalize_address(const char *entry)
{
	/* the well-known prefix of NAT64, 64:ff9b::/96 */
	static const uint8 nat64[12] = {0x00, 0x64, 0xff, 0x9b};
	char	   *text = pstrdup(entry);
	char	   *colon;
	struct in6_addr v6;
	struct in_addr v4;
	char		buf[INET6_ADDRSTRLEN];

	if (text[0] == '[')
	{
		char	   *bracket = strchr(text, ']');

		if (bracket == NULL || (bracket[1] != '\0' && bracket[1] != ':') ||
			(bracket[1] == ':' && strspn(bracket + 2, "0123456789") != strlen(bracket + 2)))
			return NULL;
		*bracket = '\0';
		text++;
		/* brackets hold IPv6 alone */
		if (strchr(text, ':') == NULL)
			return NULL;
	}
	else
	{
		colon = strchr(text, ':');
		if (colon != NULL && strchr(colon + 1, ':') == NULL)
		{
			if (colon[1] == '\0' || strspn(colon + 1, "0123456789") != strlen(colon + 1))
				return NULL;
			*colon = '\0';
		}
	}

	if (inet_pton(AF_INET, text, &v4) == 1)
		return pstrdup(inet_ntop(AF_INET, &v4, buf, sizeof(buf)));
	if (inet_pton(AF_INET6, text, &v6) != 1)
		return NULL;
	if (IN6_IS_ADDR_V4MAPPED(&v6) || memcmp(&v6, nat64, sizeof(nat64)) == 0)
	{
		memcpy(&v4, &v6.s6_addr[12], sizeof(v4));
		return pstrdup(inet_ntop(AF_INET, &v4, buf, sizeof(buf)));
	}
	memset(&v6.s6_addr[8], 0, 8);
	return psprintf("%s/64", inet_ntop(AF_INET6, &v6, buf, sizeof(buf)));
}

/*
 * client_address() -> inet
 */
PG_FUNCTION_INFO_V1(taskapi_client_address_sql);
Datum
taskapi_client_address_sql(PG_FUNCTION_ARGS)
{
	char	   *address = taskapi_client_address();

	if (address == NULL)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(DirectFunctionCall1(inet_in, CStringGetDatum(address)));
}
