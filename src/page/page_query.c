/*-------------------------------------------------------------------------
 *
 * page_query.c
 *	  The cache of page queries (page_query.h).
 *
 * A relcache invalidation of any relation involved marks a query, and the next
 * call that would use it makes it again.  So does a change of any schema, function, operator or collation, and of a
 * type that the query compares (still_valid).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/table_cache.h"
#include "page/page_query.h"

#define MAX_QUERIES		64
#define MAX_SPELLINGS	128
#define MAX_SPELLING_LENGTH 1024

/* What a query was asked for with */
typedef struct Spelling
{
	char	   *key;
	TaskapiPageQuery *query;	/* NULL is a free place */
} Spelling;

static TaskapiPageQuery *queries[MAX_QUERIES];
static Spelling spellings[MAX_SPELLINGS];
static int	next_spelling = 0;
static uint64 use_counter = 0;

static char *query_key(Oid relid, const char *order_by, int order_len, List *conditions, int limit);
static TaskapiPageQuery *find_query(const char *key);
static TaskapiPageQuery *find_equal(const char *key);
static bool still_valid(TaskapiPageQuery *query);
static TaskapiPageQuery *make_query(Oid relid, const char *order_by, int order_len, List *conditions, int limit);
static void note_types(TaskapiPageQuery *query, int nconditions);
static void note_type(TaskapiPageQuery *query, Oid typid);
static bool read_type_row(Oid typid, TaskapiPageType *row);
static void find_index(TaskapiPageQuery *query, List *conditions, const Oid *types, const Oid *collations);
static bool may_pin(const TaskapiPageQuery *query, int nconditions);
static void bind_filter(TaskapiPageQuery *query, List *conditions);
static void describe_rows(TaskapiPageQuery *query);
static void keep_query(TaskapiPageQuery *query);
static void keep_spelling(const char *key, TaskapiPageQuery *query);
static void free_query(int place);
static int	least_used(const TaskapiPageQuery *except);
static Size plan_size(const TaskapiPagePlan *plan);
static void invalidate_queries(Oid relid);

void
taskapi_page_query_init(void)
{
	taskapi_on_relation_change(invalidate_queries);
}

TaskapiPageQuery *
taskapi_page_query(Oid relid, const char *order_by, int order_len, List *conditions, int fetch)
{
	TaskapiPageQuery *query;
	char	   *key;
	int			limit = 64;

	/* Few different limits, since each is another plan */
	while (limit < fetch)
		limit *= 16;
	key = query_key(relid, order_by, order_len, conditions, limit);
	query = find_query(key);
	if (query == NULL)
	{
		TaskapiPageQuery *made = make_query(relid, order_by, order_len, conditions, limit);

		query = find_equal(made->key);
		if (query)
			MemoryContextDelete(made->context);
		else
		{
			query = made;
			keep_query(query);
		}
		if (query->valid)
			keep_spelling(key, query);
	}
	query->borrowed++;
	query->last_used = ++use_counter;
	return query;
}

void
taskapi_page_query_release(TaskapiPageQuery *query)
{
	query->borrowed--;
}

static char *
query_key(Oid relid, const char *order_by, int order_len, List *conditions, int limit)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "%u %d %d ", relid, limit, order_by ? order_len : -1);
	if (order_by)
		appendBinaryStringInfo(&buf, order_by, order_len);
	taskapi_filter_shape(conditions, &buf);
	if (pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
	{
		bool		missing = false;

		for (int i = 1; SearchSysCacheExists2(ATTNUM, ObjectIdGetDatum(relid), Int16GetDatum(i)); i++)
		{
			AclResult	result = pg_attribute_aclcheck_ext(relid, i, GetUserId(), ACL_SELECT, &missing);

			appendStringInfoChar(&buf, result == ACLCHECK_OK ? 'r' : '-');
		}
	}
	return buf.data;
}

/*
 * The query that this was asked for with before.
 */
static TaskapiPageQuery *
find_query(const char *key)
{
	for (int i = 0; i < MAX_SPELLINGS; i++)
	{
		TaskapiPageQuery *query = spellings[i].query;
		ListCell   *cell;

		if (query == NULL || !query->valid || strcmp(spellings[i].key, key) != 0)
			continue;

		/* Locking lets invalidations in */
		foreach(cell, query->source->relids)
			LockRelationOid(lfirst_oid(cell), AccessShareLock);
		return spellings[i].query == query && still_valid(query) ? query : NULL;
	}
	return NULL;
}

static TaskapiPageQuery *
find_equal(const char *key)
{
	for (int i = 0; i < MAX_QUERIES; i++)
	{
		if (queries[i] && strcmp(queries[i]->key, key) == 0 && still_valid(queries[i]))
			return queries[i];
	}
	return NULL;
}

/*
 * Relations are watched as they change (invalidate_queries).  Of names, any change makes the query again: its
 * statements are texts, which hold them.  A type comes with every new table, so there the rows in use are compared.
 */
static bool
still_valid(TaskapiPageQuery *query)
{
	uint64		types = taskapi_types_generation();

	if (query->names != taskapi_names_generation())
		query->valid = false;
	for (int i = 0; i < query->ntypes && query->valid && query->types != types; i++)
	{
		TaskapiPageType row;

		query->valid = read_type_row(query->typerows[i].typid, &row) &&
			row.xmin == query->typerows[i].xmin && ItemPointerEquals(&row.tid, &query->typerows[i].tid);
	}
	if (query->valid)
		query->types = types;
	return query->valid;
}

static TaskapiPageQuery *
make_query(Oid relid, const char *order_by, int order_len, List *conditions, int limit)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "taskapi page", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	TaskapiPageQuery *query = palloc0(sizeof(TaskapiPageQuery));
	TaskapiPageOrder *order;
	char	   *canonical;
	Oid			types[TASKAPI_MAX_ORDER_TERMS];
	Oid			collations[TASKAPI_MAX_ORDER_TERMS];

	query->context = context;
	query->limit = limit;
	query->relations = taskapi_relation_generation();
	query->names = taskapi_names_generation();
	query->types = taskapi_types_generation();
	query->source = taskapi_page_source(relid);
	query->order = order = taskapi_page_order(query->source, order_by, order_len);
	canonical = taskapi_order_by_canonical(order->order_by);
	query->key = query_key(relid, canonical, strlen(canonical), conditions, limit);
	for (int i = 0; i < order->nterms; i++)
	{
		types[i] = order->terms[i].keytype;
		collations[i] = order->terms[i].column->collation;
	}
	query->cursor = taskapi_cursor_shape(order->order_by, order->nterms, types, collations, context);
	query->opened.parent = context;
	bind_filter(query, conditions);
	describe_rows(query);
	find_index(query, conditions, types, collations);
	note_types(query, list_length(conditions));
	MemoryContextSwitchTo(old);
	return query;
}

static void
note_types(TaskapiPageQuery *query, int nconditions)
{
	query->typerows = palloc(sizeof(TaskapiPageType) * 3 * (query->order->nterms + nconditions));
	for (int i = 0; i < query->order->nterms; i++)
	{
		note_type(query, query->order->terms[i].column->typid);
		note_type(query, query->order->terms[i].column->basetype);
		note_type(query, query->order->terms[i].argtype);
	}
	for (int i = 0; i < nconditions; i++)
	{
		note_type(query, query->bindings[i].column->typid);
		note_type(query, query->bindings[i].column->basetype);
		note_type(query, query->bindings[i].argtype);
	}
}

static void
note_type(TaskapiPageQuery *query, Oid typid)
{
	for (int i = 0; i < query->ntypes; i++)
	{
		if (query->typerows[i].typid == typid)
			return;
	}
	if (OidIsValid(typid) && read_type_row(typid, &query->typerows[query->ntypes]))
		query->ntypes++;
}

static bool
read_type_row(Oid typid, TaskapiPageType *row)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(typid));

	if (!HeapTupleIsValid(tuple))
		return false;
	row->typid = typid;
	row->xmin = HeapTupleHeaderGetRawXmin(tuple->t_data);
	row->tid = tuple->t_self;
	ReleaseSysCache(tuple);
	return true;
}

/*
 * What the conditions hold constant, the index that bounds the order then, and whether its plan may be pinned.
 */
static void
find_index(TaskapiPageQuery *query, List *conditions, const Oid *types, const Oid *collations)
{
	Bitmapset  *isnull = NULL;
	bool		covered = taskapi_filter_constants(query->bindings, list_length(conditions),
												   &query->filtered, &query->equal, &isnull);

	taskapi_page_find_index(query->source, query->order, query->equal, isnull, &query->index);
	query->nparams = query->nfilter + query->order->nterms;
	if (OidIsValid(query->index.cursor_function))
	{
		const char *text = query->index.cursor_order;

		query->index_cursor = taskapi_cursor_shape(taskapi_order_by_parse(text, strlen(text)), query->order->nscan,
												   types, collations, query->context);
		query->argtypes[query->nparams++] = get_func_rettype(query->index.cursor_function);
	}
	query->pinned = covered && may_pin(query, list_length(conditions));
}

/*
 * Is the index the best path, whatever the values are?  Policies cannot make another one better that look at nothing but
 * columns which are constant there: all rows of the range are seen, or none.
 */
static bool
may_pin(const TaskapiPageQuery *query, int nconditions)
{
	const TaskapiPageSource *source = query->source;
	const TaskapiPageIndex *index = &query->index;

	if (!OidIsValid(index->indexoid) || !bms_is_subset(query->filtered, index->constant) ||
		(source->base_filtered && !index->partial))
		return false;
	return !source->base_rls ||
		(bms_is_subset(source->base_policed, index->constant) && !index->leaky &&
		 taskapi_filter_is_leakproof(query->bindings, nconditions));
}

static void
bind_filter(TaskapiPageQuery *query, List *conditions)
{
	StringInfoData buf;

	query->bindings = taskapi_filter_bind(conditions, query->source);
	query->argtypes = palloc(sizeof(Oid) * (list_length(conditions) + query->order->nterms + 1));
	initStringInfo(&buf);
	for (int i = 0; i < list_length(conditions); i++)
	{
		TaskapiFilterBinding *binding = &query->bindings[i];
		char	   *mark = strstr(binding->sql, "$%d");

		appendStringInfoString(&buf, i == 0 ? "" : " AND ");
		if (OidIsValid(binding->argtype))
		{
			/* the last mark: a column's name may hold one */
			for (char *next = mark; next; next = strstr(next + 1, "$%d"))
				mark = next;
			query->argtypes[query->nfilter++] = binding->argtype;
			appendStringInfo(&buf, "%.*s$%d%s", (int) (mark - binding->sql), binding->sql, query->nfilter, mark + 3);
		}
		else
			appendStringInfoString(&buf, binding->sql);
	}
	query->filter_sql = buf.data;
	for (int i = 0; i < query->order->nterms; i++)
		query->argtypes[query->nfilter + i] = query->order->terms[i].argtype;
}

static void
describe_rows(TaskapiPageQuery *query)
{
	TaskapiPageSource *source = query->source;
	int			n = 0;

	for (int i = 0; i < source->natts; i++)
		n += source->columns[i].readable ? 1 : 0;
	query->desc = CreateTemplateTupleDesc(n);
	n = 0;
	for (int i = 0; i < source->natts; i++)
	{
		TaskapiPageColumn *column = &source->columns[i];

		if (!column->readable)
			continue;
		TupleDescInitEntry(query->desc, ++n, column->name, column->typid, column->typmod, 0);
		TupleDescInitEntryCollation(query->desc, n, column->collation);
		for (int t = 0; t < query->order->nterms; t++)
		{
			if (query->order->terms[t].column == column)
				query->column_of_term[t] = n;
		}
	}
	query->desc = BlessTupleDesc(query->desc);
}

/*
 * Into a free place, or that of the one that was not used for the longest time.  If all
 * are borrowed, or it is too large, the query lives no longer than the statement.
 */
static void
keep_query(TaskapiPageQuery *query)
{
	int			place = -1;

	/* Every vacuum makes some invalid: all of them go, or a session would pile them up in the places that are free */
	for (int i = 0; i < MAX_QUERIES; i++)
	{
		if (queries[i] && !queries[i]->valid && queries[i]->borrowed == 0)
			free_query(i);
		if (queries[i] == NULL && place < 0)
			place = i;
	}
	if (place < 0)
		place = least_used(NULL);
	if (place < 0 || MemoryContextMemAllocated(query->context, true) > TASKAPI_PAGE_QUERY_MEMORY / 4)
		return;
	if (queries[place])
		free_query(place);
	MemoryContextSetParent(query->context, CacheMemoryContext);
	queries[place] = query;
	taskapi_page_query_measure(query);

	/* What changed while it was made may or may not have been seen */
	query->valid = query->relations == taskapi_relation_generation();
}

static void
keep_spelling(const char *key, TaskapiPageQuery *query)
{
	int			place = -1;

	if (strlen(key) > MAX_SPELLING_LENGTH)
		return;
	for (int i = 0; i < MAX_SPELLINGS && place < 0; i++)
	{
		if (spellings[i].query == NULL || strcmp(spellings[i].key, key) == 0)
			place = i;
	}
	if (place < 0)
	{
		place = next_spelling;
		next_spelling = (next_spelling + 1) % MAX_SPELLINGS;
	}
	spellings[place].query = NULL;
	if (spellings[place].key)
		pfree(spellings[place].key);
	spellings[place].key = NULL;
	spellings[place].key = MemoryContextStrdup(CacheMemoryContext, key);
	spellings[place].query = query;
}

static void
free_query(int place)
{
	TaskapiPageQuery *query = queries[place];
	ListCell   *cell;

	for (int i = 0; i < MAX_SPELLINGS; i++)
	{
		if (spellings[i].query == query)
			spellings[i].query = NULL;
	}
	queries[place] = NULL;
	foreach(cell, query->plans)
		SPI_freeplan(((TaskapiPagePlan *) lfirst(cell))->plan);
	MemoryContextDelete(query->context);
}

/*
 * The place of the one that was not used for the longest time and is not borrowed; -1 if there is none.
 */
static int
least_used(const TaskapiPageQuery *except)
{
	int			place = -1;

	for (int i = 0; i < MAX_QUERIES; i++)
	{
		if (queries[i] && queries[i] != except && queries[i]->borrowed == 0 &&
			(place < 0 || queries[i]->last_used < queries[place]->last_used))
			place = i;
	}
	return place;
}

void
taskapi_page_query_measure(TaskapiPageQuery *query)
{
	Size		total = 0;
	ListCell   *cell;
	int			place;

	query->size = MemoryContextMemAllocated(query->context, true);
	foreach(cell, query->plans)
		query->size += plan_size(lfirst(cell));
	for (int i = 0; i < MAX_QUERIES; i++)
		total += queries[i] ? queries[i]->size : 0;

	while (total > TASKAPI_PAGE_QUERY_MEMORY && (place = least_used(query)) >= 0)
	{
		total -= queries[place]->size;
		free_query(place);
	}
	while (total > TASKAPI_PAGE_QUERY_MEMORY && query->borrowed == 1 && query->plans != NIL)
	{
		TaskapiPagePlan *plan = linitial(query->plans);
		Size		size = plan_size(plan);

		query->plans = list_delete_first(query->plans);
		SPI_freeplan(plan->plan);
		pfree(plan);
		query->size -= size;
		total -= size;
	}
}

static Size
plan_size(const TaskapiPagePlan *plan)
{
	CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(plan->plan));

	return MemoryContextMemAllocated(source->context, true) +
		(source->gplan ? MemoryContextMemAllocated(source->gplan->context, true) : 0);
}

static void
invalidate_queries(Oid relid)
{
	for (int i = 0; i < MAX_QUERIES; i++)
	{
		if (queries[i] && (!OidIsValid(relid) || list_member_oid(queries[i]->source->relids, relid) ||
						   list_member_oid(queries[i]->source->watched, relid)))
			queries[i]->valid = false;
	}
}
