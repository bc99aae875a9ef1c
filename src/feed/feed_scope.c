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

#include "base/compat.h"
#include "base/sha256.h"
#include "cursor/cursor_key.h"
#include "feed/feed_plan.h"
#include "feed/feed_scope.h"

/* One value of the scope's expression */
typedef struct ScopeValue
{
	Datum		value;
	char	   *text;
} ScopeValue;

typedef struct ScopeValues
{
	Oid			type;
	int			n;
	ScopeValue *values;			/* by their texts, each once */
} ScopeValues;

static const char *skip_space(const char *p);
static const char *read_name(const char *p, char **name);
static const char *skip_word(const char *p, const char *word);
static void evaluate(TaskapiFeed *feed, const char *expression, ScopeValues *result);
static void collect(ScopeValues *result);
static void add_value(ScopeValues *result, int *max, Datum value, FmgrInfo *output);
static int	compare_values(const void *a, const void *b);
static void digest_values(const ScopeValues *values, uint8 *digest);
static bool narrow(TaskapiFeed *feed, ScopeValues *all, List *conditions, const TaskapiFilterBinding *bindings,
				   const Datum *parameters);
static Datum make_array(const ScopeValues *values);

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
	if (column != NULL && narrow(feed, &all, conditions, bindings, parameters))
	{
		if (feed->restricted)
			digest_values(&all, feed->scope);
		feed->scope_values = make_array(&all);
	}
	else if (feed->restricted)
	{
		digest_values(&all, feed->scope);
		all.type = feed->scope_type;
		if (column != NULL)
			feed->scope_values = make_array(&all);
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
	Oid			function;
	bool		is_varlena;
	int			max = 16;
	int			n = 0;

	result->type = OidIsValid(element) ? element : type;
	result->values = palloc(sizeof(ScopeValue) * max);
	getTypeOutputInfo(result->type, &function, &is_varlena);
	fmgr_info(function, &output);
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
					add_value(result, &max, elements[j], &output);
			}
		}
		else
			add_value(result, &max, value, &output);
	}
	qsort(result->values, result->n, sizeof(ScopeValue), compare_values);
	for (int i = 0; i < result->n; i++)
	{
		if (n == 0 || strcmp(result->values[n - 1].text, result->values[i].text) != 0)
			result->values[n++] = result->values[i];
	}
	result->n = n;
}

static void
add_value(ScopeValues *result, int *max, Datum value, FmgrInfo *output)
{
	int16		typlen;
	bool		typbyval;

	if (result->n == *max)
		result->values = repalloc(result->values, sizeof(ScopeValue) * (*max *= 2));
	get_typlenbyval(result->type, &typlen, &typbyval);
	result->values[result->n].value = datumCopy(value, typbyval, typlen);
	result->values[result->n++].text = OutputFunctionCall(output, value);
}

static int
compare_values(const void *a, const void *b)
{
	return strcmp(((const ScopeValue *) a)->text, ((const ScopeValue *) b)->text);
}

static void
digest_values(const ScopeValues *values, uint8 *digest)
{
	StringInfoData buf;
	uint8		sha[PG_SHA256_DIGEST_LENGTH];

	initStringInfo(&buf);
	for (int i = 0; i < values->n; i++)
		appendBinaryStringInfo(&buf, values->values[i].text, strlen(values->values[i].text) + 1);
	taskapi_sha256(buf.data, buf.len, sha);
	memcpy(digest, sha, TASKAPI_FEED_DIGEST);
	pfree(buf.data);
}

/*
 * Does the filter ask for one value of the scope's column?  Then that is all there is in the scope, or nothing if it does
 * not stand there.
 */
static bool
narrow(TaskapiFeed *feed, ScopeValues *all, List *conditions, const TaskapiFilterBinding *bindings, const Datum *parameters)
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
			Datum		value = parameters[parameter];
			Oid			function;
			bool		is_varlena;
			ScopeValue *one = palloc(sizeof(ScopeValue));

			getTypeOutputInfo(feed->scope_type, &function, &is_varlena);
			one->value = value;
			one->text = OidOutputFunctionCall(function, value);
			if (feed->restricted &&
				(all->n == 0 || bsearch(one, all->values, all->n, sizeof(ScopeValue), compare_values) == NULL))
				all->n = 0;
			else
				all->n = 1;
			all->values = one;
			all->type = feed->scope_type;
			return true;
		}
		parameter++;
	}
	return false;
}

static Datum
make_array(const ScopeValues *values)
{
	Datum	   *elements = palloc(sizeof(Datum) * Max(values->n, 1));
	int16		typlen;
	bool		typbyval;
	char		typalign;

	for (int i = 0; i < values->n; i++)
		elements[i] = values->values[i].value;
	get_typlenbyvalalign(values->type, &typlen, &typbyval, &typalign);
	return PointerGetDatum(construct_array(elements, values->n, values->type, typlen, typbyval, typalign));
}
