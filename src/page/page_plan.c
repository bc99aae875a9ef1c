/*-------------------------------------------------------------------------
 *
 * page_plan.c
 *	  The cache of shapes, branches, their statements and plans (page_plan.h).
 *
 * Shapes are found by what they were asked for: relation, order_by as it was
 * written, conditions without values, size, and for a user who may not read the whole relation, the
 * columns that he may read.  A relcache invalidation of any relation involved marks a shape, and the next
 * call that would use it makes it anew.  Statements name everything with its schema, so that search_path does
 * not count; what else a plan depends on is the plan cache's to know.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/table_cache.h"
#include "page/page_plan.h"
#include "page/page_steer.h"

#define MAX_SHAPES		64
#define MAX_PLANS		64		/* of one shape; 2 * terms is usual */

typedef struct PagePlan
{
	TaskapiBranch branch;
	SPIPlanPtr	plan;
} PagePlan;

static TaskapiPageShape *shapes[MAX_SHAPES];
static uint64 use_counter = 0;
static uint64 invalidations = 0;

static char *shape_key(Oid relid, const char *order_by, int order_len, List *conditions, int limit);
static TaskapiPageShape *find_shape(const char *key, Oid relid);
static TaskapiPageShape *make_shape(const char *key, Oid relid, const char *order_by, int order_len,
									List *conditions, int limit);
static void bind_filter(TaskapiPageShape *shape, List *conditions);
static void describe_rows(TaskapiPageShape *shape);
static void keep_shape(TaskapiPageShape *shape);
static void free_shape(TaskapiPageShape *shape);
static void invalidate_shapes(Oid relid);
static bool one_row_comparison(const TaskapiPageTerm *a, const TaskapiPageTerm *b);
static char *branch_sql(const TaskapiPageShape *shape, const TaskapiBranch *branch);
static void append_comparison(StringInfo buf, const TaskapiPageShape *shape, const TaskapiBranch *branch);
static void append_cursor(StringInfo buf, const TaskapiPageShape *shape);
static const char *beyond_cursor(const TaskapiPageShape *shape, const TaskapiBranch *branch);
static const char *beyond(const TaskapiPageTerm *term, bool backward, bool inclusive);
static SPIPlanPtr branch_plan(TaskapiPageShape *shape, const TaskapiBranch *branch);
static void describe_steering(const TaskapiPageShape *shape, const TaskapiBranch *branch, TaskapiSteering *steering);

void
taskapi_page_plan_init(void)
{
	taskapi_on_relation_change(invalidate_shapes);
	taskapi_page_steer_init();
}

TaskapiPageShape *
taskapi_page_shape(Oid relid, const char *order_by, int order_len, List *conditions, int fetch)
{
	TaskapiPageShape *shape;
	char	   *key;
	int			limit = 64;

	/* Few different limits, since each is another plan */
	while (limit < fetch)
		limit *= 16;
	key = shape_key(relid, order_by, order_len, conditions, limit);
	shape = find_shape(key, relid);
	if (shape == NULL)
		shape = make_shape(key, relid, order_by, order_len, conditions, limit);
	shape->borrowed++;
	shape->last_used = ++use_counter;
	return shape;
}

void
taskapi_page_shape_release(TaskapiPageShape *shape)
{
	shape->borrowed--;
}

static char *
shape_key(Oid relid, const char *order_by, int order_len, List *conditions, int limit)
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

static TaskapiPageShape *
find_shape(const char *key, Oid relid)
{
	for (int i = 0; i < MAX_SHAPES; i++)
	{
		TaskapiPageShape *shape = shapes[i];
		ListCell   *cell;
		char	   *name;

		if (shape == NULL || !shape->valid || strcmp(shape->key, key) != 0)
			continue;

		/* Locking lets invalidations in */
		foreach(cell, shape->source->relids)
			LockRelationOid(lfirst_oid(cell), AccessShareLock);
		if (!shape->valid || shapes[i] != shape)
			return NULL;

		/* Renaming a schema sends no invalidation of its relations */
		name = get_namespace_name(get_rel_namespace(relid));
		if (name == NULL || strcmp(name, shape->source->schema) != 0)
		{
			shape->valid = false;
			return NULL;
		}
		return shape;
	}
	return NULL;
}

static TaskapiPageShape *
make_shape(const char *key, Oid relid, const char *order_by, int order_len, List *conditions, int limit)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "taskapi page", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	TaskapiPageShape *shape = palloc0(sizeof(TaskapiPageShape));
	TaskapiPageOrder *order;
	Bitmapset  *isnull = NULL;
	bool		covered = true;
	uint64		before = invalidations;
	Oid			types[TASKAPI_MAX_ORDER_TERMS];
	Oid			collations[TASKAPI_MAX_ORDER_TERMS];

	shape->context = context;
	shape->key = pstrdup(key);
	shape->limit = limit;
	shape->source = taskapi_page_source(relid);
	shape->order = order = taskapi_page_order(shape->source, order_by, order_len);
	for (int i = 0; i < order->nterms; i++)
	{
		types[i] = order->terms[i].column->typid;
		collations[i] = order->terms[i].column->collation;
	}
	shape->cursor = taskapi_cursor_shape(order->order_by, order->nterms, types, collations, context);
	shape->opened.parent = context;
	bind_filter(shape, conditions);
	describe_rows(shape);

	for (int i = 0; i < list_length(conditions); i++)
	{
		AttrNumber	attno = shape->bindings[i].column->base_attno;

		if (attno > 0)
			shape->filtered = bms_add_member(shape->filtered, attno);
		if (attno > 0 && shape->bindings[i].op == FILTER_EQ)
			shape->equal = bms_add_member(shape->equal, attno);
		else if (attno > 0 && shape->bindings[i].op == FILTER_IS_NULL)
			isnull = bms_add_member(isnull, attno);
		else
			covered = false;
	}
	taskapi_page_find_index(shape->source, order, shape->equal, isnull, &shape->index);
	shape->nparams = shape->nfilter + order->nterms;
	if (OidIsValid(shape->index.cursor_function))
	{
		const char *text = shape->index.cursor_order;

		shape->index_cursor = taskapi_cursor_shape(taskapi_order_by_parse(text, strlen(text)), order->nscan,
												   types, collations, context);
		shape->argtypes[shape->nparams++] = get_func_rettype(shape->index.cursor_function);
	}
	shape->pinned = OidIsValid(shape->index.indexoid) && covered && bms_is_subset(shape->filtered, shape->index.constant) &&
		!shape->source->base_rls && (!shape->source->base_filtered || shape->index.partial);

	MemoryContextSwitchTo(old);
	keep_shape(shape);

	/* What changed while it was made may or may not have been seen */
	if (invalidations != before)
		shape->valid = false;
	return shape;
}

static void
bind_filter(TaskapiPageShape *shape, List *conditions)
{
	StringInfoData buf;

	shape->bindings = taskapi_filter_bind(conditions, shape->source);
	shape->argtypes = palloc(sizeof(Oid) * (list_length(conditions) + shape->order->nterms + 1));
	initStringInfo(&buf);
	for (int i = 0; i < list_length(conditions); i++)
	{
		TaskapiFilterBinding *binding = &shape->bindings[i];
		char	   *mark = strstr(binding->sql, "$%d");

		appendStringInfoString(&buf, i == 0 ? "" : " AND ");
		if (OidIsValid(binding->argtype))
		{
			/* the last mark: a column's name may hold one */
			for (char *next = mark; next; next = strstr(next + 1, "$%d"))
				mark = next;
			shape->argtypes[shape->nfilter++] = binding->argtype;
			appendStringInfo(&buf, "%.*s$%d%s", (int) (mark - binding->sql), binding->sql, shape->nfilter, mark + 3);
		}
		else
			appendStringInfoString(&buf, binding->sql);
	}
	shape->filter_sql = buf.data;
	for (int i = 0; i < shape->order->nterms; i++)
		shape->argtypes[shape->nfilter + i] = shape->order->terms[i].column->basetype;
}

static void
describe_rows(TaskapiPageShape *shape)
{
	TaskapiPageSource *source = shape->source;
	int			n = 0;

	for (int i = 0; i < source->natts; i++)
		n += source->columns[i].readable ? 1 : 0;
	shape->desc = CreateTemplateTupleDesc(n);
	n = 0;
	for (int i = 0; i < source->natts; i++)
	{
		TaskapiPageColumn *column = &source->columns[i];

		if (!column->readable)
			continue;
		TupleDescInitEntry(shape->desc, ++n, column->name, column->typid, column->typmod, 0);
		TupleDescInitEntryCollation(shape->desc, n, column->collation);
		for (int t = 0; t < shape->order->nterms; t++)
		{
			if (shape->order->terms[t].column == column)
				shape->column_of_term[t] = n;
		}
	}
	shape->desc = BlessTupleDesc(shape->desc);
}

/*
 * Into a free place, or that of the one that was not used for the longest time.  Where all
 * are borrowed, the shape lives no longer than the statement.
 */
static void
keep_shape(TaskapiPageShape *shape)
{
	int			victim = -1;

	/* Every vacuum makes some invalid: all of them go, or a session would pile them up in the places that are free */
	for (int i = 0; i < MAX_SHAPES; i++)
	{
		if (shapes[i] && !shapes[i]->valid && shapes[i]->borrowed == 0)
		{
			free_shape(shapes[i]);
			shapes[i] = NULL;
		}
	}
	for (int i = 0; i < MAX_SHAPES; i++)
	{
		if (shapes[i] == NULL)
		{
			victim = i;
			break;
		}
		if (shapes[i]->borrowed > 0)
			continue;
		if (victim < 0 || shapes[i]->last_used < shapes[victim]->last_used)
			victim = i;
	}
	if (victim < 0)
		return;
	if (shapes[victim])
		free_shape(shapes[victim]);
	shapes[victim] = NULL;
	MemoryContextSetParent(shape->context, CacheMemoryContext);
	shape->valid = true;
	shapes[victim] = shape;
}

static void
free_shape(TaskapiPageShape *shape)
{
	ListCell   *cell;

	foreach(cell, shape->plans)
		SPI_freeplan(((PagePlan *) lfirst(cell))->plan);
	MemoryContextDelete(shape->context);
}

static void
invalidate_shapes(Oid relid)
{
	invalidations++;
	for (int i = 0; i < MAX_SHAPES; i++)
	{
		if (shapes[i] && (!OidIsValid(relid) || list_member_oid(shapes[i]->source->relids, relid)))
			shapes[i]->valid = false;
	}
}

int
taskapi_page_branches(const TaskapiPageShape *shape, const bool *isnull, bool backward, bool inclusive,
					  TaskapiBranch *branches)
{
	const TaskapiPageTerm *terms = shape->order->terms;
	int			n = 0;

	if (isnull == NULL)
	{
		branches[0] = (TaskapiBranch) {.backward = backward, .kind = BRANCH_ALL};
		return 1;
	}
	if (OidIsValid(shape->index.cursor_function))
	{
		branches[0] = (TaskapiBranch)
		{
			.backward = backward,
			.kind = inclusive ? BRANCH_FROM : BRANCH_AFTER,
			.last = shape->order->nscan - 1
		};
		return 1;
	}

	for (int last = shape->order->nscan - 1; last >= 0;)
	{
		const TaskapiPageTerm *term = &terms[last];
		bool		nulls_first = term->nulls_first != backward;
		int			first = last;
		uint32		nulls = 0;

		for (int i = 0; i < last; i++)
			nulls |= isnull[i] ? (uint32) 1 << i : 0;
		while (first > 0 && term->column->notnull && !isnull[last] && terms[first - 1].column->notnull &&
			   !isnull[first - 1] && one_row_comparison(&terms[first - 1], term))
			first--;

#define ADD(what) \
		branches[n++] = (TaskapiBranch) {.backward = backward, .kind = (what), .first = first, .last = last, \
			.nulls = nulls & (((uint32) 1 << first) - 1)}
		if (isnull[last])
		{
			if (inclusive)
				ADD(BRANCH_IS_NULL);
			if (nulls_first)
				ADD(BRANCH_IS_NOT_NULL);
		}
		else
		{
			ADD(inclusive ? BRANCH_FROM : BRANCH_AFTER);
			if (!nulls_first && !term->column->notnull)
				ADD(BRANCH_IS_NULL);
		}
#undef ADD
		inclusive = false;
		last = first - 1;
	}
	return n;
}

/*
 * Can two terms stand in one row comparison?  Both must run in one direction, and their operators be spelt alike.
 */
static bool
one_row_comparison(const TaskapiPageTerm *a, const TaskapiPageTerm *b)
{
	return a->descending == b->descending &&
		strcmp(a->gt, b->gt) == 0 && strcmp(a->ge, b->ge) == 0 &&
		strcmp(a->lt, b->lt) == 0 && strcmp(a->le, b->le) == 0;
}

static char *
branch_sql(const TaskapiPageShape *shape, const TaskapiBranch *branch)
{
	const TaskapiPageTerm *terms = shape->order->terms;
	StringInfoData buf;
	const char *separator = "";

	initStringInfo(&buf);
	appendStringInfoString(&buf, "SELECT ");
	for (int i = 0; i < shape->source->natts; i++)
	{
		if (!shape->source->columns[i].readable)
			continue;
		appendStringInfo(&buf, "%s%s", separator, shape->source->columns[i].sql);
		separator = ", ";
	}
	appendStringInfo(&buf, " FROM %s AS r", shape->source->sql);

	separator = " WHERE ";
	if (shape->filter_sql[0])
	{
		appendStringInfo(&buf, "%s%s", separator, shape->filter_sql);
		separator = " AND ";
	}
	if (branch->kind != BRANCH_ALL)
	{
		for (int i = 0; i < branch->first; i++)
		{
			if (branch->nulls & ((uint32) 1 << i))
				appendStringInfo(&buf, "%s%s IS NULL", separator, terms[i].column->sql);
			else
				appendStringInfo(&buf, "%s%s %s $%d", separator, terms[i].column->sql, terms[i].eq, shape->nfilter + i + 1);
			separator = " AND ";
		}
		appendStringInfoString(&buf, separator);
		append_comparison(&buf, shape, branch);
	}

	separator = " ORDER BY ";
	for (int i = 0; i < shape->index.nitems; i++)
	{
		const TaskapiSortItem *item = &shape->index.items[i];

		appendStringInfoString(&buf, separator);
		if (item->column)
			appendStringInfoString(&buf, item->column->sql);
		else
			append_cursor(&buf, shape);
		appendStringInfo(&buf, " %s NULLS %s",
						 item->descending != branch->backward ? "DESC" : "ASC",
						 item->nulls_first != branch->backward ? "FIRST" : "LAST");
		separator = ", ";
	}
	appendStringInfo(&buf, " LIMIT %d", shape->limit);
	return buf.data;
}

static void
append_comparison(StringInfo buf, const TaskapiPageShape *shape, const TaskapiBranch *branch)
{
	const TaskapiPageTerm *terms = shape->order->terms;
	const TaskapiPageTerm *term = &terms[branch->first];
	bool		inclusive = branch->kind == BRANCH_FROM;
	int			parameter = shape->nfilter + branch->first + 1;

	if (OidIsValid(shape->index.cursor_function))
	{
		append_cursor(buf, shape);
		appendStringInfo(buf, " OPERATOR(pg_catalog.%s) $%d", beyond_cursor(shape, branch),
						 shape->nfilter + shape->order->nterms + 1);
	}
	else if (branch->kind == BRANCH_IS_NULL)
		appendStringInfo(buf, "%s IS NULL", term->column->sql);
	else if (branch->kind == BRANCH_IS_NOT_NULL)
		appendStringInfo(buf, "%s IS NOT NULL", term->column->sql);
	else if (branch->first == branch->last)
		appendStringInfo(buf, "%s %s $%d", term->column->sql, beyond(term, branch->backward, inclusive), parameter);
	else
	{
		/* Partitions are not pruned by row comparisons */
		if (shape->source->base_relkind == RELKIND_PARTITIONED_TABLE)
			appendStringInfo(buf, "%s %s $%d AND ", term->column->sql, beyond(term, branch->backward, true), parameter);

		appendStringInfoString(buf, "ROW(");
		for (int i = branch->first; i <= branch->last; i++)
			appendStringInfo(buf, "%s%s", i == branch->first ? "" : ", ", terms[i].column->sql);
		appendStringInfo(buf, ") %s ROW(", beyond(term, branch->backward, inclusive));
		for (int i = branch->first; i <= branch->last; i++)
			appendStringInfo(buf, "%s$%d", i == branch->first ? "" : ", ", shape->nfilter + i + 1);
		appendStringInfoChar(buf, ')');
	}
}

/*
 * The cursor that the index is on, of a row.
 */
static void
append_cursor(StringInfo buf, const TaskapiPageShape *shape)
{
	const TaskapiPageIndex *index = &shape->index;

	appendStringInfo(buf, "%s(%s",
					 quote_qualified_identifier(get_namespace_name(get_func_namespace(index->cursor_function)),
												get_func_name(index->cursor_function)),
					 quote_literal_cstr(index->cursor_order));
	for (int i = 0; i < shape->order->nscan; i++)
		appendStringInfo(buf, ", %s", shape->order->terms[i].column->sql);
	appendStringInfoChar(buf, ')');
}

/*
 * The operator between that and the position's cursor, for rows ahead.
 */
static const char *
beyond_cursor(const TaskapiPageShape *shape, const TaskapiBranch *branch)
{
	bool		inclusive = branch->kind == BRANCH_FROM;

	if (shape->index.cursor_descending != branch->backward)
		return inclusive ? "<=" : "<";
	return inclusive ? ">=" : ">";
}

/*
 * The operator between a column and the position's value, for rows ahead.
 */
static const char *
beyond(const TaskapiPageTerm *term, bool backward, bool inclusive)
{
	if (term->descending != backward)
		return inclusive ? term->le : term->lt;
	return inclusive ? term->ge : term->gt;
}

static SPIPlanPtr
branch_plan(TaskapiPageShape *shape, const TaskapiBranch *branch)
{
	MemoryContext old;
	PagePlan   *entry;
	SPIPlanPtr	plan;
	ListCell   *cell;

	foreach(cell, shape->plans)
	{
		entry = lfirst(cell);
		if (entry->branch.backward == branch->backward && entry->branch.kind == branch->kind &&
			entry->branch.first == branch->first && entry->branch.last == branch->last &&
			entry->branch.nulls == branch->nulls)
			return entry->plan;
	}

	plan = SPI_prepare_cursor(branch_sql(shape, branch), shape->nparams, shape->argtypes,
							  shape->pinned ? CURSOR_OPT_GENERIC_PLAN : CURSOR_OPT_CUSTOM_PLAN);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));

	/* A shape that is not kept, and one with too many patterns of NULLs, has its plans for this call only */
	if (shape->valid && list_length(shape->plans) < MAX_PLANS)
	{
		old = MemoryContextSwitchTo(shape->context);
		entry = palloc(sizeof(PagePlan));
		entry->branch = *branch;
		entry->plan = plan;
		SPI_keepplan(plan);
		shape->plans = lappend(shape->plans, entry);
		MemoryContextSwitchTo(old);
	}
	return plan;
}

void
taskapi_page_run(TaskapiPageShape *shape, const TaskapiBranch *branch, ParamListInfo params, int count, DestReceiver *dest)
{
	SPIPlanPtr volatile plan = branch_plan(shape, branch);
	SPIExecuteOptions options = {
		.params = params,
		.read_only = true,
		.must_return_tuples = true,
		.tcount = count,
		.dest = dest
	};
	TaskapiSteering steering;
	volatile int rc = 0;

	describe_steering(shape, branch, &steering);
	PG_TRY();
	{
		if (OidIsValid(steering.indexoid))
			taskapi_page_steer(&steering);
		rc = SPI_execute_plan_extended(plan, &options);
	}
	PG_FINALLY();
	{
		taskapi_page_steer_end();
	}
	PG_END_TRY();
	if (rc < 0)
		elog(ERROR, "SPI_execute_plan failed: %s", SPI_result_code_string(rc));
}

static void
describe_steering(const TaskapiPageShape *shape, const TaskapiBranch *branch, TaskapiSteering *steering)
{
	Bitmapset  *constant = bms_copy(shape->equal);

	for (int i = 0; i < branch->first; i++)
	{
		AttrNumber	attno = shape->order->terms[i].column->base_attno;

		if (attno > 0 && !(branch->nulls & ((uint32) 1 << i)))
			constant = bms_add_member(constant, attno);
	}
	memset(steering, 0, sizeof(TaskapiSteering));
	steering->relid = shape->source->base_relid;
	steering->indexoid = shape->index.indexoid;
	steering->pinned = shape->pinned;
	steering->constant = constant;
	steering->filtered = shape->filtered;
	steering->cursor_function = shape->index.cursor_function;
	for (int i = 0; i < shape->index.nitems && steering->leading == 0; i++)
	{
		const TaskapiPageColumn *column = shape->index.items[i].column;

		if (column && !bms_is_member(column->base_attno, constant))
			steering->leading = column->base_attno;
	}
}
