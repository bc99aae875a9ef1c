/*-------------------------------------------------------------------------
 *
 * page_query.c
 *	  The cache of page queries (page_query.h).
 *
 * A relcache invalidation of any relation involved marks a query, and the next
 * call that would use it makes it again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "funcapi.h"

#include "base/compat.h"
#include "base/table_cache.h"
#include "page/page_query.h"

#define MAX_QUERIES		64

static TaskapiPageQuery *queries[MAX_QUERIES];
static uint64 use_counter = 0;
static uint64 invalidations = 0;

static char *query_key(Oid relid, const char *order_by, int order_len, List *conditions, int limit);
static TaskapiPageQuery *find_query(const char *key, Oid relid);
static TaskapiPageQuery *make_query(const char *key, Oid relid, const char *order_by, int order_len,
									List *conditions, int limit);
static void find_index(TaskapiPageQuery *query, List *conditions, const Oid *types, const Oid *collations);
static void bind_filter(TaskapiPageQuery *query, List *conditions);
static void describe_rows(TaskapiPageQuery *query);
static void keep_query(TaskapiPageQuery *query);
static void free_query(TaskapiPageQuery *query);
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
	query = find_query(key, relid);
	if (query == NULL)
		query = make_query(key, relid, order_by, order_len, conditions, limit);
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

static TaskapiPageQuery *
find_query(const char *key, Oid relid)
{
	for (int i = 0; i < MAX_QUERIES; i++)
	{
		TaskapiPageQuery *query = queries[i];
		ListCell   *cell;
		char	   *name;

		if (query == NULL || !query->valid || strcmp(query->key, key) != 0)
			continue;

		/* Locking lets invalidations in */
		foreach(cell, query->source->relids)
			LockRelationOid(lfirst_oid(cell), AccessShareLock);
		if (!query->valid || queries[i] != query)
			return NULL;

		/* Renaming a schema sends no invalidation of its relations */
		name = get_namespace_name(get_rel_namespace(relid));
		if (name == NULL || strcmp(name, query->source->schema) != 0)
		{
			query->valid = false;
			return NULL;
		}
		return query;
	}
	return NULL;
}

static TaskapiPageQuery *
make_query(const char *key, Oid relid, const char *order_by, int order_len, List *conditions, int limit)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "taskapi page", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	TaskapiPageQuery *query = palloc0(sizeof(TaskapiPageQuery));
	TaskapiPageOrder *order;
	uint64		before = invalidations;
	Oid			types[TASKAPI_MAX_ORDER_TERMS];
	Oid			collations[TASKAPI_MAX_ORDER_TERMS];

	query->context = context;
	query->key = pstrdup(key);
	query->limit = limit;
	query->source = taskapi_page_source(relid);
	query->order = order = taskapi_page_order(query->source, order_by, order_len);
	for (int i = 0; i < order->nterms; i++)
	{
		types[i] = order->terms[i].column->typid;
		collations[i] = order->terms[i].column->collation;
	}
	query->cursor = taskapi_cursor_shape(order->order_by, order->nterms, types, collations, context);
	query->opened.parent = context;
	bind_filter(query, conditions);
	describe_rows(query);

	find_index(query, conditions, types, collations);

	MemoryContextSwitchTo(old);
	keep_query(query);

	/* What changed while it was made may or may not have been seen */
	if (invalidations != before)
		query->valid = false;
	return query;
}

/*
 * What the conditions hold constant, the index that bounds the order then, and whether its plan may be pinned.
 */
static void
find_index(TaskapiPageQuery *query, List *conditions, const Oid *types, const Oid *collations)
{
	Bitmapset  *isnull = NULL;
	bool		covered = true;

	for (int i = 0; i < list_length(conditions); i++)
	{
		AttrNumber	attno = query->bindings[i].column->base_attno;

		if (attno > 0)
			query->filtered = bms_add_member(query->filtered, attno);
		if (attno > 0 && query->bindings[i].op == FILTER_EQ)
			query->equal = bms_add_member(query->equal, attno);
		else if (attno > 0 && query->bindings[i].op == FILTER_IS_NULL)
			isnull = bms_add_member(isnull, attno);
		else
			covered = false;
	}
	taskapi_page_find_index(query->source, query->order, query->equal, isnull, &query->index);
	query->nparams = query->nfilter + query->order->nterms;
	if (OidIsValid(query->index.cursor_function))
	{
		const char *text = query->index.cursor_order;

		query->index_cursor = taskapi_cursor_shape(taskapi_order_by_parse(text, strlen(text)), query->order->nscan,
												   types, collations, query->context);
		query->argtypes[query->nparams++] = get_func_rettype(query->index.cursor_function);
	}
	query->pinned = OidIsValid(query->index.indexoid) && covered && bms_is_subset(query->filtered, query->index.constant) &&
		!query->source->base_rls && (!query->source->base_filtered || query->index.partial);
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
		query->argtypes[query->nfilter + i] = query->order->terms[i].column->basetype;
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
 * Into a free place, or that of the one that was not used for the longest time.  Where all
 * are borrowed, the query lives no longer than the statement.
 */
static void
keep_query(TaskapiPageQuery *query)
{
	int			victim = -1;

	/* Every vacuum makes some invalid: all of them go, or a session would pile them up in the places that are free */
	for (int i = 0; i < MAX_QUERIES; i++)
	{
		if (queries[i] && !queries[i]->valid && queries[i]->borrowed == 0)
		{
			free_query(queries[i]);
			queries[i] = NULL;
		}
	}
	for (int i = 0; i < MAX_QUERIES; i++)
	{
		if (queries[i] == NULL)
		{
			victim = i;
			break;
		}
		if (queries[i]->borrowed > 0)
			continue;
		if (victim < 0 || queries[i]->last_used < queries[victim]->last_used)
			victim = i;
	}
	if (victim < 0)
		return;
	if (queries[victim])
		free_query(queries[victim]);
	queries[victim] = NULL;
	MemoryContextSetParent(query->context, CacheMemoryContext);
	query->valid = true;
	queries[victim] = query;
}

static void
free_query(TaskapiPageQuery *query)
{
	ListCell   *cell;

	foreach(cell, query->plans)
		SPI_freeplan(((TaskapiPagePlan *) lfirst(cell))->plan);
	MemoryContextDelete(query->context);
}

static void
invalidate_queries(Oid relid)
{
	invalidations++;
	for (int i = 0; i < MAX_QUERIES; i++)
	{
		if (queries[i] && (!OidIsValid(relid) || list_member_oid(queries[i]->source->relids, relid)))
			queries[i]->valid = false;
	}
}
