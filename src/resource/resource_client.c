/*-------------------------------------------------------------------------
 *
 * resource_client.c
 *	  Which write is the client's, and what its filter is (resource_client.h).
 *
 * The filter is known by its text, since the plan tells of it in a form that
 * changes with statistics, and parsing each statement again costs more than the
 * rest of the ledger's work.  Two spellings of one filter are two: a client that
 * repeats a request repeats its text.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "parser/parsetree.h"
#include "tcop/pquery.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/lsyscache.h"
#include "utils/portal.h"

#include "base/client_query.h"
#include "base/compat.h"
#include "http/layer.h"
#include "resource/request_digest.h"
#include "resource/resource_client.h"

/* A statement's text, from where it has been read to, and the token before that. */
typedef struct StatementText
{
	const char *s;
	const char *end;
	int			depth;			/* of parentheses around what follows */
	const char *token;
	int			len;
	bool		quoted;			/* the token is a quoted identifier, without its quotes */
} StatementText;

static Oid	named_relation(const char *path, Oid view);
static bool portal_writes_to(Oid view);
static bool find_target(StatementText *text, const char *name);
static bool next_token(StatementText *text);
static const char *skip_blanks(const char *s, const char *end);
static const char *quoted_end(const char *s, const char *end, bool escapes);
static const char *dollar_quoted_end(const char *s, const char *end);
static bool is_word(const StatementText *text, const char *word);
static bool is_char(const StatementText *text, char c);
static bool is_name(const StatementText *text, const char *name);

bool
taskapi_resource_is_clients(Oid view, bool another)
{
	const char *path = taskapi_request_path();
	bool		named = false;
	TaskapiQueryOwner owner;

	(void) taskapi_running_query(&owner);
	/* a default, for one, runs a query of its own in the middle of the client's */
	if (another && owner == TASKAPI_QUERY_NESTED)
		return false;
	if (path != NULL)
	{
		Oid			relation;

		if (strncmp(path, "/rpc/", 5) == 0)
			return false;
		relation = named_relation(path, view);
		if (OidIsValid(relation) && relation != view)
			return false;
		named = (relation == view);
	}
	return named || path == NULL || owner == TASKAPI_QUERY_CLIENT ||
		(owner == TASKAPI_QUERY_UNKNOWN && portal_writes_to(view));
}

/*
 * What the last segment of the path names that names a relation beside the view, or the view: /tasks, or /tasks/ID.
 */
static Oid
named_relation(const char *path, Oid view)
{
	int			end = strlen(path);

	while (end > 0)
	{
		int			start = end;
		char	   *name;
		Oid			relation;

		while (start > 0 && path[start - 1] != '/')
			start--;
		name = pnstrdup(path + start, Min(end - start, NAMEDATALEN - 1));
		if (strcmp(name, get_rel_name(view)) == 0)
			return view;
		relation = *name == '\0' ? InvalidOid : get_relname_relid(name, get_rel_namespace(view));
		if (OidIsValid(relation))
			return relation;
		end = start - 1;
	}
	return InvalidOid;
}

static bool
portal_writes_to(Oid view)
{
	ListCell   *lc;

	if (ActivePortal == NULL)
		return false;
	foreach(lc, ActivePortal->stmts)
	{
		const PlannedStmt *stmt = lfirst_node(PlannedStmt, lc);
		int			place = 0;
		int			rti;

		while ((rti = taskapi_next_result_relation(stmt, &place)) != 0)
		{
			if (rt_fetch(rti, stmt->rtable)->relid == view)
				return true;
		}
	}
	return false;
}

/* ---------- the filter ---------- */

bool
taskapi_resource_filter_digest(QueryDesc *query, Oid view, uint8 digest[TASKAPI_FINGERPRINT_LEN])
{
	ParamListInfo params = query == NULL ? NULL : query->params;
	bool		variables = (params != NULL && params->paramFetch != NULL);
	TaskapiRequestDigest filter;
	StatementText text = {0};

	taskapi_digest_begin(&filter);
	if (query != NULL && query->sourceText != NULL)
	{
		text.s = query->sourceText + Max(query->plannedstmt->stmt_location, 0);
		text.end = text.s + (query->plannedstmt->stmt_len > 0 ? query->plannedstmt->stmt_len : strlen(text.s));
	}
	if (find_target(&text, get_rel_name(view)))
	{
		int			depth = text.depth;
		bool		in_filter = false;

		while (next_token(&text) && text.depth >= depth && !(text.depth == depth && is_word(&text, "returning")))
		{
			if (in_filter)
			{
				char	   *token = pnstrdup(text.token, text.len);

				taskapi_digest_name(&filter, text.quoted || *token == '\'' ? token :
									asc_tolower(token, text.len));
			}
			else
				in_filter = (text.depth == depth && is_word(&text, "where"));
		}
	}
	for (int i = 0; params != NULL && !variables && i < params->numParams; i++)
	{
		ParamExternData *param = &params->params[i];
		TaskapiValueIO io;

		if (!OidIsValid(param->ptype) || param->ptype == JSONOID || param->ptype == JSONBOID)
			continue;
		taskapi_value_io(&io, param->ptype);
		taskapi_digest_value(&filter, &io, param->value, param->isnull);
	}
	taskapi_digest_end(&filter, digest);
	return query != NULL && !variables;
}

/*
 * Read on to behind the name of the view in UPDATE view, or in DELETE FROM view.
 */
static bool
find_target(StatementText *text, const char *name)
{
	while (next_token(text))
	{
		bool		found = false;

		if (is_word(text, "delete"))
		{
			if (!next_token(text) || !is_word(text, "from"))
				continue;
		}
		else if (!is_word(text, "update"))
			continue;
		if (!next_token(text))
			return false;
		if (is_word(text, "only") && !next_token(text))
			return false;
		/* the last part of a qualified name */
		for (;;)
		{
			StatementText rest = *text;

			found = is_name(text, name);
			if (!next_token(&rest) || !is_char(&rest, '.'))
				break;
			*text = rest;
			if (!next_token(text))
				return false;
		}
		if (found)
			return true;
	}
	return false;
}

static bool
next_token(StatementText *text)
{
	const char *s = skip_blanks(text->s, text->end);

	text->quoted = false;
	text->token = s;
	if (s >= text->end)
	{
		text->s = s;
		text->len = 0;
		return false;
	}
	if (*s == '"')
	{
		text->quoted = true;
		text->token = s + 1;
		text->s = quoted_end(s, text->end, false);
		text->len = Max(text->s - s - 2, 0);
		return true;
	}
	if (*s == '\'')
		s = quoted_end(s, text->end, false);
	else if ((*s == 'e' || *s == 'E') && s + 1 < text->end && s[1] == '\'')
		s = quoted_end(s + 1, text->end, true);
	else if (*s == '$' && dollar_quoted_end(s, text->end) != NULL)
		s = dollar_quoted_end(s, text->end);
	else if (isalnum((unsigned char) *s) || *s == '_' || *s == '$' || IS_HIGHBIT_SET(*s))
	{
		while (s < text->end && (isalnum((unsigned char) *s) || *s == '_' || *s == '$' || IS_HIGHBIT_SET(*s)))
			s++;
	}
	else
	{
		text->depth += (*s == '(') - (*s == ')');
		s++;
	}
	text->s = s;
	text->len = s - text->token;
	return true;
}

static const char *
skip_blanks(const char *s, const char *end)
{
	int			comments = 0;

	while (s < end)
	{
		if (s + 1 < end && s[0] == '/' && s[1] == '*')
		{
			comments++;
			s += 2;
		}
		else if (comments > 0 && s + 1 < end && s[0] == '*' && s[1] == '/')
		{
			comments--;
			s += 2;
		}
		else if (comments > 0 || isspace((unsigned char) *s))
			s++;
		else if (s + 1 < end && s[0] == '-' && s[1] == '-')
		{
			while (s < end && *s != '\n')
				s++;
		}
		else
			break;
	}
	return s;
}

/*
 * Behind the quote that ends what begins with a quote; one that is doubled, or escaped, does not.
 */
static const char *
quoted_end(const char *s, const char *end, bool escapes)
{
	char		quote = *s++;

	while (s < end)
	{
		if (*s == quote)
		{
			if (s + 1 >= end || s[1] != quote)
				return s + 1;
			s++;
		}
		else if (escapes && *s == '\\' && s + 1 < end)
			s++;
		s++;
	}
	return end;
}

/*
 * Behind $tag$...$tag$, or NULL: $1 is a parameter.
 */
static const char *
dollar_quoted_end(const char *s, const char *end)
{
	const char *tag = s;
	int			len;

	if (s + 1 < end && isdigit((unsigned char) s[1]))
		return NULL;
	do
		s++;
	while (s < end && (isalnum((unsigned char) *s) || *s == '_' || IS_HIGHBIT_SET(*s)));
	if (s >= end || *s != '$')
		return NULL;
	len = ++s - tag;
	for (; end - s >= len; s++)
	{
		if (*s == '$' && memcmp(s, tag, len) == 0)
			return s + len;
	}
	return NULL;
}

static bool
is_word(const StatementText *text, const char *word)
{
	return !text->quoted && text->len == strlen(word) && pg_strncasecmp(text->token, word, text->len) == 0;
}

static bool
is_char(const StatementText *text, char c)
{
	return !text->quoted && text->len == 1 && *text->token == c;
}

/*
 * An identifier, with or without quotes.
 */
static bool
is_name(const StatementText *text, const char *name)
{
	char	   *token = pnstrdup(text->token, text->len);
	char	   *quote = token;

	if (!text->quoted)
		return strcmp(asc_tolower(token, text->len), name) == 0;
	while ((quote = strstr(quote, "\"\"")) != NULL)
	{
		memmove(quote, quote + 1, strlen(quote));
		quote++;
	}
	return strcmp(token, name) == 0;
}
