/*-------------------------------------------------------------------------
 *
 * json_fields.c
 *	  Reading a JSON object's top-level fields with the server's own parser.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "base/compat.h"
#include "base/encoding.h"
#include "base/hex.h"
#include "base/json_fields.h"

/*
 * What stands for a character that cannot be held: SUBSTITUTE, which no header,
 * cookie or name of a claim may contain.
 */
#define SUBSTITUTE		'\x1a'
#define SUBSTITUTE_HEX	"001a"

typedef struct FieldsState
{
	bool		substituted;
	int			depth;
	bool		is_object;
	TaskapiJsonField *fields;
	int			nfields;
	int			allocated;
} FieldsState;

static TASKAPI_JSON_ACTION start_object(void *pstate);
static TASKAPI_JSON_ACTION start_array(void *pstate);
static TASKAPI_JSON_ACTION end_nested(void *pstate);
static TASKAPI_JSON_ACTION start_field(void *pstate, char *name, bool isnull);
static TASKAPI_JSON_ACTION scalar(void *pstate, char *token, JsonTokenType type);
static void nested_value(FieldsState *state, JsonTokenType type);
static bool nests_too_deep(const char *text, int len);
static char *substitute_escapes(const char *text, int len);
static bool read_escape(const char *s, const char *end, pg_wchar *c);
static int	escape_len(const char *s, const char *end, bool *bad);

bool
taskapi_json_fields(const char *text, int len, bool lenient, TaskapiJsonField **fields, int *nfields)
{
	FieldsState state = {0};
	JsonSemAction sem = {0};
	JsonLexContext *lex;
	char	   *substitute = substitute_escapes(text, len);

	if (nests_too_deep(text, len))
		return false;
	if (substitute != NULL)
	{
		if (!lenient)
			return false;
		text = substitute;
		state.substituted = true;
	}
	lex = taskapi_json_lexer(text, len, GetDatabaseEncoding());
	sem.semstate = &state;
	sem.object_start = start_object;
	sem.object_end = end_nested;
	sem.array_start = start_array;
	sem.array_end = end_nested;
	sem.object_field_start = start_field;
	sem.scalar = scalar;

	if (pg_parse_json(lex, &sem) != JSON_SUCCESS || !state.is_object)
		return false;
	*fields = state.fields;
	*nfields = state.nfields;
	return true;
}

static TASKAPI_JSON_ACTION
start_object(void *pstate)
{
	FieldsState *state = pstate;

	if (state->depth == 0)
		state->is_object = true;
	nested_value(state, JSON_TOKEN_OBJECT_START);
	state->depth++;
	return TASKAPI_JSON_GO_ON;
}

static TASKAPI_JSON_ACTION
start_array(void *pstate)
{
	FieldsState *state = pstate;

	nested_value(state, JSON_TOKEN_ARRAY_START);
	state->depth++;
	return TASKAPI_JSON_GO_ON;
}

static TASKAPI_JSON_ACTION
end_nested(void *pstate)
{
	FieldsState *state = pstate;

	state->depth--;
	return TASKAPI_JSON_GO_ON;
}

static TASKAPI_JSON_ACTION
start_field(void *pstate, char *name, bool isnull)
{
	FieldsState *state = pstate;

	if (state->depth == 1)
	{
		if (state->nfields == state->allocated)
		{
			state->allocated = Max(16, state->allocated * 2);
			if (state->fields == NULL)
				state->fields = palloc(state->allocated * sizeof(TaskapiJsonField));
			else
				state->fields = repalloc(state->fields, state->allocated * sizeof(TaskapiJsonField));
		}
		/* The parser may free the name when the field ends */
		state->fields[state->nfields].name = pstrdup(name);
		state->fields[state->nfields].type = JSON_TOKEN_INVALID;
		state->fields[state->nfields].value = NULL;
		state->nfields++;
	}
	return TASKAPI_JSON_GO_ON;
}

static TASKAPI_JSON_ACTION
scalar(void *pstate, char *token, JsonTokenType type)
{
	FieldsState *state = pstate;

	if (state->depth == 1 && state->is_object)
	{
		TaskapiJsonField *field = &state->fields[state->nfields - 1];

		/* a SUBSTITUTE that the client wrote himself is as little of a value */
		if (state->substituted && type == JSON_TOKEN_STRING && strchr(token, SUBSTITUTE) != NULL)
			return TASKAPI_JSON_GO_ON;
		field->type = type;
		field->value = pstrdup(token);
	}
	return TASKAPI_JSON_GO_ON;
}

static void
nested_value(FieldsState *state, JsonTokenType type)
{
	if (state->depth == 1 && state->is_object)
		state->fields[state->nfields - 1].type = type;
}

/*
 * The parser calls itself for each value within a value, and throws at the end of
 * the stack.  No client's text may get there, so the brackets are counted before.
 * What is no JSON may be counted wrongly; the parser refuses it in any case.
 */
static bool
nests_too_deep(const char *text, int len)
{
	int			depth = 0;
	bool		in_string = false;

	if (len <= TASKAPI_JSON_MAX_DEPTH)
		return false;
	for (int i = 0; i < len; i++)
	{
		char		c = text[i];

		if (c == '"')
			in_string = !in_string;
		else if (in_string)
		{
			if (c == '\\')
				i++;
		}
		else if (c == '{' || c == '[')
		{
			if (++depth > TASKAPI_JSON_MAX_DEPTH)
				return true;
		}
		else if (c == '}' || c == ']')
			depth--;
	}
	return false;
}

/*
 * A copy in which every \u escape of what cannot be held is one of SUBSTITUTE;
 * NULL if there is none.  A backslash stands in strings only, or the text is no
 * JSON, which the parser will tell.
 */
static char *
substitute_escapes(const char *text, int len)
{
	const char *end = text + len;
	const char *s = text;
	char	   *copy = NULL;

	while ((s = memchr(s, '\\', end - s)) != NULL)
	{
		bool		bad = false;
		int			n = escape_len(s, end, &bad);

		if (bad)
		{
			if (copy == NULL)
				copy = pnstrdup(text, len);
			for (int i = 0; i < n; i += 6)
				memcpy(copy + (s - text) + i + 2, SUBSTITUTE_HEX, 4);
		}
		s += n;
	}
	return copy;
}

/*
 * How many bytes the escape at "s" has; a surrogate pair is one.  *bad is set if
 * no text can hold its character.
 */
static int
escape_len(const char *s, const char *end, bool *bad)
{
	pg_wchar	c;
	pg_wchar	low;

	if (!read_escape(s, end, &c))
		return Min(2, end - s);
	if (is_utf16_surrogate_first(c) && read_escape(s + 6, end, &low) && is_utf16_surrogate_second(low))
	{
		*bad = !taskapi_encoding_has(surrogate_pair_to_codepoint(c, low));
		return 12;
	}
	*bad = (c == 0 || is_utf16_surrogate_first(c) || is_utf16_surrogate_second(c) || !taskapi_encoding_has(c));
	return 6;
}

/* Is it \u and four hexadecimal digits? */
static bool
read_escape(const char *s, const char *end, pg_wchar *c)
{
	if (end - s < 6 || s[0] != '\\' || s[1] != 'u')
		return false;
	*c = 0;
	for (int i = 2; i < 6; i++)
	{
		int			digit = taskapi_hex_digit(s[i]);

		if (digit < 0)
			return false;
		*c = *c << 4 | digit;
	}
	return true;
}
