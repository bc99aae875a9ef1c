/*-------------------------------------------------------------------------
 *
 * match.c
 *	  Filters that an index can bound under row-level security.
 *
 * The server's operators for lists, jsonb, full text and patterns are not leakproof: each has an error that a row
 * can cause, or recurses as deep as a row says.  So a table with policies is read whole, or in
 * its order, by whoever the policies are for.  These functions say the same, raise for no argument whatever
 * it holds, and are turned into conditions of a GIN index by match_support.c.  The policies stay in force, and decide
 * which rows are shown: no right is lent, so there is none to misuse.
 *
 * What is different from the operators: elements and patterns are compared by their bytes, as every deterministic
 * collation does; a value that is out of bounds (match_bound.h) and a pattern that ends with an escape are
 * NULL instead of an error.
 *
 * SQL: sql/install/37_match.sql.  Standing test: test/t/024_leakproof.pl.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tupmacs.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/uuid.h"

#include "base/compat.h"
#include "match/match_bound.h"

PG_FUNCTION_INFO_V1(taskapi_array_contains);
PG_FUNCTION_INFO_V1(taskapi_array_overlaps);
PG_FUNCTION_INFO_V1(taskapi_jsonb_contains);
PG_FUNCTION_INFO_V1(taskapi_matches);
PG_FUNCTION_INFO_V1(taskapi_is_like);

/* The elements of an array, one after the other. */
typedef struct Elements
{
	char	   *next;
	uint8	   *nulls;
	int			i;
	int			n;
	int16		typlen;
	char		typalign;
} Elements;

static bool start(Elements *elements, ArrayType *array);
static bool next(Elements *elements, const char **bytes, int *len);
static bool has_element(ArrayType *array, const char *bytes, int len);
static bool like(const char *t, int tlen, const char *p, int plen);

/*
 * False for a type of elements whose equality is not that of their bytes.  No function takes one.
 */
static bool
start(Elements *elements, ArrayType *array)
{
	elements->next = ARR_DATA_PTR(array);
	elements->nulls = ARR_NULLBITMAP(array);
	elements->i = 0;
	elements->n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	switch (ARR_ELEMTYPE(array))
	{
		case TEXTOID:
		case VARCHAROID:
			elements->typlen = -1;
			elements->typalign = TYPALIGN_INT;
			return true;
		case UUIDOID:
			elements->typlen = UUID_LEN;
			elements->typalign = TYPALIGN_CHAR;
			return true;
		case INT4OID:
			elements->typlen = sizeof(int32);
			elements->typalign = TYPALIGN_INT;
			return true;
		case INT8OID:
			elements->typlen = sizeof(int64);
			elements->typalign = TYPALIGN_DOUBLE;
			return true;
		default:
			return false;
	}
}

/*
 * The next element; *bytes is NULL for a NULL.  False at the end.
 */
static bool
next(Elements *elements, const char **bytes, int *len)
{
	if (elements->i >= elements->n)
		return false;
	if (elements->nulls && !(elements->nulls[elements->i / 8] & (1 << (elements->i % 8))))
		*bytes = NULL;
	else
	{
		if (elements->typlen == -1)
		{
			*bytes = VARDATA_ANY(elements->next);
			*len = VARSIZE_ANY_EXHDR(elements->next);
		}
		else
		{
			*bytes = elements->next;
			*len = elements->typlen;
		}
		elements->next = att_addlength_pointer(elements->next, elements->typlen, elements->next);
		elements->next = (char *) att_align_nominal(elements->next, elements->typalign);
	}
	elements->i++;
	return true;
}

static bool
has_element(ArrayType *array, const char *bytes, int len)
{
	Elements	elements;
	const char *other;
	int			other_len;

	if (!start(&elements, array))
		return false;
	while (next(&elements, &other, &other_len))
	{
		if (other != NULL && other_len == len && memcmp(other, bytes, len) == 0)
			return true;
	}
	return false;
}

/*
 * contains(list, elements) -> bool: is each of the elements in the list?  A NULL is in none.
 */
Datum
taskapi_array_contains(PG_FUNCTION_ARGS)
{
	ArrayType  *list = PG_GETARG_ARRAYTYPE_P(0);
	ArrayType  *wanted = PG_GETARG_ARRAYTYPE_P(1);
	Elements	elements;
	const char *bytes;
	int			len;
	bool		result = start(&elements, wanted) && ARR_ELEMTYPE(list) == ARR_ELEMTYPE(wanted);

	while (result && next(&elements, &bytes, &len))
	{
		CHECK_FOR_INTERRUPTS();
		result = bytes != NULL && has_element(list, bytes, len);
	}
	PG_FREE_IF_COPY(list, 0);
	PG_FREE_IF_COPY(wanted, 1);
	PG_RETURN_BOOL(result);
}

/*
 * overlaps(list, elements) -> bool: is one of the elements in the list?
 */
Datum
taskapi_array_overlaps(PG_FUNCTION_ARGS)
{
	ArrayType  *list = PG_GETARG_ARRAYTYPE_P(0);
	ArrayType  *wanted = PG_GETARG_ARRAYTYPE_P(1);
	Elements	elements;
	const char *bytes;
	int			len;
	bool		result = false;

	if (start(&elements, wanted) && ARR_ELEMTYPE(list) == ARR_ELEMTYPE(wanted))
	{
		while (!result && next(&elements, &bytes, &len))
		{
			CHECK_FOR_INTERRUPTS();
			result = bytes != NULL && has_element(list, bytes, len);
		}
	}
	PG_FREE_IF_COPY(list, 0);
	PG_FREE_IF_COPY(wanted, 1);
	PG_RETURN_BOOL(result);
}

/*
 * contains(document jsonb, part jsonb) -> bool, as @> says.
 */
Datum
taskapi_jsonb_contains(PG_FUNCTION_ARGS)
{
	Jsonb	   *part = PG_GETARG_JSONB_P(1);

	if (!taskapi_match_jsonb_bounded(part))
		PG_RETURN_NULL();
	return taskapi_match_call(jsonb_contains, PG_GETARG_DATUM(0), JsonbPGetDatum(part));
}

/*
 * matches(document tsvector, query tsquery) -> bool, as @@ says.
 */
Datum
taskapi_matches(PG_FUNCTION_ARGS)
{
	TSQuery		query = PG_GETARG_TSQUERY(1);

	if (!taskapi_match_query_bounded(query))
		PG_RETURN_NULL();
	return taskapi_match_call(ts_match_vq, PG_GETARG_DATUM(0), TSQueryGetDatum(query));
}

/*
 * is_like(value text, pattern text) -> bool, as LIKE says.  The server's LIKE recurses for each %.
 */
Datum
taskapi_is_like(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(0);
	text	   *pattern = PG_GETARG_TEXT_PP(1);
	const char *p = VARDATA_ANY(pattern);
	int			plen = VARSIZE_ANY_EXHDR(pattern);
	int			escapes = 0;

	while (escapes < plen && p[plen - 1 - escapes] == '\\')
		escapes++;
	if (escapes % 2 == 1 || !taskapi_match_pattern_bounded(pattern))
		PG_RETURN_NULL();
	PG_RETURN_BOOL(like(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value), p, plen));
}

/*
 * Each % first takes nothing, and a character more when what follows it fails.  Only the last one that was met needs that: if
 * what stands between two of them matches early, an earlier % could gain nothing by taking more.  No pattern ends
 * with an escape here.  Every server encoding keeps ASCII bytes out of its longer characters.
 */
static bool
like(const char *t, int tlen, const char *p, int plen)
{
	const char *const tend = t + tlen;
	const char *const pend = p + plen;
	const char *after_percent = NULL;
	const char *taken = NULL;	/* the last % has the text up to here */
	int			encoding = GetDatabaseEncoding();

	while (t < tend || p < pend)
	{
		int			width = t < tend ? Min(pg_encoding_mblen(encoding, t), tend - t) : 0;

		if (p < pend && *p == '%')
		{
			after_percent = ++p;
			taken = t;
			continue;
		}
		if (t < tend && p < pend && *p == '_')
		{
			p++;
			t += width;
			continue;
		}
		if (t < tend && p < pend)
		{
			const char *literal = *p == '\\' ? p + 1 : p;

			if (pend - literal >= width && memcmp(literal, t, width) == 0)
			{
				p = literal + width;
				t += width;
				continue;
			}
		}
		if (taken == NULL || taken >= tend)
			return false;
		CHECK_FOR_INTERRUPTS();
		taken += Min(pg_encoding_mblen(encoding, taken), tend - taken);
		t = taken;
		p = after_percent;
	}
	return true;
}
