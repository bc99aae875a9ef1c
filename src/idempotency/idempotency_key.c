/*-------------------------------------------------------------------------
 *
 * idempotency_key.c
 *	  What is a key, and whose is it.
 *
 * The header is a Structured Field String (RFC 8941) in
 * draft-ietf-httpapi-idempotency-key-header, "abc"; many clients send abc.  Both
 * are the same key here.  A key has 1 to 255 characters, all printable, and one
 * that is not a space.
 *
 * A key counts within its scope alone: otherwise a guessed key would read
 * another customer's answer.  The scope of a request is the JSON array [subject,
 * method, path], which no choice of names can make ambiguous.  A scope is part of
 * the primary key and so bounded: the end of a longer one is replaced by its
 * digest.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "base/sha256.h"
#include "base/subject.h"
#include "http/claims.h"
#include "http/grammar.h"
#include "http/layer.h"
#include "http/problem.h"
#include "idempotency/idempotency_key.h"

#define MAX_KEY_CHARS		255
#define MAX_SCOPE_BYTES		512
#define MAX_PERIOD			(INT64CONST(366) * USECS_PER_DAY)

static void check_key(const char *key);
static bool is_printable(const unsigned char *s, int len);
static char *bounded_scope(const char *scope);

TaskapiIdempotencyKey *
taskapi_idempotency_key(const char *scope, const char *raw)
{
	TaskapiIdempotencyKey *result = palloc(sizeof(TaskapiIdempotencyKey));
	int			scope_len;
	int			key_len;
	char	   *id;
	uint8		digest[PG_SHA256_DIGEST_LENGTH];

	if (raw == NULL)
		taskapi_problem(PROBLEM_IDEMPOTENCY_KEY_MISSING, NIL, NULL,
						"This request needs an idempotency key.");
	result->key = taskapi_sf_unquote(raw);
	if (result->key == NULL)
		taskapi_problem(PROBLEM_IDEMPOTENCY_KEY_INVALID, NIL, NULL,
						"The quotes and backslashes of the quoted key do not form a Structured Field String.");
	check_key(result->key);

	if (scope == NULL)
		scope = taskapi_idempotency_request_scope(NULL, NULL);
	else if (scope[0] == '\0')
		taskapi_problem(PROBLEM_IDEMPOTENCY_SCOPE_MISSING, NIL, NULL,
						"The scope is empty.");
	result->scope = bounded_scope(taskapi_canonical_subject(scope));

	scope_len = strlen(result->scope);
	key_len = strlen(result->key);
	result->idlen = scope_len + 1 + key_len;
	result->id = id = palloc(result->idlen + 1);
	memcpy(id, result->scope, scope_len + 1);
	memcpy(id + scope_len + 1, result->key, key_len + 1);

	/*
	 * Two keys of one hash only wait for each other.  A client can find two of its own with 2^32 hashes, but one that
	 * collides with another caller's takes 2^64.
	 */
	taskapi_sha256(id, result->idlen, digest);
	memcpy(&result->hash, digest, sizeof(result->hash));
	return result;
}

static void
check_key(const char *key)
{
	int			chars = 0;
	bool		blank = true;

	for (const char *s = key; *s; chars++)
	{
		int			len;

		/* nearly all there ever is */
		if (*s > ' ' && *s < 0x7F)
		{
			blank = false;
			s++;
			continue;
		}
		len = pg_mblen(s);
		if (!is_printable((const unsigned char *) s, len))
			taskapi_problem(PROBLEM_IDEMPOTENCY_KEY_INVALID, NIL, NULL,
							"The key has a character that is not printable.");
		if (*s != ' ')
			blank = false;
		s += len;
	}
	if (blank)
		taskapi_problem(PROBLEM_IDEMPOTENCY_KEY_INVALID, NIL, NULL,
						"The key is empty.");
	if (chars > MAX_KEY_CHARS)
		taskapi_problem(PROBLEM_IDEMPOTENCY_KEY_INVALID, NIL, NULL,
						"The key has %d characters, more than %d.", chars, MAX_KEY_CHARS);
}

/*
 * Controls, line separators and what shows as nothing are not printable.
 */
static bool
is_printable(const unsigned char *s, int len)
{
	pg_wchar	c;

	if (len == 1)
		return *s >= 0x20 && *s != 0x7F;
	if (GetDatabaseEncoding() != PG_UTF8)
		return true;

	c = utf8_to_unicode(s);
	return !((c >= 0x80 && c <= 0x9F) ||
			 c == 0xAD ||
			 (c >= 0x200B && c <= 0x200F) ||
			 (c >= 0x2028 && c <= 0x202E) ||
			 (c >= 0x2060 && c <= 0x206F) ||
			 (c >= 0xD800 && c <= 0xF8FF) ||
			 c == 0xFEFF ||
			 (c >= 0xFFF0 && c <= 0xFFFB) ||
			 (c & 0xFFFE) == 0xFFFE);
}

char *
taskapi_idempotency_request_scope(const char *schema, const char *resource)
{
	StringInfoData buf;
	const char *part = taskapi_current_subject();

	if (part == NULL)
		taskapi_problem(PROBLEM_IDEMPOTENCY_SCOPE_MISSING, NIL,
						"Authenticate, or have the server pass a scope of its own.",
						"The caller is anonymous, and a key counts only within a caller's own scope.");

	initStringInfo(&buf);
	appendStringInfoChar(&buf, '[');
	escape_json(&buf, part);
	part = taskapi_request_method();
	appendStringInfoChar(&buf, ',');
	escape_json(&buf, part ? part : "");
	part = taskapi_request_path();
	appendStringInfoChar(&buf, ',');
	escape_json(&buf, part ? part : "");
	if (resource != NULL)
	{
		/* two members, since a layer may serve several schemas under the same paths */
		appendStringInfoChar(&buf, ',');
		escape_json(&buf, schema);
		appendStringInfoChar(&buf, ',');
		escape_json(&buf, resource);
	}
	appendStringInfoChar(&buf, ']');
	return buf.data;
}

static char *
bounded_scope(const char *scope)
{
	int			len = strlen(scope);
	int			kept;
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	StringInfoData buf;

	if (len <= MAX_SCOPE_BYTES)
		return pstrdup(scope);

	taskapi_sha256(scope, len, digest);
	kept = pg_mbcliplen(scope, len, MAX_SCOPE_BYTES - 2 * PG_SHA256_DIGEST_LENGTH - 8);
	initStringInfo(&buf);
	appendBinaryStringInfo(&buf, scope, kept);
	appendStringInfoString(&buf, " sha256:");
	for (int i = 0; i < sizeof(digest); i++)
		appendStringInfo(&buf, "%02x", digest[i]);
	return buf.data;
}

TimestampTz
taskapi_idempotency_deadline(TimestampTz from, const Interval *length, const char *argname)
{
	TimestampTz end;
	bool		valid;

	/*
	 * Judge the size first, roughly: adding a wild interval could overflow with a message of its own.
	 */
	valid = i64abs((int64) length->month) <= 12 && i64abs((int64) length->day) <= 366 &&
		length->time <= MAX_PERIOD && length->time >= -MAX_PERIOD;
	if (valid)
	{
		end = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
													  TimestampTzGetDatum(from),
													  IntervalPGetDatum(length)));
		valid = end > from && end - from <= MAX_PERIOD;
	}
	if (!valid)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is out of range", argname),
				 errdetail("It must be more than zero and at most 366 days.")));
	return end;
}
