/*-------------------------------------------------------------------------
 *
 * filter_bind.c
 *	  Filters: conditions to SQL with parameters (filter.h).
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
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "page/filter_bind.h"
#include "http/problem.h"

#define MAX_MESSAGE_LENGTH 200	/* bytes of PostgreSQL's own message in that of a problem */

static const char *is_sql(TaskapiFilterOp op);
static char *operator_sql(TaskapiFilterBinding *binding);
static char *function_sql(TaskapiFilterBinding *binding);
static Oid	find_operator(TaskapiFilterOp op, Oid type);
static char *pattern_sql(TaskapiFilterBinding *binding);
static Oid	containment_operator(TaskapiFilterOp op, Oid type);
static Datum read_condition(const TaskapiFilterCondition *condition, const TaskapiFilterBinding *binding);
static Datum read_value(const JsonbValue *value, Oid type, const char *column);
static bool clients_fault(int sqlerrcode);
static const char *cut_message(const char *message);

TaskapiFilterBinding *
taskapi_filter_bind(List *conditions, const TaskapiPageSource *source)
{
	TaskapiFilterBinding *bindings = palloc0(sizeof(TaskapiFilterBinding) * Max(list_length(conditions), 1));
	ListCell   *cell;

	foreach(cell, conditions)
	{
		TaskapiFilterCondition *condition = lfirst(cell);
		TaskapiFilterBinding *binding = &bindings[foreach_current_index(cell)];

		CHECK_FOR_INTERRUPTS();
		binding->column = taskapi_page_column(source, condition->column);
		binding->op = condition->op;
		if (binding->column == NULL)
			taskapi_problem(PROBLEM_INVALID_FILTER, NIL, NULL, "There is no column \"%s\" that can be read.", condition->column);
		if (FILTER_HAS_PARAMETER(condition->op))
			binding->sql = operator_sql(binding);
		else if (condition->op == FILTER_IS_NULL || condition->op == FILTER_IS_NOT_NULL || binding->column->basetype == BOOLOID)
			binding->sql = psprintf("%s %s", binding->column->sql, is_sql(condition->op));
		else
			taskapi_problem(PROBLEM_INVALID_FILTER, NIL, NULL, "Column \"%s\" is not boolean.", condition->column);

		if (binding->sql == NULL)
			taskapi_problem(PROBLEM_INVALID_FILTER, NIL, NULL, "Column \"%s\" of type %s has no operator \"%s\".",
							condition->column, format_type_be(binding->column->typid), taskapi_filter_operator_name(condition->op));
	}
	return bindings;
}

static const char *
is_sql(TaskapiFilterOp op)
{
	switch (op)
	{
		case FILTER_IS_NULL:
			return "IS NULL";
		case FILTER_IS_NOT_NULL:
			return "IS NOT NULL";
		case FILTER_IS_TRUE:
			return "IS TRUE";
		case FILTER_IS_FALSE:
			return "IS FALSE";
		default:
			return "IS UNKNOWN";
	}
}

/*
 * The condition and its argument's type; NULL if the column's type has no such operator.
 */
static char *
operator_sql(TaskapiFilterBinding *binding)
{
	bool		any = binding->op == FILTER_IN;
	Oid			opno;
	Oid			left;
	Oid			right;

	if (binding->op == FILTER_LIKE || binding->op == FILTER_ILIKE)
		return pattern_sql(binding);
	if (binding->op >= FILTER_CONTAINS)
		return function_sql(binding);
	opno = find_operator(binding->op, binding->column->basetype);
	if (!OidIsValid(opno))
		return NULL;
	op_input_types(opno, &left, &right);
	left = taskapi_page_operand_type(binding->column, left);
	binding->argtype = any ? get_array_type(left) : left;
	if (!OidIsValid(binding->argtype))
		return NULL;
	return psprintf(any ? "%s %s ANY ($%%d)" : "%s %s $%%d",
					taskapi_page_operand(binding->column, left), taskapi_operator_sql(opno));
}

/*
 * A call of a function that an index can bound under row-level security; NULL for a type for which there is none.
 */
static char *
function_sql(TaskapiFilterBinding *binding)
{
	Oid			type = binding->column->basetype;
	bool		list = type == TEXTARRAYOID || type == UUIDARRAYOID || type == INT4ARRAYOID || type == INT8ARRAYOID;

	switch (binding->op)
	{
		case FILTER_CONTAINS:
			binding->argtype = list || type == JSONBOID ? type : InvalidOid;
			break;
		case FILTER_OVERLAPS:
			binding->argtype = list ? type : InvalidOid;
			break;
		case FILTER_MATCHES:
			binding->argtype = type == TSVECTOROID ? TSQUERYOID : InvalidOid;
			break;
		default:
			binding->argtype = type == TEXTOID ? type : InvalidOid;
			break;
	}
	if (!OidIsValid(binding->argtype))
		return NULL;
	return psprintf("taskapi.%s(%s, $%%d)", taskapi_filter_operator_name(binding->op),
					taskapi_page_operand(binding->column, type));
}

static Oid
find_operator(TaskapiFilterOp op, Oid type)
{
	static const int strategies[] = {
		[FILTER_GT] = BTGreaterStrategyNumber, [FILTER_GTE] = BTGreaterEqualStrategyNumber,
		[FILTER_LT] = BTLessStrategyNumber, [FILTER_LTE] = BTLessEqualStrategyNumber
	};
	TypeCacheEntry *cache;

	switch (op)
	{
		case FILTER_EQ:
		case FILTER_IN:
			return lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr;
		case FILTER_NEQ:
			cache = lookup_type_cache(type, TYPECACHE_EQ_OPR);
			return OidIsValid(cache->eq_opr) ? get_negator(cache->eq_opr) : InvalidOid;
		case FILTER_GT:
		case FILTER_GTE:
		case FILTER_LT:
		case FILTER_LTE:
			/* GT_OPR besides, since only that looks whether an array's elements have an order */
			cache = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY | TYPECACHE_GT_OPR);
			if (!OidIsValid(cache->gt_opr))
				return InvalidOid;
			return get_opfamily_member(cache->btree_opf, cache->btree_opintype, cache->btree_opintype, strategies[op]);
		default:
			return containment_operator(op, type);
	}
}

/*
 * LIKE and ILIKE, for strings of deterministic collations.  A type of an extension may have its own, as citext does.
 */
static char *
pattern_sql(TaskapiFilterBinding *binding)
{
	char	   *name = binding->op == FILTER_LIKE ? "~~" : "~~*";
	Oid			type = binding->column->basetype;
	Oid			collation = binding->column->collation;
	char		category;
	bool		preferred;
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	char	   *schema;
	Oid			opno;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	schema = get_namespace_name(((Form_pg_type) GETSTRUCT(tuple))->typnamespace);
	ReleaseSysCache(tuple);
	get_type_category_preferred(type, &category, &preferred);
	if (category != TYPCATEGORY_STRING || type == CHAROID || schema == NULL ||
		(OidIsValid(collation) && !get_collation_isdeterministic(collation)))
		return NULL;

	binding->argtype = TEXTOID;
	opno = OpernameGetOprid(list_make2(makeString(schema), makeString(name)), type, type);
	return psprintf("%s %s $%%d", taskapi_page_operand(binding->column, type),
					OidIsValid(opno) ? taskapi_operator_sql(opno) : psprintf("OPERATOR(pg_catalog.%s)", name));
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

bool
taskapi_filter_constants(const TaskapiFilterBinding *bindings, int n,
						 Bitmapset **filtered, Bitmapset **equal, Bitmapset **isnull)
{
	bool		all = true;

	for (int i = 0; i < n; i++)
	{
		AttrNumber	attno = bindings[i].column->base_attno;

		if (attno > 0)
			*filtered = bms_add_member(*filtered, attno);
		if (attno > 0 && bindings[i].op == FILTER_EQ)
			*equal = bms_add_member(*equal, attno);
		else if (attno > 0 && bindings[i].op == FILTER_IS_NULL &&
				 get_typtype(bindings[i].column->basetype) != TYPTYPE_COMPOSITE)
			*isnull = bms_add_member(*isnull, attno);
		else
			all = false;
	}
	return all;
}

bool
taskapi_filter_is_leakproof(const TaskapiFilterBinding *bindings, int n)
{
	for (int i = 0; i < n; i++)
	{
		Oid			type = bindings[i].column->basetype;

		if (bindings[i].op == FILTER_IS_NULL)
			continue;
		if (bindings[i].op != FILTER_EQ || !get_func_leakproof(get_opcode(find_operator(FILTER_EQ, type))))
			return false;
	}
	return true;
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
						taskapi_filter_operator_name(current->op), current->column, cut_message(error->message));
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

/*
 * An input function quotes the value, which may be as long as a request.
 */
static const char *
cut_message(const char *message)
{
	int			len = strlen(message);
	int			cut = pg_mbcliplen(message, len, MAX_MESSAGE_LENGTH);

	return cut == len ? message : psprintf("%.*s...", cut, message);
}

static Datum
read_condition(const TaskapiFilterCondition *condition, const TaskapiFilterBinding *binding)
{
	Oid			type = binding->column->basetype;
	Oid			element;
	ArrayType  *array;
	int			n = 0;
	Datum	   *elements;
	JsonbIterator *it;
	JsonbValue	v;
	int16		typlen;
	bool		typbyval;
	char		typalign;

	if (condition->op == FILTER_LIKE || condition->op == FILTER_ILIKE || condition->op == FILTER_IS_LIKE)
		taskapi_filter_check_pattern(&condition->value);
	if (condition->op == FILTER_LIKE || condition->op == FILTER_ILIKE || condition->op >= FILTER_CONTAINS)
		return read_value(&condition->value, binding->argtype, condition->column);
	if (condition->op != FILTER_IN)
		return read_value(&condition->value, type, condition->column);

	elements = palloc(sizeof(Datum) * Max(JsonContainerSize(condition->value.val.binary.data), 1));
	it = JsonbIteratorInit(condition->value.val.binary.data);
	(void) JsonbIteratorNext(&it, &v, false);
	while (JsonbIteratorNext(&it, &v, true) == WJB_ELEM)
	{
		CHECK_FOR_INTERRUPTS();
		elements[n++] = read_value(&v, type, condition->column);
	}
	element = get_element_type(binding->argtype);
	get_typlenbyvalalign(element, &typlen, &typbyval, &typalign);
	array = construct_array(elements, n, element, typlen, typbyval, typalign);
	return PointerGetDatum(array);
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
		str = taskapi_filter_scalar_text(value);
	else if (JsonContainerIsArray(value->val.binary.data) && type_is_array(type))
	{
		StringInfoData buf;

		initStringInfo(&buf);
		taskapi_filter_array_literal(value->val.binary.data, &buf);
		str = buf.data;
	}
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is written as a scalar", format_type_be(type))));

	getTypeInputInfo(type, &input, &ioparam);
	return OidInputFunctionCall(input, str, ioparam, -1);
}
