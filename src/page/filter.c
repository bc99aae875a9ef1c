/*-------------------------------------------------------------------------
 *
 * filter.c
 *	  Filters: JSON to conditions, and their values to text (filter.h).
 *
 * All that is done with a filter before a table or type is known, so that it can be
 * fuzzed without a server.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "base/compat.h"
#include "base/number.h"
#include "page/filter.h"
#include "http/problem.h"

static const struct
{
	const char *name;
	TaskapiFilterOp op;
}			operators[] =
{
	{"eq", FILTER_EQ}, {"neq", FILTER_NEQ}, {"gt", FILTER_GT}, {"gte", FILTER_GTE}, {"lt", FILTER_LT}, {"lte", FILTER_LTE},
	{"in", FILTER_IN}, {"like", FILTER_LIKE}, {"ilike", FILTER_ILIKE}, {"cs", FILTER_CS}, {"cd", FILTER_CD}, {"ov", FILTER_OV},
	{"contains", FILTER_CONTAINS}, {"overlaps", FILTER_OVERLAPS}, {"matches", FILTER_MATCHES}, {"is_like", FILTER_IS_LIKE}
};

static void check_numbers(const char *column, const JsonbValue *value);
static List *parse_operators(List *conditions, const char *column, JsonbContainer *object);
static List *add_condition(List *conditions, const char *column, TaskapiFilterOp op, const JsonbValue *value);
static TaskapiFilterOp parse_is(const char *column, const JsonbValue *value);

List *
taskapi_filter_parse(Jsonb *filter)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	value;
	char	   *column = NULL;
	List	   *conditions = NIL;

	if (filter == NULL)
		return NIL;
	if (!JB_ROOT_IS_OBJECT(filter))
		taskapi_problem(PROBLEM_INVALID_FILTER, NIL, "Write {\"column\": value} or {\"column\": {\"operator\": value}}.",
						"A filter is a JSON object.");

	it = JsonbIteratorInit(&filter->root);
	(void) JsonbIteratorNext(&it, &value, false);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_END_OBJECT)
	{
		CHECK_FOR_INTERRUPTS();
		if (token == WJB_KEY)
		{
			column = pnstrdup(value.val.string.val, value.val.string.len);
			continue;
		}
		check_numbers(column, &value);
		if (value.type == jbvBinary && JsonContainerIsObject(value.val.binary.data))
			conditions = parse_operators(conditions, column, value.val.binary.data);
		else if (value.type == jbvBinary)
			taskapi_problem(PROBLEM_INVALID_FILTER, NIL, "Write {\"in\": [...]} for any of several values.",
							"Column \"%s\" has a bare array.", column);
		else
			conditions = add_condition(conditions, column, FILTER_EQ, &value);
	}
	return conditions;
}

/*
 * Every number of the value, nested ones too: a column's input function reads it, and a Link header holds it, written out.
 */
static void
check_numbers(const char *column, const JsonbValue *value)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	v;

	check_stack_depth();
	if (value->type == jbvNumeric && taskapi_number_digits(value->val.numeric) > TASKAPI_MAX_FILTER_DIGITS)
		taskapi_problem(PROBLEM_INVALID_FILTER, NIL, "An exponent counts as the zeros that it stands for.",
						"Column \"%s\" has a number of more than %d digits.", column, TASKAPI_MAX_FILTER_DIGITS);
	if (value->type != jbvBinary)
		return;
	it = JsonbIteratorInit(value->val.binary.data);
	(void) JsonbIteratorNext(&it, &v, false);
	while ((token = JsonbIteratorNext(&it, &v, true)) == WJB_ELEM || token == WJB_KEY || token == WJB_VALUE)
	{
		CHECK_FOR_INTERRUPTS();
		if (token != WJB_KEY)
			check_numbers(column, &v);
	}
}

static List *
parse_operators(List *conditions, const char *column, JsonbContainer *object)
{
	JsonbIterator *it = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	JsonbValue	value;
	char	   *name = NULL;
	int			n = 0;

	(void) JsonbIteratorNext(&it, &value, false);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_END_OBJECT)
	{
		bool		known = false;

		CHECK_FOR_INTERRUPTS();
		if (token == WJB_KEY)
		{
			name = pnstrdup(value.val.string.val, value.val.string.len);
			continue;
		}
		n++;
		if (strcmp(name, "is") == 0)
		{
			conditions = add_condition(conditions, column, parse_is(column, &value), &value);
			continue;
		}
		for (int i = 0; i < lengthof(operators) && !known; i++)
		{
			if (strcmp(name, operators[i].name) == 0)
			{
				conditions = add_condition(conditions, column, operators[i].op, &value);
				known = true;
			}
		}
		if (!known)
			taskapi_problem(PROBLEM_INVALID_FILTER, NIL,
							"The operators are eq neq gt gte lt lte in is like ilike cs cd ov contains overlaps matches is_like.",
							"Column \"%s\" has an unknown operator \"%s\".", column, name);
	}
	if (n == 0)
		taskapi_problem(PROBLEM_INVALID_FILTER, NIL, NULL, "Column \"%s\" has an object without an operator.", column);
	return conditions;
}

static List *
add_condition(List *conditions, const char *column, TaskapiFilterOp op, const JsonbValue *value)
{
	TaskapiFilterCondition *condition = palloc0(sizeof(TaskapiFilterCondition));

	condition->column = pstrdup(column);
	condition->op = op;
	condition->value = *value;
	if (FILTER_HAS_PARAMETER(op))
	{
		if (value->type == jbvNull)
			taskapi_problem(PROBLEM_INVALID_FILTER, NIL, "Write {\"is\": null} for rows without a value.",
							"Column \"%s\" is compared with null, which matches no row.", column);
		if (op == FILTER_IN && !(value->type == jbvBinary && JsonContainerIsArray(value->val.binary.data) &&
								 !JsonContainerIsScalar(value->val.binary.data)))
			taskapi_problem(PROBLEM_INVALID_FILTER, NIL, NULL, "Operator \"in\" of column \"%s\" needs an array.", column);
	}
	return lappend(conditions, condition);
}

static TaskapiFilterOp
parse_is(const char *column, const JsonbValue *value)
{
	if (value->type == jbvNull)
		return FILTER_IS_NULL;
	if (value->type == jbvBool)
		return value->val.boolean ? FILTER_IS_TRUE : FILTER_IS_FALSE;
	if (value->type == jbvString)
	{
		char	   *word = pnstrdup(value->val.string.val, value->val.string.len);

		if (pg_strcasecmp(word, "null") == 0)
			return FILTER_IS_NULL;
		if (pg_strcasecmp(word, "not_null") == 0)
			return FILTER_IS_NOT_NULL;
		if (pg_strcasecmp(word, "true") == 0)
			return FILTER_IS_TRUE;
		if (pg_strcasecmp(word, "false") == 0)
			return FILTER_IS_FALSE;
		if (pg_strcasecmp(word, "unknown") == 0)
			return FILTER_IS_UNKNOWN;
	}
	taskapi_problem(PROBLEM_INVALID_FILTER, NIL, NULL,
					"Operator \"is\" of column \"%s\" needs null, true, false, \"unknown\" or \"not_null\".", column);
}

void
taskapi_filter_shape(List *conditions, StringInfo buf)
{
	ListCell   *cell;

	foreach(cell, conditions)
	{
		TaskapiFilterCondition *condition = lfirst(cell);

		/* the length makes it unambiguous */
		appendStringInfo(buf, "%d:%zu:%s,", condition->op, strlen(condition->column), condition->column);
	}
}

/*
 * A column with one condition of equality is written like one with a scalar, so that both are the same.
 */
Jsonb *
taskapi_filter_canonical(List *conditions)
{
	TaskapiJsonbState state = {0};
	ListCell   *cell;

	taskapi_push_jsonb(&state, WJB_BEGIN_ARRAY, NULL);
	foreach(cell, conditions)
	{
		TaskapiFilterCondition *condition = lfirst(cell);
		JsonbValue	v;

		CHECK_FOR_INTERRUPTS();
		v.type = jbvString;
		v.val.string.val = condition->column;
		v.val.string.len = strlen(condition->column);
		taskapi_push_jsonb(&state, WJB_ELEM, &v);
		v.type = jbvNumeric;
		v.val.numeric = int64_to_numeric(condition->op);
		taskapi_push_jsonb(&state, WJB_ELEM, &v);
		if (FILTER_HAS_PARAMETER(condition->op))
			taskapi_push_jsonb(&state, WJB_ELEM, &condition->value);
	}
	taskapi_push_jsonb(&state, WJB_END_ARRAY, NULL);
	return JsonbValueToJsonb(state.result);
}

const char *
taskapi_filter_operator_name(TaskapiFilterOp op)
{
	for (int i = 0; i < lengthof(operators); i++)
	{
		if (operators[i].op == op)
			return operators[i].name;
	}
	return "is";
}

/*
 * LIKE fails on a pattern that ends with its escape character, when it happens to get there.
 */
void
taskapi_filter_check_pattern(const JsonbValue *pattern)
{
	const char *p;
	const char *end;

	if (pattern->type != jbvString)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a pattern is a string")));
	p = pattern->val.string.val;
	end = p + pattern->val.string.len;
	while (p < end)
	{
		if (*p == '\\' && ++p == end)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_ESCAPE_SEQUENCE),
					 errmsg("LIKE pattern must not end with escape character")));
		p++;
	}
}

void
taskapi_filter_array_literal(JsonbContainer *array, StringInfo buf)
{
	JsonbIterator *it = JsonbIteratorInit(array);
	JsonbValue	v;
	bool		first = true;

	check_stack_depth();
	appendStringInfoChar(buf, '{');
	(void) JsonbIteratorNext(&it, &v, false);
	while (JsonbIteratorNext(&it, &v, true) == WJB_ELEM)
	{
		CHECK_FOR_INTERRUPTS();
		if (!first)
			appendStringInfoChar(buf, ',');
		first = false;
		if (v.type == jbvNull)
			appendStringInfoString(buf, "NULL");
		else if (v.type == jbvBinary && JsonContainerIsArray(v.val.binary.data))
			taskapi_filter_array_literal(v.val.binary.data, buf);
		else
		{
			char	   *str;

			if (v.type == jbvBinary)
				str = JsonbToCString(NULL, v.val.binary.data, v.val.binary.len);
			else
				str = taskapi_filter_scalar_text(&v);
			appendStringInfoChar(buf, '"');
			for (char *p = str; *p; p++)
			{
				if (*p == '"' || *p == '\\')
					appendStringInfoChar(buf, '\\');
				appendStringInfoChar(buf, *p);
			}
			appendStringInfoChar(buf, '"');
		}
	}
	appendStringInfoChar(buf, '}');
}

char *
taskapi_filter_scalar_text(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvString:
			return pnstrdup(value->val.string.val, value->val.string.len);
		case jbvNumeric:
			/* 1.0 is the number 1, and reads as an integer */
			return numeric_normalize(value->val.numeric);
		case jbvBool:
			return pstrdup(value->val.boolean ? "true" : "false");
		default:
			elog(ERROR, "unexpected type of JSON scalar: %d", (int) value->type);
			return NULL;		/* keep compiler quiet */
	}
}
