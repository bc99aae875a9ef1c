/*-------------------------------------------------------------------------
 *
 * match_bound.c
 *	  Values of a bounded depth, and stack for them (match_bound.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/compat.h"
#include "match/match_bound.h"

/*
 * TS_execute_recurse(), TS_phrase_execute() and JsonbDeepContains() take below 400 bytes a level, and max_stack_depth
 * is at least 100 kB.
 */
#define STACK_NEEDED (64 * 1024)

PG_FUNCTION_INFO_V1(taskapi_match_value_array);
PG_FUNCTION_INFO_V1(taskapi_match_value_tsquery);
PG_FUNCTION_INFO_V1(taskapi_match_value_jsonb);
PG_FUNCTION_INFO_V1(taskapi_match_value_text);

static pg_noinline bool has_room(bool or_raise);
static pg_noinline bool look(volatile char *room, bool or_raise);

static pg_noinline bool
has_room(bool or_raise)
{
	volatile char room[STACK_NEEDED];

	return look(room, or_raise);
}

/* Its own frame is below the room. */
static pg_noinline bool
look(volatile char *room, bool or_raise)
{
	room[0] = 0;
	if (or_raise)
		check_stack_depth();
	return !stack_is_too_deep();
}

void
taskapi_match_need_stack(void)
{
	(void) has_room(true);
}

/*
 * A row is compared only if there is one, so an error here would tell of rows that policies hide.  The server keeps 512 kB
 * below max_stack_depth (STACK_DEPTH_SLOP); these levels fit into them, and call nobody's code.
 */
Datum
taskapi_match_call(PGFunction match, Datum value, Datum wanted)
{
	pg_stack_base_t base;
	Datum		result;

	if (has_room(false))
		return DirectFunctionCall2(match, value, wanted);
	base = set_stack_base();
	PG_TRY();
	{
		result = DirectFunctionCall2(match, value, wanted);
	}
	PG_FINALLY();
	{
		restore_stack_base(base);
	}
	PG_END_TRY();
	return result;
}

/*
 * The items stand in Polish notation: an operator's operands come after it, so that one pass finds every level.
 */
bool
taskapi_match_query_bounded(TSQuery query)
{
	QueryItem  *items = GETQUERY(query);
	int			n = query->size;
	int		   *level;
	bool		bounded = true;

	if (n <= TASKAPI_MATCH_MAX_DEPTH)
		return true;
	level = palloc0(sizeof(int) * n);
	for (int i = 0; i < n && bounded; i++)
	{
		if (items[i].type != QI_OPR)
			continue;
		bounded = level[i] + 1 < TASKAPI_MATCH_MAX_DEPTH;
		if (i + 1 < n)
			level[i + 1] = level[i] + 1;
		if (items[i].qoperator.oper != OP_NOT && (int) items[i].qoperator.left < n - i)
			level[i + items[i].qoperator.left] = level[i] + 1;
	}
	pfree(level);
	return bounded;
}

bool
taskapi_match_jsonb_bounded(Jsonb *value)
{
	JsonbIterator *it = JsonbIteratorInit(&value->root);
	JsonbIteratorToken token;
	JsonbValue	v;
	int			level = 0;

	while ((token = JsonbIteratorNext(&it, &v, false)) != WJB_DONE)
	{
		if (token == WJB_BEGIN_ARRAY || token == WJB_BEGIN_OBJECT)
			level++;
		else if (token == WJB_END_ARRAY || token == WJB_END_OBJECT)
			level--;
		if (level >= TASKAPI_MATCH_MAX_DEPTH)
			return false;
	}
	return true;
}

bool
taskapi_match_pattern_bounded(const text *pattern)
{
	return VARSIZE_ANY_EXHDR(pattern) <= TASKAPI_MATCH_MAX_PATTERN;
}

/*
 * match_value(value) -> the value, or NULL if it cannot be matched.
 */
Datum
taskapi_match_value_array(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(PG_GETARG_DATUM(0));
}

Datum
taskapi_match_value_tsquery(PG_FUNCTION_ARGS)
{
	TSQuery		query = PG_GETARG_TSQUERY(0);

	taskapi_match_need_stack();
	if (!taskapi_match_query_bounded(query))
		PG_RETURN_NULL();
	PG_RETURN_TSQUERY(query);
}

Datum
taskapi_match_value_jsonb(PG_FUNCTION_ARGS)
{
	Jsonb	   *value = PG_GETARG_JSONB_P(0);

	taskapi_match_need_stack();
	if (!taskapi_match_jsonb_bounded(value))
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(value);
}

Datum
taskapi_match_value_text(PG_FUNCTION_ARGS)
{
	text	   *pattern = PG_GETARG_TEXT_PP(0);

	if (!taskapi_match_pattern_bounded(pattern))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(pattern);
}
