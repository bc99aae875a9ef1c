/*-------------------------------------------------------------------------
 *
 * ratelimit_headers.c
 *	  RateLimit-Policy, RateLimit and Retry-After (ratelimit_headers.h).
 *
 * As draft-ietf-httpapi-ratelimit-headers-10 has them.  The quota q of a policy
 * is its burst, and its window w the time in which a whole burst comes back, so
 * that q / w is the sustained rate, and the remaining r never exceeds q.  The t
 * of a policy is when its whole quota is back, or when to retry if it denied, so
 * that Retry-After is never earlier.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "base/compat.h"
#include "http/grammar.h"
#include "ratelimit/ratelimit_headers.h"

static int64 ceil_seconds(double seconds);
static void add_earlier(StringInfo buf, const char *earlier);
static const char *member_end(const char *member, const char **name_end);
static bool has_member(const char *list, const char *name, int len);
static const char *skip_separators(const char *list);

void
taskapi_rate_limit_headers_init(TaskapiRateLimitHeaders *headers)
{
	initStringInfo(&headers->policy);
	initStringInfo(&headers->state);
	headers->retry_after = -1;
}

/* Whole seconds, rounded up, within what a Structured Field integer holds */
static int64
ceil_seconds(double seconds)
{
	if (!(seconds > 0))
		return 0;
	return (int64) Min(ceil(seconds), 999999999999999.0);
}

void
taskapi_rate_limit_headers_append(TaskapiRateLimitHeaders *headers, const TaskapiRateLimitState *state)
{
	const char *separator = headers->policy.len > 0 ? ", " : "";
	bool		wait = !state->allowed && state->can_fit;

	appendStringInfoString(&headers->policy, separator);
	taskapi_sf_append_string(&headers->policy, state->name);
	appendStringInfo(&headers->policy, ";q=" INT64_FORMAT, state->quota);
	if (state->window >= 0)
		appendStringInfo(&headers->policy, ";w=" INT64_FORMAT, ceil_seconds(state->window));

	appendStringInfoString(&headers->state, separator);
	taskapi_sf_append_string(&headers->state, state->name);
	appendStringInfo(&headers->state, ";r=" INT64_FORMAT ";t=" INT64_FORMAT, Max(state->remaining, 0),
					 ceil_seconds(wait ? state->retry_after : state->reset_after));

	if (wait)
		headers->retry_after = Max(headers->retry_after, ceil_seconds(state->retry_after));
}

void
taskapi_rate_limit_headers_merge(TaskapiRateLimitHeaders *headers, const char *policy, const char *state)
{
	if (policy == NULL || state == NULL)
		return;
	add_earlier(&headers->policy, policy);
	add_earlier(&headers->state, state);
}

/*
 * Put the members of an earlier list, but those that the list has too, in front of it.
 */
static void
add_earlier(StringInfo buf, const char *earlier)
{
	StringInfoData merged;

	initStringInfo(&merged);
	for (earlier = skip_separators(earlier); *earlier != '\0';)
	{
		const char *name_end;
		const char *end = member_end(earlier, &name_end);

		if (!has_member(buf->data, earlier, name_end - earlier))
			appendStringInfo(&merged, "%s%.*s", merged.len > 0 ? ", " : "", (int) (end - earlier), earlier);
		earlier = skip_separators(end);
	}
	if (buf->len > 0)
		appendStringInfo(&merged, "%s%s", merged.len > 0 ? ", " : "", buf->data);
	*buf = merged;
}

/*
 * The end of the member of a list that begins here, and that of its name: commas and semicolons within quotes count
 * for nothing.
 */
static const char *
member_end(const char *member, const char **name_end)
{
	bool		quoted = false;
	const char *p = member;

	*name_end = NULL;
	for (; *p != '\0' && (quoted || *p != ','); p++)
	{
		if (quoted && *p == '\\' && p[1] != '\0')
			p++;
		else if (*p == '"')
			quoted = !quoted;
		else if (!quoted && *p == ';' && *name_end == NULL)
			*name_end = p;
	}
	while (p > member && (p[-1] == ' ' || p[-1] == '\t'))
		p--;
	if (*name_end == NULL || *name_end > p)
		*name_end = p;
	return p;
}

static bool
has_member(const char *list, const char *name, int len)
{
	for (list = skip_separators(list); *list != '\0';)
	{
		const char *name_end;
		const char *end = member_end(list, &name_end);

		if (name_end - list == len && memcmp(list, name, len) == 0)
			return true;
		list = skip_separators(end);
	}
	return false;
}

static const char *
skip_separators(const char *list)
{
	return list + strspn(list, ", \t");
}

Jsonb *
taskapi_rate_limit_headers_jsonb(const TaskapiRateLimitHeaders *headers)
{
	TaskapiJsonbState state = {0};
	const char *names[3] = {"RateLimit-Policy", "RateLimit", "Retry-After"};
	const char *values[3] = {headers->policy.data, headers->state.data, NULL};

	if (headers->retry_after >= 0)
		values[2] = psprintf(INT64_FORMAT, headers->retry_after);

	taskapi_push_jsonb(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < lengthof(names) && headers->policy.len > 0; i++)
	{
		JsonbValue	v;

		if (values[i] == NULL)
			continue;
		v.type = jbvString;
		v.val.string.val = unconstify(char *, names[i]);
		v.val.string.len = strlen(names[i]);
		taskapi_push_jsonb(&state, WJB_KEY, &v);
		v.val.string.val = unconstify(char *, values[i]);
		v.val.string.len = strlen(values[i]);
		taskapi_push_jsonb(&state, WJB_VALUE, &v);
	}
	taskapi_push_jsonb(&state, WJB_END_OBJECT, NULL);
	return JsonbValueToJsonb(state.result);
}
