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
#include "http/read_after.h"
#include "http/response.h"

bool		taskapi_require_if_match = false;

/* One entity tag of a list, without its quotes. */
typedef struct EntityTag
{
	const char *start;
	int			len;
	bool		weak;
} EntityTag;

typedef enum TagListStep
{
	TAG_LIST_TAG,
	TAG_LIST_END,
	TAG_LIST_FAULT
} TagListStep;

static const char *skip_space(const char *p);
static TagListStep next_tag(const char **pos, const char *field, EntityTag *tag);
static bool is_tag_of(const EntityTag *tag, int64 version);
static TagListStep find_weakly(const char *field, int64 version);
static List *etag_header(int64 version);
static const char *if_match_hint(const char *field);

static const char *const read_again_hint = "Fetch the current version and retry.";
static const char *const quotes_hint = "Send an entity tag as it came, in double quotes, as in If-Match: \"3\".";

static const char *
skip_space(const char *p)
{
	while (*p == ' ' || *p == '\t')
		p++;
	return p;
}

/*
 * The next tag of the list, from *pos, which starts at the field.
 */
static TagListStep
next_tag(const char **pos, const char *field, EntityTag *tag)
{
	const char *p = skip_space(*pos);
	const char *end;

	if (*pos != field && *p != '\0' && *p != ',')
		return TAG_LIST_FAULT;
	while (*p == ',')
		p = skip_space(p + 1);	/* empty elements are allowed */
	if (*p == '\0')
		return TAG_LIST_END;
	tag->weak = (p[0] == 'W' && p[1] == '/');
	if (tag->weak)
		p += 2;
	if (*p != '"')
		return TAG_LIST_FAULT;
	tag->start = p + 1;
	end = strchr(tag->start, '"');
	if (end == NULL)
		return TAG_LIST_FAULT;
	tag->len = end - tag->start;
	*pos = end + 1;
	return TAG_LIST_TAG;
}

static bool
is_tag_of(const EntityTag *tag, int64 version)
{
	char		text[32];
	int			len = snprintf(text, sizeof(text), INT64_FORMAT, version);

	return version >= 0 && tag->len == len && memcmp(tag->start, text, len) == 0;
}

bool
taskapi_any_tag(const char *field)
{
	const char *p = skip_space(field);

	return *p == '*' && *skip_space(p + 1) == '\0';
}

bool
taskapi_if_match(const char *field, int64 version)
{
	const char *pos = field;
	EntityTag	tag;

	if (taskapi_any_tag(field))
		return true;
	while (next_tag(&pos, field, &tag) == TAG_LIST_TAG)
	{
		if (!tag.weak && is_tag_of(&tag, version))
			return true;
	}
	return false;
}

bool
taskapi_if_none_match(const char *field, int64 version)
{
	return !taskapi_any_tag(field) && find_weakly(field, version) == TAG_LIST_END;
}

/*
 * A tag of this version, be it weak; or how the list ended.
 */
static TagListStep
find_weakly(const char *field, int64 version)
{
	const char *pos = field;
	EntityTag	tag;
	TagListStep step;

	while ((step = next_tag(&pos, field, &tag)) == TAG_LIST_TAG && !is_tag_of(&tag, version))
		;
	return step;
}

static List *
etag_header(int64 version)
{
	if (version < 0)
		return NIL;
	return taskapi_headers_add(NIL, "ETag", psprintf("\"" INT64_FORMAT "\"", version));
}

void
taskapi_version_conflict(int64 current)
{
	if (current < 0)
		taskapi_problem(PROBLEM_VERSION_CONFLICT, NIL, read_again_hint,
						"The row of the precondition does not exist, or no longer exists.");
	taskapi_problem(PROBLEM_VERSION_CONFLICT, etag_header(current), read_again_hint,
					"Its version is " INT64_FORMAT ", which is not what the precondition says.", current);
}

/*
 * What to do about an If-Match that does not hold: reading the row again is no help if the field can name no version.
 */
static const char *
if_match_hint(const char *field)
{
	const char *pos = field;
	EntityTag	tag;
	TagListStep step;
	bool		strong = false;
	bool		weak = false;

	while ((step = next_tag(&pos, field, &tag)) == TAG_LIST_TAG)
	{
		strong |= !tag.weak;
		weak |= tag.weak;
	}
	if (step == TAG_LIST_FAULT)
		return quotes_hint;
	if (weak && !strong)
		return "A weak tag (W/) never matches in If-Match, and a proxy that compresses makes tags weak. "
			"Send the version that you read: as \"version\" in the body, or as If-Match: \"3\".";
	return read_again_hint;
}

void
taskapi_if_match_failed(const char *field, int64 current)
{
	if (current < 0)
		taskapi_problem(PROBLEM_VERSION_CONFLICT, NIL, "Only If-Match: * holds for a resource without versions.",
						"It has no version that If-Match could name.");
	taskapi_problem(PROBLEM_VERSION_CONFLICT, etag_header(current), if_match_hint(field),
					"Its version is " INT64_FORMAT ", which If-Match does not name.", current);
}

void
taskapi_if_none_match_failed(const char *field, int64 current)
{
	if (taskapi_any_tag(field))
		taskapi_problem(PROBLEM_VERSION_CONFLICT, etag_header(current), NULL,
						"The row exists, which If-None-Match: * rules out.");
	if (find_weakly(field, current) == TAG_LIST_TAG)
		taskapi_problem(PROBLEM_VERSION_CONFLICT, etag_header(current), NULL,
						"Its version is " INT64_FORMAT ", which If-None-Match rules out.", current);
	taskapi_problem(PROBLEM_VERSION_CONFLICT, etag_header(current), quotes_hint,
					"If-None-Match is neither * nor a list of entity tags.");
}

void
taskapi_precondition_required(void)
{
	taskapi_problem(PROBLEM_PRECONDITION_REQUIRED, NIL,
					"Send the ETag of the row that you read in If-Match, or its version in the body.",
					"A change must say which version it is made from.");
}

void
taskapi_answer_write(int64 version, const char *read_after)
{
	TaskapiHeader headers[2];
	int			n = 0;

	if (version >= 0)
		headers[n++] = (TaskapiHeader) {"ETag", psprintf("\"" INT64_FORMAT "\"", version)};
	if (read_after != NULL)
		headers[n++] = (TaskapiHeader) {TASKAPI_READ_AFTER_HEADER, unconstify(char *, read_after)};
	if (n > 0)
		taskapi_set_response_headers(headers, n);
}

void
taskapi_unset_etag(void)
{
	taskapi_set_response_header("ETag", NULL);
}
