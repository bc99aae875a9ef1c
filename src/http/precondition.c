/*-------------------------------------------------------------------------
 *
 * precondition.c
 *	  If-Match, If-None-Match and ETag (RFC 9110, sections 8.8.3 and 13.1).
 *
 * The list of tags is read by the grammar: commas and white space between
 * tags, each tag an optional W/ and anything but a double quote within double
 * quotes.  A comma inside the quotes belongs to the tag.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "http/precondition.h"
#include "http/problem.h"
#include "http/response.h"

bool		taskapi_require_if_match = false;

static const char *
skip_space(const char *p)
{
	while (*p == ' ' || *p == '\t')
		p++;
	return p;
}

bool
taskapi_if_match_any(const char *field)
{
	const char *p = skip_space(field);

	return *p == '*' && *skip_space(p + 1) == '\0';
}

bool
taskapi_if_match(const char *field, int64 version)
{
	char		tag[32];
	int			len = snprintf(tag, sizeof(tag), INT64_FORMAT, version);
	const char *p = field;

	if (taskapi_if_match_any(field))
		return true;

	for (;;)
	{
		bool		weak = false;
		const char *end;

		for (p = skip_space(p); *p == ','; p = skip_space(p + 1))
			;					/* empty elements are allowed */
		if (p[0] == 'W' && p[1] == '/')
		{
			weak = true;
			p += 2;
		}
		if (*p != '"')
			return false;
		p++;
		end = strchr(p, '"');
		if (end == NULL)
			return false;
		if (!weak && end - p == len && memcmp(p, tag, len) == 0)
			return true;
		p = skip_space(end + 1);
		if (*p != ',')
			return false;
	}
}

void
taskapi_version_conflict(int64 current)
{
	List	   *headers = NIL;

	if (current < 0)
		taskapi_problem(PROBLEM_VERSION_CONFLICT, NIL, "Read it again, and decide anew.",
						"What the precondition is about is not there, or is not there any more.");
	headers = taskapi_headers_add(headers, "ETag", psprintf("\"" INT64_FORMAT "\"", current));
	taskapi_problem(PROBLEM_VERSION_CONFLICT, headers, "Read it again, and decide anew.",
					"Its version is " INT64_FORMAT ", which is not what the precondition says.", current);
}

void
taskapi_precondition_required(void)
{
	taskapi_problem(PROBLEM_PRECONDITION_REQUIRED, NIL,
					"Send the ETag of what was read in If-Match, or its version in the body.",
					"A change must say which version it is made from.");
}

void
taskapi_set_etag(int64 version)
{
	taskapi_set_response_header("ETag", psprintf("\"" INT64_FORMAT "\"", version));
}

void
taskapi_unset_etag(void)
{
	taskapi_set_response_header("ETag", NULL);
}
