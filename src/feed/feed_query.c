/*-------------------------------------------------------------------------
 *
 * feed_query.c
 *	  The statements of the change feed (feed_query.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/stratnum.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/typcache.h"
#include "utils/xid8.h"

#include "base/compat.h"
#include "base/role.h"
#include "cursor/cursor_encoding.h"
#include "cursor/cursor_key.h"
#include "cursor/cursor_wire.h"
#include "feed/feed_plan.h"
#include "feed/feed_query.h"
#include "feed/feed_stamp.h"
#include "http/problem.h"
#include "page/page_storage.h"

#define AS_OWNER (SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION)

/* A statement in the making */
typedef struct Statement
{
	const TaskapiFeedRequest *request;
	StringInfoData sql;
	int			nparams;
	Oid		   *types;
	Datum	   *values;
	int			ncolumns;		/* of the result, and their types */
	Oid		   *columns;
} Statement;

static void begin(Statement *statement, const TaskapiFeedRequest *request);
static int	parameter(Statement *statement, Oid type, Datum value);
static void result_column(Statement *statement, Oid type);
static uint64 run(Statement *statement, Oid role, Oid relid, int count);
static const TaskapiViewColumn *key_column(const TaskapiView *view, int key);
static bool is_number(Oid type);
static Datum stamp_datum(uint64 stamp);
static int	ranges_from(Statement *statement);
static void append_range(Statement *statement, const char *stamp, const char *alias);
static void append_position(Statement *statement, const char *stamp, const char *alias);
static bool comparable_as_row(const TaskapiView *view);
static void append_unseen(Statement *statement, const char *column);
static void append_order(Statement *statement, const char *stamp, const char *alias);
static void append_condition(Statement *statement);

static void
begin(Statement *statement, const TaskapiFeedRequest *request)
{
	const TaskapiView *view = request->feed->view;
	int			max = 2 * INDEX_MAX_KEYS + 16 + list_length(request->conditions);

	statement->request = request;
	statement->nparams = 0;
	statement->types = palloc(sizeof(Oid) * max);
	statement->values = palloc(sizeof(Datum) * max);
	statement->ncolumns = 0;
	statement->columns = palloc(sizeof(Oid) * (TASKAPI_FEED_COLUMNS + Max(view->ncolumns, view->nkeys)));
	initStringInfo(&statement->sql);
}

static int
parameter(Statement *statement, Oid type, Datum value)
{
	statement->types[statement->nparams] = type;
	statement->values[statement->nparams] = value;
	return ++statement->nparams;
}

static void
result_column(Statement *statement, Oid type)
{
	statement->columns[statement->ncolumns++] = type;
}

void
taskapi_feed_require_types(const TaskapiView *view, TupleDesc desc, int n, const Oid *types)
{
	bool		same = (desc->natts == n);

	for (int i = 0; same && i < n; i++)
		same = !TupleDescAttr(desc, i)->attisdropped && TupleDescAttr(desc, i)->atttypid == types[i];
	if (!same)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("resource \"%s\" changed while its changes were being read", get_rel_name(view->entry.relid)),
				 errhint("Send the request again.")));
}

/*
 * "relid" is the relation whose rows are returned: a schema may be renamed, and another take its name, before the text is
 * parsed.  Columns may change until then too, by what the scope or a policy calls: so the types of the result are compared.
 */
static uint64
run(Statement *statement, Oid role, Oid relid, int count)
{
	TaskapiView *view = statement->request->feed->view;
	TaskapiStorageSeen seen = {0};
	SPIPlanPtr	plan;
	CachedPlanSource *source;
	TaskapiRole saved = {0};
	int			rc;

	if (OidIsValid(role))
	{
		plan = taskapi_feed_plan_as(view, role, statement->sql.data, statement->nparams, statement->types);
		saved = taskapi_become(role, AS_OWNER);
	}
	else
		plan = taskapi_feed_plan(view, statement->sql.data, statement->nparams, statement->types);
	taskapi_feed_plan_by_index(plan);
	rc = SPI_execute_plan(plan, statement->values, NULL, true, count);
	if (OidIsValid(role))
		taskapi_role_restore(saved);
	if (rc != SPI_OK_SELECT)
		elog(ERROR, "changes were not read: %s", SPI_result_code_string(rc));

	/* Now all relations that the rows came from are locked */
	source = linitial(SPI_plan_get_plan_sources(plan));
	if (!list_member_oid(source->relationOids, relid))
		taskapi_problem(PROBLEM_TRY_AGAIN, NIL, NULL, "Another relation has taken the name of the source.");
	taskapi_page_check_storage(source->relationOids, &seen);
	taskapi_feed_require_types(view, SPI_tuptable->tupdesc, statement->ncolumns, statement->columns);
	pfree(statement->sql.data);
	return SPI_processed;
}

static const TaskapiViewColumn *
key_column(const TaskapiView *view, int key)
{
	return &view->columns[view->keys[key].column];
}

static Datum
stamp_datum(uint64 stamp)
{
	return FullTransactionIdGetDatum(FullTransactionIdFromU64(stamp));
}

/*
 * FROM one row for each value of the scope and each range of stamps, as s(v) and b(low, high).  Returns the parameter
 * that is the scope, 0 if there is none.
 */
static int
ranges_from(Statement *statement)
{
	const TaskapiFeedRequest *request = statement->request;
	const TaskapiFeed *feed = request->feed;
	Datum		bounds[2][TASKAPI_FEED_RANGES];
	int			arrays[2];
	int			scope = 0;

	for (int i = 0; i < request->nranges; i++)
	{
		/* a client that has nothing yet has none of older incarnations either */
		bounds[0][i] = stamp_datum(request->ranges[i].low == 0 ? 0 :
								   TASKAPI_STAMP(feed->state.incarnation, request->ranges[i].low));
		bounds[1][i] = stamp_datum(TASKAPI_STAMP(feed->state.incarnation, request->ranges[i].high));
	}
	for (int i = 0; i < 2; i++)
		arrays[i] = parameter(statement, XID8ARRAYOID,
							  PointerGetDatum(construct_array(bounds[i], request->nranges, XID8OID, sizeof(int64),
															  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE)));
	appendStringInfoString(&statement->sql, " FROM ");
	if (feed->scope_attno > 0)
	{
		scope = parameter(statement, get_array_type(feed->scope_type), feed->scope_values);
		appendStringInfo(&statement->sql, "pg_catalog.unnest($%d) AS s(v), ", scope);
	}
	appendStringInfo(&statement->sql, "ROWS FROM (pg_catalog.unnest($%d), pg_catalog.unnest($%d)) AS b(low, high), ",
					 arrays[0], arrays[1]);
	return scope;
}

/*
 * WHERE the stamp is in the range, and the row in the scope and behind the position.
 */
static void
append_range(Statement *statement, const char *stamp, const char *alias)
{
	const TaskapiFeed *feed = statement->request->feed;

	appendStringInfo(&statement->sql, " WHERE %s OPERATOR(pg_catalog.>=) b.low AND %s OPERATOR(pg_catalog.<) b.high",
					 stamp, stamp);
	if (feed->scope_attno > 0)
		appendStringInfo(&statement->sql, " AND %s.%s %s s.v", alias,
						 quote_identifier(get_attname(feed->source, feed->scope_attno, false)),
						 taskapi_operator_sql(lookup_type_cache(feed->scope_type, TYPECACHE_EQ_OPR)->eq_opr));
	if (statement->request->positioned)
		append_position(statement, stamp, alias);
}

/*
 * A row comparison, which bounds the index, needs one name for all of its operators.
 */
static bool
comparable_as_row(const TaskapiView *view)
{
	for (int i = 0; i < view->nkeys; i++)
	{
		TypeCacheEntry *type = lookup_type_cache(getBaseType(key_column(view, i)->type), TYPECACHE_GT_OPR);

		if (!OidIsValid(type->gt_opr) || type->gt_opr >= FirstNormalObjectId)
			return false;
	}
	return true;
}

static void
append_position(Statement *statement, const char *stamp, const char *alias)
{
	const TaskapiFeedRequest *request = statement->request;
	const TaskapiView *view = request->feed->view;
	int			first = parameter(statement, XID8OID, stamp_datum(request->stamp));
	StringInfo	sql = &statement->sql;

	for (int i = 0; i < view->nkeys; i++)
		(void) parameter(statement, key_column(view, i)->type, request->keys[i]);
	if (comparable_as_row(view))
	{
		appendStringInfo(sql, " AND ROW(%s", stamp);
		for (int i = 0; i < view->nkeys; i++)
			appendStringInfo(sql, ", %s.%s", alias, key_column(view, i)->name);
		appendStringInfo(sql, ") OPERATOR(pg_catalog.>) ROW($%d", first);
		for (int i = 0; i < view->nkeys; i++)
			appendStringInfo(sql, ", $%d", first + 1 + i);
		appendStringInfoChar(sql, ')');
		return;
	}
	appendStringInfo(sql, " AND %s OPERATOR(pg_catalog.>=) $%d AND (%s OPERATOR(pg_catalog.>) $%d", stamp, first, stamp, first);
	for (int i = 0; i < view->nkeys; i++)
	{
		TypeCacheEntry *type = lookup_type_cache(getBaseType(key_column(view, i)->type), TYPECACHE_GT_OPR);

		appendStringInfo(sql, " OR (%s.%s %s $%d", alias, key_column(view, i)->name, taskapi_operator_sql(type->gt_opr),
						 first + 1 + i);
		for (int j = 0; j < i; j++)
			appendStringInfo(sql, " AND %s.%s %s $%d", alias, key_column(view, j)->name,
							 taskapi_operator_sql(view->keys[j].eq_operator), first + 1 + j);
		appendStringInfoChar(sql, ')');
	}
	appendStringInfoChar(sql, ')');
}

static void
append_order(Statement *statement, const char *stamp, const char *alias)
{
	const TaskapiView *view = statement->request->feed->view;

	appendStringInfo(&statement->sql, " ORDER BY %s", stamp);
	for (int i = 0; i < view->nkeys; i++)
		appendStringInfo(&statement->sql, ", %s.%s", alias, key_column(view, i)->name);
}

/*
 * A stamp that the client's snapshot does not see.
 */
static void
append_unseen(Statement *statement, const char *column)
{
	const TaskapiFeedRequest *request = statement->request;
	int			incarnation = request->feed->state.incarnation;
	Datum		running[TASKAPI_FEED_RUNNING];
	int			xmax = parameter(statement, XID8OID, stamp_datum(TASKAPI_STAMP(incarnation, request->base->xmax)));
	int			list;

	for (int i = 0; i < request->base->n; i++)
		running[i] = stamp_datum(TASKAPI_STAMP(incarnation, request->base->running[i]));
	list = parameter(statement, XID8ARRAYOID,
					 PointerGetDatum(construct_array(running, request->base->n, XID8OID, sizeof(int64),
													 FLOAT8PASSBYVAL, TYPALIGN_DOUBLE)));
	appendStringInfo(&statement->sql, "(%s OPERATOR(pg_catalog.>=) $%d OR %s OPERATOR(pg_catalog.=) ANY ($%d))",
					 column, xmax, column, list);
}

/*
 * The filter, on the view's row as r.
 */
static void
append_condition(Statement *statement)
{
	const TaskapiFeedRequest *request = statement->request;
	int			parameters = 0;

	for (int i = 0; i < list_length(request->conditions); i++)
	{
		const TaskapiFilterBinding *binding = &request->bindings[i];
		int			number = 0;

		if (OidIsValid(binding->argtype))
			number = parameter(statement, binding->argtype, request->parameters[parameters++]);
		appendStringInfoString(&statement->sql, i > 0 ? " AND (" : "(");
		if (number > 0)
		{
			const char *place = strstr(binding->sql, "$%d");

			/* the last mark: a column's name may hold one */
			for (const char *next = place; next; next = strstr(next + 1, "$%d"))
				place = next;
			appendBinaryStringInfo(&statement->sql, binding->sql, place - binding->sql);
			appendStringInfo(&statement->sql, "$%d%s", number, place + 3);
		}
		else
			appendStringInfoString(&statement->sql, binding->sql);
		appendStringInfoChar(&statement->sql, ')');
	}
}

uint64
taskapi_feed_rows(const TaskapiFeedRequest *request, int count)
{
	TaskapiView *view = request->feed->view;
	Statement	statement;
	StringInfo	sql = &statement.sql;
	int			limit;

	begin(&statement, request);
	limit = parameter(&statement, INT8OID, Int64GetDatum(count));
	result_column(&statement, XID8OID);
	result_column(&statement, BOOLOID);
	appendStringInfoString(sql, "SELECT r.\"taskapi stamp\", r.\"taskapi deleted\"");
	if (request->conditions != NIL)
	{
		appendStringInfoString(sql, " OR (");
		append_condition(&statement);
		appendStringInfoString(sql, ") IS NOT TRUE");
	}
	for (int i = 0; i < view->ncolumns; i++)
	{
		result_column(&statement, view->columns[i].type);
		appendStringInfo(sql, ", r.%s", quote_identifier(get_attname(view->entry.relid, i + 1, false)));
	}
	appendStringInfoString(sql, " FROM (SELECT x.*");
	(void) ranges_from(&statement);
	appendStringInfo(sql, "LATERAL (SELECT t." TASKAPI_STAMP_COLUMN " AS \"taskapi stamp\", %s AS \"taskapi deleted\"",
					 view->registration.soft_delete ?
					 psprintf("t.%s IS NOT NULL", quote_identifier(NameStr(view->registration.deleted_at_column))) : "false");
	for (int i = 0; i < view->ncolumns; i++)
		appendStringInfo(sql, ", %s AS %s", view->expressions[i],
						 quote_identifier(get_attname(view->entry.relid, i + 1, false)));
	appendStringInfo(sql, " FROM %s AS t", view->source_name);
	append_range(&statement, "t." TASKAPI_STAMP_COLUMN, "t");
	append_order(&statement, "t." TASKAPI_STAMP_COLUMN, "t");
	appendStringInfo(sql, " LIMIT $%d) AS x ORDER BY x.\"taskapi stamp\"", limit);
	for (int i = 0; i < view->nkeys; i++)
		appendStringInfo(sql, ", x.%s", quote_identifier(get_attname(view->entry.relid, view->keys[i].column + 1, false)));
	appendStringInfo(sql, " LIMIT $%d) AS r", limit);
	return run(&statement, InvalidOid, request->feed->source, count);
}

uint64
taskapi_feed_departed(const TaskapiFeedRequest *request, int count)
{
	const TaskapiFeed *feed = request->feed;
	const TaskapiView *view = feed->view;
	Statement	statement;
	StringInfo	sql = &statement.sql;
	int			limit;

	begin(&statement, request);
	limit = parameter(&statement, INT8OID, Int64GetDatum(count));
	appendStringInfoString(sql, "SELECT x.*");
	(void) ranges_from(&statement);
	appendStringInfoString(sql, "LATERAL (SELECT d.taskapi_stamp");
	result_column(&statement, XID8OID);
	for (int i = 0; i < view->nkeys; i++)
	{
		result_column(&statement, key_column(view, i)->type);
		appendStringInfo(sql, ", d.%s", key_column(view, i)->name);
	}
	appendStringInfo(sql, " FROM %s AS d",
					 quote_qualified_identifier(get_namespace_name(get_rel_namespace(feed->departures)),
												get_rel_name(feed->departures)));
	append_range(&statement, "d.taskapi_stamp", "d");
	append_order(&statement, "d.taskapi_stamp", "d");
	appendStringInfo(sql, " LIMIT $%d) AS x", limit);
	append_order(&statement, "x.taskapi_stamp", "x");
	appendStringInfo(sql, " LIMIT $%d", limit);
	return run(&statement, InvalidOid, feed->departures, count);
}

static bool
is_number(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID || type == NUMERICOID || type == FLOAT4OID || type == FLOAT8OID;
}

bool
taskapi_feed_sees_row(const TaskapiFeedRequest *request, const Datum *keys)
{
	const TaskapiFeed *feed = request->feed;
	const TaskapiView *view = feed->view;
	Statement	statement;
	bool		found;

	begin(&statement, request);
	appendStringInfo(&statement.sql, "SELECT FROM %s AS t", view->source_name);
	for (int i = 0; i < view->nkeys; i++)
	{
		const TaskapiViewColumn *column = key_column(view, i);
		int			number = parameter(&statement, column->type, keys[i]);

		appendStringInfo(&statement.sql, "%s", i == 0 ? " WHERE " : " AND ");
		generate_operator_clause(&statement.sql, psprintf("t.%s", column->name), column->type, view->keys[i].eq_operator,
								 psprintf("$%d", number), column->type);
	}
	for (int i = 0; i < view->nkeys; i++)
	{
		/* a client knows it by its spelling, unless that is a number */
		if (!is_number(getBaseType(key_column(view, i)->type)))
			appendStringInfo(&statement.sql,
							 " AND ROW(t.%s)::pg_catalog.record OPERATOR(pg_catalog.*=) ROW($%d)::pg_catalog.record",
							 key_column(view, i)->name, i + 1);
	}
	if (feed->scope_attno > 0)
		appendStringInfo(&statement.sql, " AND t.%s %s ANY ($%d)",
						 quote_identifier(get_attname(feed->source, feed->scope_attno, false)),
						 taskapi_operator_sql(lookup_type_cache(feed->scope_type, TYPECACHE_EQ_OPR)->eq_opr),
						 parameter(&statement, get_array_type(feed->scope_type), feed->scope_values));
	found = run(&statement, InvalidOid, feed->source, 1) > 0;
	SPI_freetuptable(SPI_tuptable);
	return found;
}

bool
taskapi_feed_has_departures(const TaskapiFeedRequest *request)
{
	const TaskapiFeed *feed = request->feed;
	Statement	statement;
	bool		found;

	begin(&statement, request);
	appendStringInfo(&statement.sql, "SELECT FROM %s AS d WHERE ",
					 quote_qualified_identifier(get_namespace_name(get_rel_namespace(feed->departures)),
												get_rel_name(feed->departures)));
	append_unseen(&statement, "d.taskapi_stamp");
	appendStringInfoString(&statement.sql, " LIMIT 1");
	found = run(&statement, feed->view->source_owner, feed->departures, 1) > 0;
	SPI_freetuptable(SPI_tuptable);
	return found;
}

/*
 * In binary form, which no setting changes; types without one cannot be in the key of a resource.
 */
const uint8 *
taskapi_feed_write_key(const TaskapiView *view, const Datum *keys, int *len)
{
	TaskapiBytes buf;

	taskapi_bytes_init(&buf, 64);
	for (int i = 0; i < view->nkeys; i++)
	{
		Oid			function;
		bool		is_varlena;
		bytea	   *sent;

		getTypeBinaryOutputInfo(getBaseType(key_column(view, i)->type), &function, &is_varlena);
		sent = OidSendFunctionCall(function, keys[i]);
		taskapi_bytes_append_varint(&buf, VARSIZE(sent) - VARHDRSZ);
		taskapi_bytes_append(&buf, VARDATA(sent), VARSIZE(sent) - VARHDRSZ);
	}
	*len = buf.len;
	return buf.data;
}

void
taskapi_feed_read_key(const TaskapiView *view, const uint8 *data, int len, Datum *keys)
{
	const uint8 *end = data + len;

	for (int i = 0; i < view->nkeys; i++)
	{
		uint64		n;
		Oid			function;
		Oid			ioparam;
		StringInfoData buf;

		if (!taskapi_read_varint(&data, end, &n) || n > end - data)
			taskapi_problem(PROBLEM_INVALID_CURSOR, NIL, NULL, TASKAPI_CURSOR_UNREADABLE);
		getTypeBinaryInputInfo(getBaseType(key_column(view, i)->type), &function, &ioparam);
		initStringInfo(&buf);
		appendBinaryStringInfo(&buf, (const char *) data, (int) n);
		keys[i] = OidReceiveFunctionCall(function, &buf, ioparam, -1);
		data += n;
	}
}
