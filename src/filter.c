/*-------------------------------------------------------------------------
 *
 * filter.c
 *	  Filters: JSON to conditions, conditions to SQL with parameters (filter.h).
 *
 * A value is read by its type's input function, whose complaints are the client's
 * fault.  All values are read in one subtransaction, so that whatever the function
 * had begun is cleaned up before the complaint becomes invalid_filter.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/resowner.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "compat.h"
#include "filter.h"
#include "problem.h"

static const struct
{
	const char *name;
	TaskapiFilterOp op;
}			operators[] =
{
	{"eq", FILTER_EQ}, {"neq", FILTER_NEQ}, {"gt", FILTER_GT}, {"gte", FILTER_GTE}, {"lt", FILTER_LT}, {"lte", FILTER_LTE},
	{"in", FILTER_IN}, {"like", FILTER_LIKE}, {"ilike", FILTER_ILIKE}, {"cs", FILTER_CS}, {"cd", FILTER_CD}, {"ov", FILTER_OV}
};

static List *parse_operators(List *conditions, const char *column, JsonbContainer *object);
static List *add_condition(List *conditions, const char *column, TaskapiFilterOp op, const JsonbValue *value);
static TaskapiFilterOp parse_is(const char *column, const JsonbValue *value);
static const char *operator_name(TaskapiFilterOp op);
static const char *operator_sql(const TaskapiFilterBinding *binding);
static Oid	containment_operator(TaskapiFilterOp op, Oid type);
static void check_pattern(const TaskapiFilterCondition *condition, const TaskapiFilterBinding *binding);
static Datum read_condition(const TaskapiFilterCondition *condition, const TaskapiFilterBinding *binding);
static Datum read_value(const JsonbValue *value, Oid type, const char *column);
static void append_array_literal(StringInfo buf, JsonbContainer *array, const char *column);
static char *scalar_text(const JsonbValue *value);
static bool clients_fault(int sqlerrcode);

#define refuse(column, ...) \
	taskapi_problem(PROBLEM_INVALID_FILTER, NIL, NULL, __VA_ARGS__, column)

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
		if (token == WJB_KEY)
			column = pnstrdup(value.val.string.val, value.val.string.len);
		else if (value.type == jbvBinary && JsonContainerIsObject(value.val.binary.data))
			conditions = parse_operators(conditions, column, value.val.binary.data);
		else if (value.type == jbvBinary)
			taskapi_problem(PROBLEM_INVALID_FILTER, NIL, "Write {\"in\": [...]} for any of several values.",
							"Column \"%s\" has a bare array.", column);
		else
			conditions = add_condition(conditions, column, FILTER_EQ, &value);
	}
	return conditions;
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
			taskapi_problem(PROBLEM_INVALID_FILTER, NIL, "The operators are eq neq gt gte lt lte in is like ilike cs cd ov.",
							"Column \"%s\" has an unknown operator \"%s\".", column, name);
	}
	if (n == 0)
		refuse(column, "Column \"%s\" has an object without an operator.");
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
							"Column \"%s\" is compared with null, which is true of no row.", column);
		if (op == FILTER_IN && !(value->type == jbvBinary && JsonContainerIsArray(value->val.binary.data) &&
								 !JsonContainerIsScalar(value->val.binary.data)))
			refuse(column, "Operator \"in\" of column \"%s\" needs an array.");
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
	refuse(column, "Operator \"is\" of column \"%s\" needs null, true, false, \"unknown\" or \"not_null\".");
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
	JsonbParseState *state = NULL;
	JsonbValue *result;
	ListCell   *cell;

	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	foreach(cell, conditions)
	{
		TaskapiFilterCondition *condition = lfirst(cell);
		JsonbValue	v;

		v.type = jbvString;
		v.val.string.val = condition->column;
		v.val.string.len = strlen(condition->column);
		pushJsonbValue(&state, WJB_ELEM, &v);
		v.type = jbvNumeric;
		v.val.numeric = int64_to_numeric(condition->op);
		pushJsonbValue(&state, WJB_ELEM, &v);
		if (FILTER_HAS_PARAMETER(condition->op))
			pushJsonbValue(&state, WJB_ELEM, &condition->value);
	}
	result = pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	return JsonbValueToJsonb(result);
}

TaskapiFilterBinding *
taskapi_filter_bind(List *conditions, const TaskapiPageSource *source)
{
	TaskapiFilterBinding *bindings = palloc0(sizeof(TaskapiFilterBinding) * Max(list_length(conditions), 1));
	ListCell   *cell;

	foreach(cell, conditions)
	{
		TaskapiFilterCondition *condition = lfirst(cell);
		TaskapiFilterBinding *binding = &bindings[foreach_current_index(cell)];
		const char *sql;

		binding->column = taskapi_page_column(source, condition->column);
		binding->op = condition->op;
		if (binding->column == NULL)
			refuse(condition->column, "There is no column \"%s\" that can be read.");
		if (FILTER_HAS_PARAMETER(condition->op))
		{
			binding->argtype = binding->column->basetype;
			if (condition->op == FILTER_IN)
				binding->argtype = get_array_type(binding->argtype);
			else if (condition->op == FILTER_LIKE || condition->op == FILTER_ILIKE)
				binding->argtype = TEXTOID;
		}
		else if (condition->op != FILTER_IS_NULL && condition->op != FILTER_IS_NOT_NULL &&
				 binding->column->basetype != BOOLOID)
			refuse(condition->column, "Column \"%s\" is not boolean.");

		sql = operator_sql(binding);
		if (sql == NULL || (FILTER_HAS_PARAMETER(condition->op) && !OidIsValid(binding->argtype)))
			taskapi_problem(PROBLEM_INVALID_FILTER, NIL, NULL, "Column \"%s\" of type %s has no operator \"%s\".",
							condition->column, format_type_be(binding->column->typid), operator_name(condition->op));
		binding->sql = psprintf("%s %s", binding->column->sql, sql);
	}
	return bindings;
}

static const char *
operator_name(TaskapiFilterOp op)
{
	for (int i = 0; i < lengthof(operators); i++)
	{
		if (operators[i].op == op)
			return operators[i].name;
	}
	return "is";
}

/*
 * What stands behind the column; NULL where the type has no such operator.
 */
static const char *
operator_sql(const TaskapiFilterBinding *binding)
{
	static const int strategies[] = {
		[FILTER_GT] = BTGreaterStrategyNumber, [FILTER_GTE] = BTGreaterEqualStrategyNumber,
		[FILTER_LT] = BTLessStrategyNumber, [FILTER_LTE] = BTLessEqualStrategyNumber
	};
	Oid			type = binding->column->basetype;
	TypeCacheEntry *cache;
	Oid			opno = InvalidOid;
	bool		any = false;

	switch (binding->op)
	{
		case FILTER_IS_NULL:
			return "IS NULL";
		case FILTER_IS_NOT_NULL:
			return "IS NOT NULL";
		case FILTER_IS_TRUE:
			return "IS TRUE";
		case FILTER_IS_FALSE:
			return "IS FALSE";
		case FILTER_IS_UNKNOWN:
			return "IS UNKNOWN";
		case FILTER_EQ:
		case FILTER_NEQ:
		case FILTER_IN:
			cache = lookup_type_cache(type, TYPECACHE_EQ_OPR);
			opno = cache->eq_opr;
			if (binding->op == FILTER_NEQ && OidIsValid(opno))
				opno = get_negator(opno);
			any = (binding->op == FILTER_IN);
			break;
		case FILTER_GT:
		case FILTER_GTE:
		case FILTER_LT:
		case FILTER_LTE:
			/* GT_OPR besides, since only that looks whether an array's elements have an order */
			cache = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY | TYPECACHE_GT_OPR);
			if (OidIsValid(cache->gt_opr))
				opno = get_opfamily_member(cache->btree_opf, cache->btree_opintype, cache->btree_opintype,
										   strategies[binding->op]);
			break;
		case FILTER_LIKE:
		case FILTER_ILIKE:
			{
				char	   *name = binding->op == FILTER_LIKE ? "~~" : "~~*";
				char		category;
				bool		preferred;
				HeapTuple	tuple;

				get_type_category_preferred(type, &category, &preferred);
				if (category != TYPCATEGORY_STRING || type == CHAROID ||
					(OidIsValid(binding->column->collation) && !get_collation_isdeterministic(binding->column->collation)))
					return NULL;

				/* A type of an extension may have its own, as citext does */
				tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
				if (!HeapTupleIsValid(tuple))
					elog(ERROR, "cache lookup failed for type %u", type);
				opno = OpernameGetOprid(list_make2(makeString(get_namespace_name(((Form_pg_type) GETSTRUCT(tuple))->typnamespace)),
												   makeString(name)), type, type);
				ReleaseSysCache(tuple);
				if (!OidIsValid(opno))
					return psprintf("OPERATOR(pg_catalog.%s) $%%d", name);
				break;
			}
		case FILTER_CS:
		case FILTER_CD:
		case FILTER_OV:
			opno = containment_operator(binding->op, type);
			break;
	}
	if (!OidIsValid(opno))
		return NULL;
	return psprintf(any ? "%s ANY ($%%d)" : "%s $%%d", taskapi_operator_sql(opno));
}

static Oid
containment_operator(TaskapiFilterOp op, Oid type)
{
	char	   *name = op == FILTER_CS ? "@>" : op == FILTER_CD ? "<@" : "&&";
	char		typtype = get_typtype(type);
	Oid			operand;

	if (type_is_array(type))
	{
		if (!OidIsValid(lookup_type_cache(get_element_type(type), TYPECACHE_EQ_OPR)->eq_opr))
			return InvalidOid;
		operand = ANYARRAYOID;
	}
	else if (typtype == TYPTYPE_RANGE)
		operand = ANYRANGEOID;
	else if (typtype == TYPTYPE_MULTIRANGE)
		operand = ANYMULTIRANGEOID;
	else if (type == JSONBOID && op != FILTER_OV)
		operand = JSONBOID;
	else
		return InvalidOid;
	return OpernameGetOprid(list_make2(makeString("pg_catalog"), makeString(name)), operand, operand);
}

void
taskapi_filter_values(List *conditions, const TaskapiFilterBinding *bindings, Datum *values)
{
	MemoryContext old_context = CurrentMemoryContext;
	ResourceOwner old_owner = CurrentResourceOwner;
	const TaskapiFilterCondition *volatile current = NULL;
	ListCell   *cell;
	volatile int n = 0;

	if (conditions == NIL)
		return;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(old_context);
	PG_TRY();
	{
		foreach(cell, conditions)
		{
			const TaskapiFilterCondition *condition = lfirst(cell);

			current = condition;
			if (FILTER_HAS_PARAMETER(condition->op))
				values[n++] = read_condition(condition, &bindings[foreach_current_index(cell)]);
		}
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(old_context);
		CurrentResourceOwner = old_owner;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(old_context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(old_context);
		CurrentResourceOwner = old_owner;
		if (!clients_fault(error->sqlerrcode))
			ReThrowError(error);
		taskapi_problem(PROBLEM_INVALID_FILTER, NIL, NULL, "Operator \"%s\" of column \"%s\": %s.",
						operator_name(current->op), current->column, error->message);
	}
	PG_END_TRY();
}

/*
 * Is an error of an input function about the value, rather than about the server?
 */
static bool
clients_fault(int sqlerrcode)
{
	switch (ERRCODE_TO_CATEGORY(sqlerrcode))
	{
		case MAKE_SQLSTATE('2', '2', '0', '0', '0'):	/* data exception */
		case MAKE_SQLSTATE('2', '3', '0', '0', '0'):	/* a domain inside of a composite or range */
		case MAKE_SQLSTATE('3', 'F', '0', '0', '0'):	/* a name that an input function looks up, as regclass does */
		case MAKE_SQLSTATE('4', '2', '0', '0', '0'):
		case MAKE_SQLSTATE('5', '4', '0', '0', '0'):	/* too large */
		case MAKE_SQLSTATE('0', 'A', '0', '0', '0'):
			return true;
		default:
			/* a cursor: the problems of its own input function, in and outside of a request */
			return sqlerrcode == MAKE_SQLSTATE('P', 'G', 'R', 'S', 'T') ||
				sqlerrcode == MAKE_SQLSTATE('P', 'T', '4', '1', '0');
	}
}

static Datum
read_condition(const TaskapiFilterCondition *condition, const TaskapiFilterBinding *binding)
{
	Oid			type = binding->column->basetype;
	ArrayType  *array;
	int			n = 0;
	Datum	   *elements;
	JsonbIterator *it;
	JsonbValue	v;
	int16		typlen;
	bool		typbyval;
	char		typalign;

	if (condition->op == FILTER_LIKE || condition->op == FILTER_ILIKE)
		check_pattern(condition, binding);
	if (condition->op != FILTER_IN)
		return read_value(&condition->value,
						  condition->op == FILTER_LIKE || condition->op == FILTER_ILIKE ? TEXTOID : type,
						  condition->column);

	elements = palloc(sizeof(Datum) * Max(JsonContainerSize(condition->value.val.binary.data), 1));
	it = JsonbIteratorInit(condition->value.val.binary.data);
	(void) JsonbIteratorNext(&it, &v, false);
	while (JsonbIteratorNext(&it, &v, true) == WJB_ELEM)
		elements[n++] = read_value(&v, type, condition->column);
	get_typlenbyvalalign(type, &typlen, &typbyval, &typalign);
	array = construct_array(elements, n, type, typlen, typbyval, typalign);
	return PointerGetDatum(array);
}

/*
 * LIKE fails on a pattern that ends with its escape character, when it happens to get there.
 */
static void
check_pattern(const TaskapiFilterCondition *condition, const TaskapiFilterBinding *binding)
{
	const char *p;
	const char *end;

	if (condition->value.type != jbvString)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a pattern is a string")));
	p = condition->value.val.string.val;
	end = p + condition->value.val.string.len;
	while (p < end)
	{
		if (*p == '\\' && ++p == end)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_ESCAPE_SEQUENCE),
					 errmsg("LIKE pattern must not end with escape character")));
		p++;
	}
}

static Datum
read_value(const JsonbValue *value, Oid type, const char *column)
{
	Oid			input;
	Oid			ioparam;
	char	   *str;

	if (type == JSONBOID || type == JSONOID)
	{
		Jsonb	   *jb = JsonbValueToJsonb(unconstify(JsonbValue *, value));

		if (type == JSONBOID)
			return JsonbPGetDatum(jb);
		str = JsonbToCString(NULL, &jb->root, VARSIZE(jb));
	}
	else if (value->type == jbvNull)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("null is equal to nothing")));
	else if (value->type != jbvBinary)
		str = scalar_text(value);
	else if (JsonContainerIsArray(value->val.binary.data) && type_is_array(type))
	{
		StringInfoData buf;

		initStringInfo(&buf);
		append_array_literal(&buf, value->val.binary.data, column);
		str = buf.data;
	}
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is written as a scalar", format_type_be(type))));

	getTypeInputInfo(type, &input, &ioparam);
	return OidInputFunctionCall(input, str, ioparam, -1);
}

static void
append_array_literal(StringInfo buf, JsonbContainer *array, const char *column)
{
	JsonbIterator *it = JsonbIteratorInit(array);
	JsonbValue	v;
	bool		first = true;

	check_stack_depth();
	appendStringInfoChar(buf, '{');
	(void) JsonbIteratorNext(&it, &v, false);
	while (JsonbIteratorNext(&it, &v, true) == WJB_ELEM)
	{
		if (!first)
			appendStringInfoChar(buf, ',');
		first = false;
		if (v.type == jbvNull)
			appendStringInfoString(buf, "NULL");
		else if (v.type == jbvBinary && JsonContainerIsArray(v.val.binary.data))
			append_array_literal(buf, v.val.binary.data, column);
		else
		{
			char	   *str;

			if (v.type == jbvBinary)
				str = JsonbToCString(NULL, v.val.binary.data, v.val.binary.len);
			else
				str = scalar_text(&v);
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

static char *
scalar_text(const JsonbValue *value)
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
