/*-------------------------------------------------------------------------
 *
 * subject.c
 *	  Who a caller is, in one spelling (subject.h).
 *
 * SQL: sql/install/10_request.sql
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "base/compat.h"
#include "base/hex.h"
#include "base/subject.h"

/* The grammar of uuid_in(): braces around or not, and a hyphen or none after every four digits. */
bool
taskapi_parse_uuid(const char *text, int len, pg_uuid_t *id)
{
	const char *s = text;
	const char *end = text + len;

	if (len < 2 * UUID_LEN)
		return false;
	if (*s == '{')
	{
		if (end[-1] != '}')
			return false;
		s++;
		end--;
	}
	for (int i = 0; i < UUID_LEN; i++)
	{
		int			high = s < end ? taskapi_hex_digit(*s++) : -1;
		int			low = s < end ? taskapi_hex_digit(*s++) : -1;

		if (high < 0 || low < 0)
			return false;
		id->data[i] = high << 4 | low;
		if (i % 2 == 1 && i < UUID_LEN - 1 && s < end && *s == '-')
			s++;
	}
	return s == end;
}

void
taskapi_print_uuid(const pg_uuid_t *id, char buf[TASKAPI_UUID_TEXT_LEN + 1])
{
	static const char digits[] = "0123456789abcdef";
	char	   *out = buf;

	for (int i = 0; i < UUID_LEN; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*out++ = '-';
		*out++ = digits[id->data[i] >> 4];
		*out++ = digits[id->data[i] & 0xf];
	}
	*out = '\0';
}

/* Is it a uuid in its standard spelling, as nearly all are? */
static bool
is_canonical(const char *text)
{
	for (int i = 0; i < TASKAPI_UUID_TEXT_LEN; i++)
	{
		bool		hyphen = (i == 8 || i == 13 || i == 18 || i == 23);

		if (hyphen ? text[i] != '-' : !((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
			return false;
	}
	return text[TASKAPI_UUID_TEXT_LEN] == '\0';
}

const char *
taskapi_canonical_subject(const char *subject)
{
	pg_uuid_t	id;
	char	   *result;

	if (is_canonical(subject) || !taskapi_parse_uuid(subject, strlen(subject), &id))
		return subject;
	result = palloc(TASKAPI_UUID_TEXT_LEN + 1);
	taskapi_print_uuid(&id, result);
	return result;
}

/*
 * canonical_subject(subject text) -> text
 *
 * An error for one that no credential can have.
 */
PG_FUNCTION_INFO_V1(taskapi_canonical_subject_sql);
Datum
taskapi_canonical_subject_sql(PG_FUNCTION_ARGS)
{
	text	   *subject = PG_GETARG_TEXT_PP(0);
	int			len = VARSIZE_ANY_EXHDR(subject);

	if (len == 0 || len > TASKAPI_MAX_SUBJECT_LEN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a subject must have 1 to %d bytes", TASKAPI_MAX_SUBJECT_LEN)));
	PG_RETURN_TEXT_P(cstring_to_text(taskapi_canonical_subject(text_to_cstring(subject))));
}
