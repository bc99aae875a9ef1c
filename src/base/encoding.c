/*-------------------------------------------------------------------------
 *
 * encoding.c
 *	  From Unicode to the encoding of the database (encoding.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/encoding.h"

bool
taskapi_encoding_has(pg_wchar c)
{
	int			encoding = GetDatabaseEncoding();
	unsigned char bytes[MAX_UNICODE_EQUIVALENT_STRING + 1];

	if (c < 0x80 || encoding == PG_UTF8)
		return true;
	return encoding != PG_SQL_ASCII && taskapi_unicode_to_server(c, bytes);
}

char *
taskapi_utf8_to_server(char *text, int len)
{
	int			encoding = GetDatabaseEncoding();
	const char *end = text + len;

	if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII)
		return text;
	for (const char *s = text; s < end; s += pg_utf_mblen((const unsigned char *) s))
	{
		if ((unsigned char) *s >= 0x80 && !taskapi_encoding_has(utf8_to_unicode((const unsigned char *) s)))
			return NULL;
	}
	return pg_any_to_server(text, len, PG_UTF8);
}
