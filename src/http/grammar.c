/*-------------------------------------------------------------------------
 *
 * grammar.c
 *	  Pieces of grammar that several headers share (grammar.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "http/grammar.h"

bool
taskapi_is_token(const char *text)
{
	for (const char *p = text; *p; p++)
	{
		if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
			  strchr("!#$%&'*+-.^_`|~", *p) != NULL))
			return false;
	}
	return text[0] != '\0';
}

bool
taskapi_is_field_value(const char *value)
{
	for (const char *p = value; *p; p++)
	{
		/* nearly all there ever is */
		if (*p >= ' ' && *p <= '~')
			continue;
		if (((unsigned char) *p < 0x20 && *p != '\t') || *p == 0x7f)
			return false;
	}
	return true;
}

char *
taskapi_sf_unquote(const char *text)
{
	int			len = strlen(text);
	char	   *result;
	char	   *out;

	if (len < 2 || text[0] != '"' || text[len - 1] != '"')
		return pstrdup(text);

	result = out = palloc(len);
	for (int i = 1; i < len - 1; i++)
	{
		if (text[i] == '"' ||
			(text[i] == '\\' && (i == len - 2 || (text[i + 1] != '"' && text[i + 1] != '\\'))))
			return NULL;
		if (text[i] == '\\')
			i++;
		*out++ = text[i];
	}
	*out = '\0';
	return result;
}

void
taskapi_sf_append_string(StringInfo buf, const char *text)
{
	appendStringInfoChar(buf, '"');
	for (; *text; text++)
	{
		if (*text == '"' || *text == '\\')
			appendStringInfoChar(buf, '\\');
		appendStringInfoChar(buf, (*text >= ' ' && *text <= '~') ? *text : '?');
	}
	appendStringInfoChar(buf, '"');
}
