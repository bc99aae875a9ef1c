/*-------------------------------------------------------------------------
 *
 * order_by.c
 *	  The order_by grammar (order_by.h).
 *
 * Hand-written, one pass, no look-ahead beyond a byte.  Text comes from clients,
 * so: every read is bounded by the end of the text (which need not be
 * terminated), and nothing is allocated in proportion to it.  All server
 * encodings keep bytes below 0x80 for ASCII, so a byte with the high bit is part
 * of a name and is never looked into.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/keywords.h"
#include "lib/stringinfo.h"

#include "base/compat.h"
#include "cursor/order_by.h"
#include "http/problem.h"

typedef struct Parser
{
	const char *pos;
	const char *end;
	char	  **error;
} Parser;

static bool parse_term(Parser *p, TaskapiOrderTerm *term);
static bool parse_name(Parser *p, char *name);
static bool parse_sql_options(Parser *p, TaskapiOrderTerm *term);
static bool parse_dotted_options(Parser *p, TaskapiOrderTerm *term);
static int	peek_word(Parser *p);
static bool word_is(const char *word, int len, const char *keyword);
static void skip_space(Parser *p);
static bool fail(Parser *p, const char *fmt,...) pg_attribute_printf(2, 3);
static void append_name(StringInfo buf, const char *name);

#define AT_END(p) ((p)->pos >= (p)->end)
#define PEEK(p) (AT_END(p) ? '\0' : *(p)->pos)

TaskapiOrderBy *
taskapi_order_by_parse(const char *str, int len)
{
	char	   *error;
	TaskapiOrderBy *order_by = taskapi_order_by_try(str, len, &error);

	if (order_by == NULL)
		taskapi_problem(PROBLEM_INVALID_ORDER_BY, NIL, NULL, "%s", error);
	return order_by;
}

TaskapiOrderBy *
taskapi_order_by_try(const char *str, int len, char **error)
{
	Parser		parser = {.pos = str, .end = str + len, .error = error};
	Parser	   *p = &parser;
	TaskapiOrderBy *order_by;

	order_by = palloc0(offsetof(TaskapiOrderBy, terms) + TASKAPI_MAX_ORDER_TERMS * sizeof(TaskapiOrderTerm));
	for (;;)
	{
		TaskapiOrderTerm *term;

		if (order_by->nterms == TASKAPI_MAX_ORDER_TERMS)
		{
			fail(p, "An order_by has at most %d terms.", TASKAPI_MAX_ORDER_TERMS);
			break;
		}
		term = &order_by->terms[order_by->nterms];
		if (!parse_term(p, term))
			break;
		for (int i = 0; i < order_by->nterms; i++)
		{
			if (strcmp(order_by->terms[i].name, term->name) == 0)
			{
				fail(p, "\"%s\" is named twice.", term->name);
				pfree(order_by);
				return NULL;
			}
		}
		order_by->nterms++;

		if (AT_END(p))
			return order_by;
		if (*p->pos != ',')
		{
			fail(p, "Expected a comma after \"%s\".", term->name);
			break;
		}
		p->pos++;
	}
	pfree(order_by);
	return NULL;
}

char *
taskapi_order_by_canonical(const TaskapiOrderBy *order_by)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < order_by->nterms; i++)
	{
		const TaskapiOrderTerm *term = &order_by->terms[i];

		if (i > 0)
			appendStringInfoString(&buf, ", ");
		append_name(&buf, term->name);
		if (term->descending)
			appendStringInfoString(&buf, " DESC");
		if (term->nulls_first != term->descending)
			appendStringInfoString(&buf, term->nulls_first ? " NULLS FIRST" : " NULLS LAST");
	}
	return buf.data;
}

static bool
parse_term(Parser *p, TaskapiOrderTerm *term)
{
	skip_space(p);
	if (!parse_name(p, term->name))
		return false;
	term->descending = false;
	if (PEEK(p) == '.')
	{
		if (!parse_dotted_options(p, term))
			return false;
	}
	else if (!parse_sql_options(p, term))
		return false;
	skip_space(p);
	return true;
}

static bool
parse_name(Parser *p, char *name)
{
	int			len = 0;

	if (PEEK(p) == '"')
	{
		p->pos++;
		for (;;)
		{
			char		c;

			if (AT_END(p))
				return fail(p, "A quoted name is not closed.");
			c = *p->pos++;
			if (c == '\0')
				return fail(p, "A name contains a null character.");
			if (c == '"')
			{
				if (PEEK(p) != '"')
					break;
				p->pos++;
			}
			if (len == NAMEDATALEN - 1)
				return fail(p, "A name is longer than %d bytes.", NAMEDATALEN - 1);
			name[len++] = c;
		}
		if (len == 0)
			return fail(p, "A quoted name is empty.");
	}
	else
	{
		int			wordlen = peek_word(p);

		if (wordlen == 0)
		{
			if (AT_END(p))
				return fail(p, "Expected a name at the end.");
			return fail(p, "Expected a name at \"%.*s\".", (int) Min(p->end - p->pos, 1), p->pos);
		}
		if (wordlen >= NAMEDATALEN)
			return fail(p, "A name is longer than %d bytes.", NAMEDATALEN - 1);
		for (; len < wordlen; len++)
			name[len] = pg_ascii_tolower((unsigned char) p->pos[len]);
		p->pos += wordlen;
	}
	name[len] = '\0';
	return true;
}

/*
 * [ASC | DESC] [NULLS FIRST | NULLS LAST]
 */
static bool
parse_sql_options(Parser *p, TaskapiOrderTerm *term)
{
	int			len;

	skip_space(p);
	len = peek_word(p);
	if (word_is(p->pos, len, "asc") || word_is(p->pos, len, "desc"))
	{
		term->descending = (len == 4);
		p->pos += len;
		skip_space(p);
		len = peek_word(p);
	}
	term->nulls_first = term->descending;
	if (len == 0)
		return true;

	if (!word_is(p->pos, len, "nulls"))
		return fail(p, "Expected ASC, DESC or NULLS after \"%s\".", term->name);
	p->pos += len;
	skip_space(p);
	len = peek_word(p);
	if (!word_is(p->pos, len, "first") && !word_is(p->pos, len, "last"))
		return fail(p, "Expected FIRST or LAST after NULLS.");
	term->nulls_first = (len == 5);
	p->pos += len;
	return true;
}

/*
 * ['.asc' | '.desc'] ['.nullsfirst' | '.nullslast'], without white space between
 */
static bool
parse_dotted_options(Parser *p, TaskapiOrderTerm *term)
{
	int			len;

	p->pos++;
	len = peek_word(p);
	if (word_is(p->pos, len, "asc") || word_is(p->pos, len, "desc"))
	{
		term->descending = (len == 4);
		term->nulls_first = term->descending;
		p->pos += len;
		if (PEEK(p) != '.')
			return true;
		p->pos++;
		len = peek_word(p);
	}
	if (!word_is(p->pos, len, "nullsfirst") && !word_is(p->pos, len, "nullslast"))
		return fail(p, "Expected asc, desc, nullsfirst or nullslast after the dot that follows \"%s\".", term->name);
	term->nulls_first = (len == 10);
	p->pos += len;
	return true;
}

/*
 * Length of the unquoted identifier that starts here; 0 where there is none.
 */
static int
peek_word(Parser *p)
{
	const char *s = p->pos;

	while (s < p->end)
	{
		unsigned char c = (unsigned char) *s;

		if (IS_HIGHBIT_SET(c) || c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(s > p->pos && ((c >= '0' && c <= '9') || c == '$')))
			s++;
		else
			break;
	}
	return s - p->pos;
}

static bool
word_is(const char *word, int len, const char *keyword)
{
	return len == strlen(keyword) && pg_strncasecmp(word, keyword, len) == 0;
}

static void
skip_space(Parser *p)
{
	while (!AT_END(p) && (*p->pos == ' ' || (*p->pos >= '\t' && *p->pos <= '\r')))
		p->pos++;
}

static bool
fail(Parser *p, const char *fmt,...)
{
	char		buf[256];
	va_list		args;

	va_start(args, fmt);
	vsnprintf(buf, sizeof(buf), fmt, args);
	va_end(args);
	*p->error = pstrdup(buf);
	return false;
}

/*
 * As quote_identifier() does it, which needs a server.
 */
static void
append_name(StringInfo buf, const char *name)
{
	bool		safe = (name[0] >= 'a' && name[0] <= 'z') || name[0] == '_';

	for (const char *s = name; *s; s++)
		safe &= (*s >= 'a' && *s <= 'z') || (*s >= '0' && *s <= '9') || *s == '_';
	if (safe)
	{
		int			keyword = ScanKeywordLookup(name, &ScanKeywords);

		safe = (keyword < 0 || ScanKeywordCategories[keyword] == UNRESERVED_KEYWORD);
	}
	if (safe)
	{
		appendStringInfoString(buf, name);
		return;
	}
	appendStringInfoChar(buf, '"');
	for (const char *s = name; *s; s++)
	{
		if (*s == '"')
			appendStringInfoChar(buf, '"');
		appendStringInfoChar(buf, *s);
	}
	appendStringInfoChar(buf, '"');
}
