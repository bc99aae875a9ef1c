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

static const char *operator_sql(const TaskapiFilterBinding *binding);
static Oid	containment_operator(TaskapiFilterOp op, Oid type);
static Datum read_condition(const TaskapiFilterCondition *condition, const TaskapiFilterBinding *binding);
static Datum read_value(const JsonbValue *value, Oid type, const char *column);
static bool clients_fault(int sqlerrcode);

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
			taskapi_problem(PROBLEM_INVALID_FILTER, NIL, NULL, "There is no column \"%s\" that can be read.", condition->column);
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
			taskapi_problem(PROBLEM_INVALID_FILTER, NIL, NULL, "Column \"%s\" is not boolean.", condition->column);

		sql = operator_sql(binding);
		if (sql == NULL || (FILTER_HAS_PARAMETER(condition->op) && !OidIsValid(binding->argtype)))
			taskapi_problem(PROBLEM_INVALID_FILTER, NIL, NULL, "Column \"%s\" of type %s has no operator \"%s\".",
							condition->column, format_type_be(binding->column->typid), taskapi_filter_operator_name(condition->op));
		binding->sql = psprintf("%s %s", binding->column->sql, sql);
	}
	return bindings;
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
						taskapi_filter_operator_name(current->op), current->column, error->message);
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
		taskapi_filter_check_pattern(&condition->value);
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
