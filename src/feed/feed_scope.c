/*-------------------------------------------------------------------------
 *
 * feed_scope.c
 *	  What a reader may see of a resource (feed_scope.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "parser/scansup.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "base/sha256.h"
#include "cursor/cursor_key.h"
#include "feed/feed_plan.h"
#include "feed/feed_scope.h"

/* One value of the scope's expression */
typedef struct ScopeValue
{
	Datum		value;
	bytea	   *sent;			/* its binary form, which no setting changes; its text, if the type has none */
} ScopeValue;

typedef struct ScopeValues
{
	Oid			type;
	int			n;
	ScopeValue *values;			/* by their forms, each once */
} ScopeValues;

/* How the column of the scope compares */
typedef struct ScopeOrder
{
	FmgrInfo   *compare;
	Oid			collation;
} ScopeOrder;

static const char *skip_space(const char *p);
static const char *read_name(const char *p, char **name);
static const char *skip_word(const char *p, const char *word);
static void evaluate(TaskapiFeed *feed, const char *expression, ScopeValues *result);
static void collect(ScopeValues *result);
static bool find_output(Oid type, FmgrInfo *output);
static void add_value(ScopeValues *result, int *max, Datum value, FmgrInfo *output, bool sends);
static int	compare_forms(const void *a, const void *b);
static void digest_values(const ScopeValues *values, uint8 *digest);
static void column_order(const TaskapiFeed *feed, ScopeOrder *order);
static int	compare_values(const void *a, const void *b, void *arg);
static bool narrow(TaskapiFeed *feed, const ScopeValues *all, ScopeOrder *order, List *conditions,
				   const TaskapiFilterBinding *bindings, const Datum *parameters, ScopeValues *narrowed);
static Datum make_array(ScopeValues *values, ScopeOrder *order);

static const char *
skip_space(const char *p)
{
	while (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')
		p++;
	return p;
}

/*
 * An identifier as SQL reads it; NULL if there is none.
 */
static const char *
read_name(const char *p, char **name)
{
	StringInfoData buf;

	initStringInfo(&buf);
	if (*p == '"')
	{
		for (p++; *p && (*p != '"' || p[1] == '"'); p++)
		{
			appendStringInfoChar(&buf, *p);
			if (*p == '"')
				p++;
		}
		if (*p++ != '"')
			return NULL;
		*name = buf.data;
		return p;
	}
	while (*p == '_' || *p == '$' || IS_HIGHBIT_SET(*p) || isalnum((unsigned char) *p))
		appendStringInfoChar(&buf, *p++);
	*name = downcase_truncate_identifier(buf.data, buf.len, false);
	return buf.len > 0 ? p : NULL;
}

static const char *
skip_word(const char *p, const char *word)
{
	p = skip_space(p);
	if (pg_strncasecmp(p, word, strlen(word)) != 0)
		return NULL;
	return skip_space(p + strlen(word));
}

char *
taskapi_feed_scope_column(const char *scope, char **expression)
{
	char	   *name;
	const char *p = read_name(skip_space(scope), &name);
	const char *end = scope + strlen(scope);

	while (end > scope && skip_space(end - 1)[0] == '\0')
		end--;
	if (p && (p = skip_word(p, "=")) && (p = skip_word(p, "any")) && *p == '(' && end[-1] == ')')
	{
		*expression = pnstrdup(p + 1, end - 1 - (p + 1));
		return name;
	}
	*expression = pstrdup(scope);
	return NULL;
}

void
taskapi_feed_scope(TaskapiFeed *feed, List *conditions, const TaskapiFilterBinding *bindings, const Datum *parameters)
{
	const char *scope = feed->view->registration.scope;
	ScopeValues all = {0};
	ScopeValues narrowed = {0};
	ScopeOrder	order = {0};
	char	   *expression;
	char	   *column;

	if (scope == NULL)
		return;
	column = taskapi_feed_scope_column(scope, &expression);
	if (column != NULL)
	{
		feed->scope_attno = get_attnum(feed->source, column);
		if (feed->scope_attno <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("scope of resource \"%s\" names column \"%s\", which its table does not have",
							get_rel_name(feed->view->entry.relid), column),
					 errhint("Call taskapi.expose() with another scope.")));
		feed->scope_type = taskapi_cursor_key_base_type(get_atttype(feed->source, feed->scope_attno));
	}
	if (feed->restricted)
	{
		evaluate(feed, expression, &all);
		if (column != NULL && all.n > 0 && taskapi_cursor_key_base_type(all.type) != feed->scope_type)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("scope of resource \"%s\" is of type %s, and column \"%s\" of type %s",
							get_rel_name(feed->view->entry.relid), format_type_be(all.type), column,
							format_type_be(feed->scope_type))));
	}
	if (column != NULL)
		column_order(feed, &order);
	if (column != NULL && narrow(feed, &all, &order, conditions, bindings, parameters, &narrowed))
	{
		if (feed->restricted)
			digest_values(&narrowed, feed->scope);
		feed->scope_values = make_array(&narrowed, &order);
	}
	else if (feed->restricted)
	{
		digest_values(&all, feed->scope);
		all.type = feed->scope_type;
		if (column != NULL)
			feed->scope_values = make_array(&all, &order);
	}
	else
		feed->scope_attno = InvalidAttrNumber;
}

/*
 * As the reader, and under a search_path of ours: the text is the owner's.
 */
static void
evaluate(TaskapiFeed *feed, const char *expression, ScopeValues *result)
{
	int			nestlevel = NewGUCNestLevel();
	SPIPlanPtr	plan;
	int			rc;

	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	plan = taskapi_feed_plan(feed->view, psprintf("SELECT %s", expression), 0, NULL);
	rc = SPI_execute_plan(plan, NULL, NULL, true, 0);
	AtEOXact_GUC(true, nestlevel);
	if (rc != SPI_OK_SELECT || SPI_tuptable->tupdesc->natts != 1)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("scope of resource \"%s\" is not an expression", get_rel_name(feed->view->entry.relid))));
	collect(result);
	SPI_freetuptable(SPI_tuptable);
}

static void
collect(ScopeValues *result)
{
	Oid			type = getBaseType(SPI_gettypeid(SPI_tuptable->tupdesc, 1));
	Oid			element = get_element_type(type);
	FmgrInfo	output;
	bool		sends;
	int			max = 16;
	int			n = 0;

	result->type = OidIsValid(element) ? element : type;
	result->values = palloc(sizeof(ScopeValue) * max);
	sends = find_output(result->type, &output);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		Datum		value = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull);

		CHECK_FOR_INTERRUPTS();
		if (isnull)
			continue;
		if (OidIsValid(element))
		{
			int16		typlen;
			bool		typbyval;
			char		typalign;
			Datum	   *elements;
			bool	   *nulls;
			int			nelements;

			get_typlenbyvalalign(element, &typlen, &typbyval, &typalign);
			deconstruct_array(DatumGetArrayTypeP(value), element, typlen, typbyval, typalign, &elements, &nulls, &nelements);
			for (int j = 0; j < nelements; j++)
			{
				if (!nulls[j])
					add_value(result, &max, elements[j], &output, sends);
			}
		}
		else
			add_value(result, &max, value, &output, sends);
	}
	qsort(result->values, result->n, sizeof(ScopeValue), compare_forms);
	for (int i = 0; i < result->n; i++)
	{
		if (n == 0 || compare_forms(&result->values[n - 1], &result->values[i]) != 0)
			result->values[n++] = result->values[i];
	}
	result->n = n;
}

/*
 * True for a send function, false for the output function of a type that has none.
 */
static bool
find_output(Oid type, FmgrInfo *output)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(getBaseType(type)));
	Form_pg_type form;
	bool		sends;
	Oid			function;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", type);
	form = (Form_pg_type) GETSTRUCT(tuple);
	sends = OidIsValid(form->typsend);
	function = sends ? form->typsend : form->typoutput;
	ReleaseSysCache(tuple);
	fmgr_info(function, output);
	return sends;
}

static void
add_value(ScopeValues *result, int *max, Datum value, FmgrInfo *output, bool sends)
{
	int16		typlen;
	bool		typbyval;

	if (result->n == *max)
		result->values = repalloc(result->values, sizeof(ScopeValue) * (*max *= 2));
	get_typlenbyval(result->type, &typlen, &typbyval);
	result->values[result->n].value = datumCopy(value, typbyval, typlen);
	result->values[result->n++].sent = sends ? SendFunctionCall(output, value) :
		(bytea *) cstring_to_text(OutputFunctionCall(output, value));
}

static int
compare_forms(const void *a, const void *b)
{
	const bytea *first = ((const ScopeValue *) a)->sent;
	const bytea *second = ((const ScopeValue *) b)->sent;
	int			order = memcmp(VARDATA(first), VARDATA(second), Min(VARSIZE(first), VARSIZE(second)) - VARHDRSZ);

	return order != 0 ? order : (VARSIZE(first) > VARSIZE(second)) - (VARSIZE(first) < VARSIZE(second));
}

static void
digest_values(const ScopeValues *values, uint8 *digest)
{
	StringInfoData buf;
	uint8		sha[PG_SHA256_DIGEST_LENGTH];

	initStringInfo(&buf);
	for (int i = 0; i < values->n; i++)
	{
		const bytea *sent = values->values[i].sent;
		uint32		len = VARSIZE(sent) - VARHDRSZ;

		appendBinaryStringInfo(&buf, (const char *) &len, sizeof(len));
		appendBinaryStringInfo(&buf, VARDATA(sent), len);
	}
	taskapi_sha256(buf.data, buf.len, sha);
	memcpy(digest, sha, TASKAPI_FEED_DIGEST);
	pfree(buf.data);
}

/*
 * As the statements find its rows.
 */
static void
column_order(const TaskapiFeed *feed, ScopeOrder *order)
{
	TypeCacheEntry *type = lookup_type_cache(feed->scope_type, TYPECACHE_CMP_PROC_FINFO);
	Oid			typid;
	int32		typmod;

	if (!OidIsValid(type->cmp_proc_finfo.fn_oid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("type %s has no order", format_type_be(feed->scope_type)),
				 errhint("Call taskapi.expose() with another scope.")));
	order->compare = &type->cmp_proc_finfo;
	get_atttypetypmodcoll(feed->source, feed->scope_attno, &typid, &typmod, &order->collation);
}

static int
compare_values(const void *a, const void *b, void *arg)
{
	const ScopeOrder *order = arg;

	return DatumGetInt32(FunctionCall2Coll(order->compare, order->collation, ((const ScopeValue *) a)->value,
										   ((const ScopeValue *) b)->value));
}

/*
 * Does the filter ask for one value of the scope's column?  Then that is all there is in the scope, or nothing if it does
 * not stand there, however it is spelled.
 */
static bool
narrow(TaskapiFeed *feed, const ScopeValues *all, ScopeOrder *order, List *conditions,
	   const TaskapiFilterBinding *bindings, const Datum *parameters, ScopeValues *narrowed)
{
	int			parameter = 0;

	for (int i = 0; i < list_length(conditions); i++)
	{
		const TaskapiFilterBinding *binding = &bindings[i];

		if (!OidIsValid(binding->argtype))
			continue;
		if (binding->op == FILTER_EQ && binding->column->base_attno == feed->scope_attno &&
			binding->argtype == feed->scope_type)
		{
			ScopeValue	wanted = {.value = parameters[parameter]};
			FmgrInfo	output;
			bool		sends = find_output(feed->scope_type, &output);
			bool		found = !feed->restricted;
			int			max = 1;

			narrowed->type = feed->scope_type;
			narrowed->values = palloc(sizeof(ScopeValue) * max);
			for (int j = 0; j < all->n && !found; j++)
				found = compare_values(&all->values[j], &wanted, order) == 0;
			if (found)
				add_value(narrowed, &max, wanted.value, &output, sends);
			return true;
		}
		parameter++;
	}
	return false;
}

/*
 * Values that the column takes for one, such as 1 and 1.0, are one: else its rows would come for each of them.
 */
static Datum
make_array(ScopeValues *values, ScopeOrder *order)
{
	Datum	   *elements = palloc(sizeof(Datum) * Max(values->n, 1));
	int			n = 0;
	int16		typlen;
	bool		typbyval;
	char		typalign;

	qsort_arg(values->values, values->n, sizeof(ScopeValue), compare_values, order);
	for (int i = 0; i < values->n; i++)
	{
		if (i == 0 || compare_values(&values->values[i - 1], &values->values[i], order) != 0)
			elements[n++] = values->values[i].value;
	}
	get_typlenbyvalalign(values->type, &typlen, &typbyval, &typalign);
	return PointerGetDatum(construct_array(elements, n, values->type, typlen, typbyval, typalign));
}
