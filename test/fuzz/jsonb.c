/*-------------------------------------------------------------------------
 *
 * jsonb.c
 *	  See jsonb.h.
 *
 * A container is a header and, in place of entries, the numbers of its values in one
 * array of all; those of an object are key, value, key, value.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/jsonapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/numeric.h"

#include "base/compat.h"
#include "base/number.h"
#include "jsonb.h"
#include "server.h"

typedef struct Level
{
	struct Level *parent;
	bool		is_object;
	JsonbValue *values;
	int			nvalues;
	int			allocated;
} Level;

typedef struct Reader
{
	Level	   *level;
	JsonbValue	root;
} Reader;

static JsonbValue *all;
static int	nall;
static int	nallocated;

static void
add_value(Level *level, const JsonbValue *value)
{
	if (level->nvalues == level->allocated)
	{
		level->allocated = Max(8, 2 * level->allocated);
		level->values = level->values ? repalloc(level->values, level->allocated * sizeof(JsonbValue)) :
			palloc(level->allocated * sizeof(JsonbValue));
	}
	level->values[level->nvalues++] = *value;
}

static int
compare_keys(const JsonbValue *a, const JsonbValue *b)
{
	if (a->val.string.len != b->val.string.len)
		return a->val.string.len - b->val.string.len;
	return memcmp(a->val.string.val, b->val.string.val, a->val.string.len);
}

/* Sort pairs by their keys; of equal ones the last stays. */
static void
sort_pairs(Level *level)
{
	int			n = 0;

	for (int i = 0; i < level->nvalues; i += 2)
	{
		JsonbValue	key = level->values[i];
		JsonbValue	value = level->values[i + 1];
		int			at = n;

		while (at > 0 && compare_keys(&level->values[at - 2], &key) > 0)
			at -= 2;
		if (at > 0 && compare_keys(&level->values[at - 2], &key) == 0)
		{
			level->values[at - 1] = value;
			continue;
		}
		memmove(&level->values[at + 2], &level->values[at], (n - at) * sizeof(JsonbValue));
		level->values[at] = key;
		level->values[at + 1] = value;
		n += 2;
	}
	level->nvalues = n;
}

static Jsonb *
make_container(Level *level, uint32 flags)
{
	Size		size = offsetof(Jsonb, root) + offsetof(JsonbContainer, children) + level->nvalues * sizeof(JEntry);
	Jsonb	   *jsonb = palloc(size);

	SET_VARSIZE(jsonb, size);
	jsonb->root.header = flags | (flags & JB_FOBJECT ? level->nvalues / 2 : level->nvalues);
	for (int i = 0; i < level->nvalues; i++)
	{
		if (nall == nallocated)
		{
			/* of malloc, and kept from run to run */
			nallocated = Max(1024, 2 * nallocated);
			all = realloc(all, nallocated * sizeof(JsonbValue));
			if (all == NULL)
				abort();
		}
		all[nall] = level->values[i];
		jsonb->root.children[i] = nall++;
	}
	return jsonb;
}

static void
set_binary(JsonbValue *value, Jsonb *jsonb)
{
	value->type = jbvBinary;
	value->val.binary.data = &jsonb->root;
	value->val.binary.len = VARSIZE(jsonb) - VARHDRSZ;
}

static void
finish_value(Reader *reader, const JsonbValue *value)
{
	if (reader->level)
		add_value(reader->level, value);
	else
		reader->root = *value;
}

static TASKAPI_JSON_ACTION
begin(Reader *reader, bool is_object)
{
	Level	   *level = palloc0(sizeof(Level));

	level->parent = reader->level;
	level->is_object = is_object;
	reader->level = level;
	return TASKAPI_JSON_GO_ON;
}

static TASKAPI_JSON_ACTION
begin_object(void *state)
{
	return begin(state, true);
}

static TASKAPI_JSON_ACTION
begin_array(void *state)
{
	return begin(state, false);
}

static TASKAPI_JSON_ACTION
end(void *state)
{
	Reader	   *reader = state;
	Level	   *level = reader->level;
	JsonbValue	value;

	if (level->is_object)
		sort_pairs(level);
	set_binary(&value, make_container(level, level->is_object ? JB_FOBJECT : JB_FARRAY));
	reader->level = level->parent;
	finish_value(reader, &value);
	return TASKAPI_JSON_GO_ON;
}

static TASKAPI_JSON_ACTION
field(void *state, char *name, bool isnull)
{
	Reader	   *reader = state;
	JsonbValue	key;

	key.type = jbvString;
	key.val.string.val = name;
	key.val.string.len = strlen(name);
	add_value(reader->level, &key);
	return TASKAPI_JSON_GO_ON;
}

static Numeric
number(const char *text)
{
	Size		len = strlen(text);
	struct varlena *result = palloc(VARHDRSZ + len);

	SET_VARSIZE(result, VARHDRSZ + len);
	memcpy(VARDATA(result), text, len);
	return (Numeric) result;
}

static TASKAPI_JSON_ACTION
scalar(void *state, char *token, JsonTokenType type)
{
	JsonbValue	value;

	switch (type)
	{
		case JSON_TOKEN_STRING:
			value.type = jbvString;
			value.val.string.val = token;
			value.val.string.len = strlen(token);
			break;
		case JSON_TOKEN_NUMBER:
			value.type = jbvNumeric;
			value.val.numeric = number(token);
			break;
		case JSON_TOKEN_NULL:
			value.type = jbvNull;
			break;
		default:
			value.type = jbvBool;
			value.val.boolean = (type == JSON_TOKEN_TRUE);
	}
	finish_value(state, &value);
	return TASKAPI_JSON_GO_ON;
}

Jsonb *
fuzz_jsonb(const char *text)
{
	Reader		reader = {0};
	JsonSemAction sem = {0};

	nall = 0;
	sem.semstate = &reader;
	sem.object_start = begin_object;
	sem.object_end = end;
	sem.array_start = begin_array;
	sem.array_end = end;
	sem.object_field_start = field;
	sem.scalar = scalar;
	if (pg_parse_json(taskapi_json_lexer(text, strlen(text), PG_UTF8), &sem) != JSON_SUCCESS)
		return NULL;
	return JsonbValueToJsonb(&reader.root);
}

/* The server's interface */

JsonbIterator *
JsonbIteratorInit(JsonbContainer *container)
{
	JsonbIterator *it = palloc0(sizeof(JsonbIterator));

	it->container = container;
	it->nElems = JsonContainerSize(container) * (JsonContainerIsObject(container) ? 2 : 1);
	it->curIndex = -1;
	return it;
}

/* Containers within are always skipped, as all of our callers do. */
JsonbIteratorToken
JsonbIteratorNext(JsonbIterator **it, JsonbValue *value, bool skip_nested)
{
	JsonbContainer *container = (*it)->container;
	bool		is_object = JsonContainerIsObject(container);
	int			i = (*it)->curIndex++;

	if (i < 0)
		return is_object ? WJB_BEGIN_OBJECT : WJB_BEGIN_ARRAY;
	PROPERTY(skip_nested);
	if (i == (*it)->nElems)
	{
		pfree(*it);
		*it = NULL;
		return is_object ? WJB_END_OBJECT : WJB_END_ARRAY;
	}
	*value = all[container->children[i]];
	return !is_object ? WJB_ELEM : i % 2 == 0 ? WJB_KEY : WJB_VALUE;
}

/* Arrays only: "state" holds their elements so far. */
JsonbValue *
pushJsonbValue(JsonbParseState **state, JsonbIteratorToken token, JsonbValue *value)
{
	Level	   *level = (Level *) *state;
	JsonbValue *result;

	switch (token)
	{
		case WJB_BEGIN_ARRAY:
			*state = palloc0(sizeof(Level));
			return NULL;
		case WJB_ELEM:
			add_value(level, value);
			return NULL;
		case WJB_END_ARRAY:
			result = palloc(sizeof(JsonbValue));
			set_binary(result, make_container(level, JB_FARRAY));
			return result;
		default:
			abort();
	}
}

Jsonb *
JsonbValueToJsonb(JsonbValue *value)
{
	Level		level = {0};

	if (value->type == jbvBinary)
		return (Jsonb *) ((char *) value->val.binary.data - offsetof(Jsonb, root));
	add_value(&level, value);
	return make_container(&level, JB_FARRAY | JB_FSCALAR);
}

char *
JsonbToCString(StringInfo out, JsonbContainer *container, int estimated_len)
{
	StringInfoData buf;
	int			n = JsonContainerSize(container) * (JsonContainerIsObject(container) ? 2 : 1);

	initStringInfo(&buf);
	if (!JsonContainerIsScalar(container))
		appendStringInfoChar(&buf, JsonContainerIsObject(container) ? '{' : '[');
	for (int i = 0; i < n; i++)
	{
		if (i > 0)
			appendStringInfoString(&buf, JsonContainerIsObject(container) && i % 2 == 1 ? ": " : ", ");
		fuzz_jsonb_append(&buf, &all[container->children[i]]);
	}
	if (!JsonContainerIsScalar(container))
		appendStringInfoChar(&buf, JsonContainerIsObject(container) ? '}' : ']');
	return buf.data;
}

Numeric
int64_to_numeric(int64 value)
{
	return number(psprintf("%lld", (long long) value));
}

char *
numeric_normalize(Numeric num)
{
	return pnstrdup(VARDATA(num), VARSIZE(num) - VARHDRSZ);
}

char *
fuzz_jsonb_text(Jsonb *jsonb)
{
	return JsonbToCString(NULL, &jsonb->root, VARSIZE(jsonb));
}

int
taskapi_number_digits(Numeric num)
{
	return VARSIZE(num) - VARHDRSZ;
}

void
fuzz_jsonb_append(StringInfo buf, const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
			appendStringInfoString(buf, "null");
			break;
		case jbvBool:
			appendStringInfoString(buf, value->val.boolean ? "true" : "false");
			break;
		case jbvNumeric:
			appendStringInfoString(buf, numeric_normalize(value->val.numeric));
			break;
		case jbvString:
			fuzz_jsonb_append_string(buf, value->val.string.val, value->val.string.len);
			break;
		case jbvBinary:
			appendStringInfoString(buf, JsonbToCString(NULL, value->val.binary.data, 0));
			break;
		default:
			abort();
	}
}

void
fuzz_jsonb_append_string(StringInfo buf, const char *str, int len)
{
	appendStringInfoChar(buf, '"');
	for (int i = 0; i < len; i++)
	{
		if (str[i] == '"' || str[i] == '\\')
			appendStringInfoChar(buf, '\\');
		if ((uint8) str[i] < 0x20)
			appendStringInfo(buf, "\\u%04x", (uint8) str[i]);
		else
			appendStringInfoChar(buf, str[i]);
	}
	appendStringInfoChar(buf, '"');
}
