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
#include "base/json_fields.h"

typedef struct FieldsState
{
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

bool
taskapi_json_fields(const char *text, int len, TaskapiJsonField **fields, int *nfields)
{
	FieldsState state = {0};
	JsonSemAction sem = {0};
	JsonLexContext *lex = taskapi_json_lexer(text, len, GetDatabaseEncoding());

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
