/*
 * filter: any JSON is either refused or a list of conditions that, written out and read again, are the same ones, and mean
 * the same. What "is" says is what it becomes. A pattern that LIKE would fail on is refused; the literal of an array has the elements of the JSON array.
 * Sources: src/page/filter.c test/fuzz/jsonb.c
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"

#include "base/compat.h"
#include "page/filter.h"
#include "jsonb.h"
#include "server.h"

static const char *const is_values[] = {
	[FILTER_IS_NULL] = "null", [FILTER_IS_NOT_NULL] = "\"not_null\"", [FILTER_IS_TRUE] = "true",
	[FILTER_IS_FALSE] = "false", [FILTER_IS_UNKNOWN] = "\"unknown\""
};

/* As long a way as there is: {"column": {"operator": value, ...}, ...} */
static char *
spell(List *conditions)
{
	StringInfoData buf;
	const char *column = NULL;
	ListCell   *cell;

	initStringInfo(&buf);
	appendStringInfoChar(&buf, '{');
	foreach(cell, conditions)
	{
		TaskapiFilterCondition *condition = lfirst(cell);

		if (column && strcmp(column, condition->column) == 0)
			appendStringInfoChar(&buf, ',');
		else
		{
			appendStringInfoString(&buf, column ? "}," : "");
			column = condition->column;
			fuzz_jsonb_append_string(&buf, column, strlen(column));
			appendStringInfoString(&buf, ":{");
		}
		appendStringInfo(&buf, "\"%s\":", taskapi_filter_operator_name(condition->op));
		if (FILTER_HAS_PARAMETER(condition->op))
			fuzz_jsonb_append(&buf, &condition->value);
		else
			appendStringInfoString(&buf, is_values[condition->op]);
	}
	appendStringInfoString(&buf, column ? "}}" : "}");
	return buf.data;
}

static char *
shape_of(List *conditions)
{
	StringInfoData buf;

	initStringInfo(&buf);
	taskapi_filter_shape(conditions, &buf);
	return buf.data;
}

/* What the shape tells is what the conditions are. */
static void
check_shape(List *conditions)
{
	const char *pos = shape_of(conditions);
	ListCell   *cell;

	foreach(cell, conditions)
	{
		TaskapiFilterCondition *condition = lfirst(cell);
		int			op;
		int			len;
		int			read = 0;

		PROPERTY(sscanf(pos, "%d:%d:%n", &op, &len, &read) == 2 && read > 0);
		PROPERTY(op == condition->op && len == strlen(condition->column));
		PROPERTY(strlen(pos) > read + len && memcmp(pos + read, condition->column, len) == 0 && pos[read + len] == ',');
		pos += read + len + 1;
	}
	PROPERTY(*pos == '\0');
}

static void
check_pattern(const JsonbValue *pattern)
{
	volatile bool refused = false;
	int			escapes = 0;

	PG_TRY();
	{
		taskapi_filter_check_pattern(pattern);
	}
	PG_CATCH();
	{
		refused = true;
	}
	PG_END_TRY();
	if (pattern->type == jbvString)
	{
		while (escapes < pattern->val.string.len && pattern->val.string.val[pattern->val.string.len - 1 - escapes] == '\\')
			escapes++;
	}
	PROPERTY(refused == (pattern->type != jbvString || escapes % 2 == 1));
}

/* Reads what array_in() reads, as far as our literals go, and returns what stands behind it. */
static const char *
check_literal(const char *pos, JsonbContainer *array)
{
	JsonbIterator *it = JsonbIteratorInit(array);
	JsonbValue	v;
	bool		first = true;

	PROPERTY(*pos == '{');
	pos++;
	(void) JsonbIteratorNext(&it, &v, false);
	while (JsonbIteratorNext(&it, &v, true) == WJB_ELEM)
	{
		if (!first)
		{
			PROPERTY(*pos == ',');
			pos++;
		}
		first = false;
		if (v.type == jbvBinary && JsonContainerIsArray(v.val.binary.data))
			pos = check_literal(pos, v.val.binary.data);
		else if (v.type == jbvNull)
		{
			PROPERTY(strncmp(pos, "NULL", 4) == 0);
			pos += 4;
		}
		else
		{
			StringInfoData element;
			StringInfoData expected;

			initStringInfo(&element);
			PROPERTY(*pos == '"');
			for (pos++; *pos != '"'; pos++)
			{
				if (*pos == '\\')
					pos++;
				PROPERTY(*pos != '\0');
				appendStringInfoChar(&element, *pos);
			}
			pos++;
			initStringInfo(&expected);
			if (v.type == jbvString)
				appendBinaryStringInfo(&expected, v.val.string.val, v.val.string.len);
			else
				fuzz_jsonb_append(&expected, &v);
			PROPERTY(strcmp(element.data, expected.data) == 0);
		}
	}
	PROPERTY(*pos == '}');
	return pos + 1;
}

static void
check_is(const TaskapiFilterCondition *condition)
{
	static const char *const words[] = {
		[FILTER_IS_NULL] = "null", [FILTER_IS_NOT_NULL] = "not_null", [FILTER_IS_TRUE] = "true",
		[FILTER_IS_FALSE] = "false", [FILTER_IS_UNKNOWN] = "unknown"
	};
	StringInfoData text;

	initStringInfo(&text);
	if (condition->value.type == jbvString)
		appendBinaryStringInfo(&text, condition->value.val.string.val, condition->value.val.string.len);
	else
		fuzz_jsonb_append(&text, &condition->value);
	PROPERTY(pg_strcasecmp(text.data, words[condition->op]) == 0);
}

static void
check_value(TaskapiFilterCondition *condition)
{
	JsonbValue *value = &condition->value;

	PROPERTY(value->type != jbvNull);
	PROPERTY(condition->op != FILTER_IN || (value->type == jbvBinary && JsonContainerIsArray(value->val.binary.data)));
	if (condition->op == FILTER_LIKE || condition->op == FILTER_ILIKE || condition->op == FILTER_IS_LIKE)
		check_pattern(value);
	if (value->type != jbvBinary)
	{
		StringInfoData json;
		const char *text = taskapi_filter_scalar_text(value);

		initStringInfo(&json);
		fuzz_jsonb_append(&json, value);
		PROPERTY(value->type == jbvString ? strlen(text) == value->val.string.len : strcmp(text, json.data) == 0);
	}
	else if (JsonContainerIsArray(value->val.binary.data))
	{
		StringInfoData literal;

		initStringInfo(&literal);
		taskapi_filter_array_literal(value->val.binary.data, &literal);
		PROPERTY(*check_literal(literal.data, value->val.binary.data) == '\0');
	}
}

static void
body(const uint8 *data, size_t size)
{
	Jsonb	   *filter = fuzz_jsonb(input_text(data, size));
	List	   *conditions;
	List	   *again;
	char	   *shape;
	char	   *canonical;
	volatile bool refused = false;
	ListCell   *cell;

	PROPERTY(taskapi_filter_parse(NULL) == NIL);
	if (filter == NULL)
		return;
	conditions = taskapi_filter_parse(filter);
	PROPERTY(JB_ROOT_IS_OBJECT(filter));
	PROPERTY(list_length(conditions) >= JB_ROOT_COUNT(filter));
	foreach(cell, conditions)
	{
		if (FILTER_HAS_PARAMETER(((TaskapiFilterCondition *) lfirst(cell))->op))
			check_value(lfirst(cell));
		else
			check_is(lfirst(cell));
	}
	check_shape(conditions);

	shape = shape_of(conditions);
	canonical = fuzz_jsonb_text(taskapi_filter_canonical(conditions));
	again = NIL;
	filter = fuzz_jsonb(spell(conditions));
	PROPERTY(filter != NULL);
	PG_TRY();
	{
		again = taskapi_filter_parse(filter);
	}
	PG_CATCH();
	{
		refused = true;
	}
	PG_END_TRY();
	PROPERTY(!refused);
	PROPERTY(strcmp(shape_of(again), shape) == 0);
	PROPERTY(strcmp(fuzz_jsonb_text(taskapi_filter_canonical(again)), canonical) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	run_protected(body, data, size);
	return 0;
}
