/*-------------------------------------------------------------------------
 *
 * answer_text.c
 *	  Text as JSON that is not much longer (answer_text.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/base64.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "http/problem.h"
#include "resource/answer_text.h"

static void append_base64(StringInfo body, const char *text, int len);
static char *read_base64(TaskapiAnswerReader *reader);
static bool unescape(const char **s, const char *end, char *out);

void
taskapi_answer_append_text(StringInfo body, const char *text, int len)
{
	Size		escapes = 0;
	bool		high = false;

	for (const unsigned char *s = (const unsigned char *) text; s < (const unsigned char *) text + len; s++)
	{
		if (*s < ' ')
			escapes += 5;
		else if (*s == '"' || *s == '\\')
			escapes++;
		else if (*s >= 0x80)
			high = true;
	}
	/* the text of type "char" may be half a character */
	if (escapes > len / 3 + 16 || (high && !pg_verify_mbstr(GetDatabaseEncoding(), text, len, true)))
	{
		append_base64(body, text, len);
		return;
	}
	if ((Size) body->len + len + escapes + 1024 >= MaxAllocSize)
		taskapi_problem_sqlstate(PROBLEM_INVALID_VALUE, ERRCODE_PROGRAM_LIMIT_EXCEEDED, NIL,
								 "Send the request without an idempotency key.",
								 "The answer is too large to be kept.");
	enlargeStringInfo(body, len + escapes + 2);
	appendStringInfoCharMacro(body, '"');
	if (escapes == 0)
		appendBinaryStringInfo(body, text, len);
	else
	{
		for (const char *s = text; s < text + len; s++)
		{
			if ((unsigned char) *s < ' ')
				appendStringInfo(body, "\\u%04x", (int) *s);
			else
			{
				if (*s == '"' || *s == '\\')
					appendStringInfoCharMacro(body, '\\');
				appendStringInfoCharMacro(body, *s);
			}
		}
	}
	appendStringInfoCharMacro(body, '"');
}

static void
append_base64(StringInfo body, const char *text, int len)
{
	int64		needed = ((int64) len + 2) / 3 * 4;
	int			written;

	if (body->len + needed + 1024 >= MaxAllocSize)
		taskapi_problem_sqlstate(PROBLEM_INVALID_VALUE, ERRCODE_PROGRAM_LIMIT_EXCEEDED, NIL,
								 "Send the request without an idempotency key.",
								 "The answer is too large to be kept.");
	enlargeStringInfo(body, needed + 32);
	appendStringInfoString(body, "{\"base64\":\"");
	written = pg_b64_encode((const void *) text, len, body->data + body->len, needed + 1);
	if (written < 0)
		elog(ERROR, "could not encode %d bytes", len);
	body->len += written;
	appendStringInfoString(body, "\"}");
}

/* ---------- reading ---------- */

bool
taskapi_answer_skip(TaskapiAnswerReader *reader, const char *piece)
{
	int			len = strlen(piece);

	if (reader->end - reader->s < len || memcmp(reader->s, piece, len) != 0)
		return false;
	reader->s += len;
	return true;
}

bool
taskapi_answer_read_value(TaskapiAnswerReader *reader, char **text)
{
	*text = NULL;
	if (taskapi_answer_skip(reader, "null"))
		return true;
	if (taskapi_answer_skip(reader, "\""))
		return (*text = taskapi_answer_read_string(reader)) != NULL;
	return taskapi_answer_skip(reader, "{\"base64\":\"") && (*text = read_base64(reader)) != NULL &&
		taskapi_answer_skip(reader, "}");
}

/*
 * A string of digits, decoded; NULL if it is none.
 */
static char *
read_base64(TaskapiAnswerReader *reader)
{
	const char *end = memchr(reader->s, '"', reader->end - reader->s);
	char	   *result;
	int			len;

	if (end == NULL)
		return NULL;
	len = (end - reader->s) / 4 * 3;
	result = palloc(len + 1);
	len = pg_b64_decode(reader->s, end - reader->s, (void *) result, len);
	if (len < 0)
		return NULL;
	result[len] = '\0';
	reader->s = end + 1;
	return result;
}

char *
taskapi_answer_read_string(TaskapiAnswerReader *reader)
{
	const char *s = reader->s;
	char	   *result;
	char	   *out;

	while (s < reader->end && *s != '"')
		s += (*s == '\\' && s + 1 < reader->end) ? 2 : 1;
	if (s >= reader->end)
		return NULL;
	out = result = palloc(s - reader->s + 1);
	while (*reader->s != '"')
	{
		const char *plain = reader->s;

		while (*reader->s != '"' && *reader->s != '\\')
			reader->s++;
		memcpy(out, plain, reader->s - plain);
		out += reader->s - plain;
		if (*reader->s == '\\' && !unescape(&reader->s, s, out++))
			return NULL;
	}
	reader->s++;
	*out = '\0';
	return result;
}

/*
 * \" and \\, and \u with a character of ASCII.
 */
static bool
unescape(const char **s, const char *end, char *out)
{
	unsigned char byte;

	if (end - *s >= 2 && ((*s)[1] == '"' || (*s)[1] == '\\'))
	{
		*out = (*s)[1];
		*s += 2;
		return true;
	}
	if (end - *s < 6 || memcmp(*s, "\\u00", 4) != 0 || strspn(*s + 4, "0123456789abcdef") < 2)
		return false;
	hex_decode(*s + 4, 2, (char *) &byte);
	if (byte == 0 || byte >= 0x80)
		return false;
	*out = byte;
	*s += 6;
	return true;
}
