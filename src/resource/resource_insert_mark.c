/*-------------------------------------------------------------------------
 *
 * resource_insert_mark.c
 *	  Which columns a client's INSERT names (resource_insert_mark.h).
 *
 * SQL: sql/install/60_resource.sql
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "nodes/supportnodes.h"
#include "parser/parse_func.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "base/args.h"
#include "base/compat.h"
#include "base/hmac.h"
#include "base/own_objects.h"
#include "cursor/cursor_shape.h"
#include "http/problem.h"
#include "resource/resource_conflict.h"
#include "resource/resource_insert_mark.h"
#include "resource/resource_insert_portal.h"

/* The keys of a mark, as a cursor: texts all of them. */
#define MARK_ORDER "insert_mac, insert_given, insert_returned, insert_conflict"
#define MARK_KEYS 4

/* The last mark that was found genuine, and what it says; in TopMemoryContext. */
static struct varlena *last_mark = NULL;
static Bitmapset *last_given = NULL;
static Bitmapset *last_returned = NULL;
static char *last_conflict = NULL;

static TaskapiCursorShape *mark_shape(void);
static List *insert_target_list(const Query *query);
static bool is_table_default(const Node *node);
static Node *make_mark(Query *query);
static Node *with_arguments(Const *mark, List *arguments);
static bool open_mark(const struct varlena *value, Datum *keys, bool *nulls);
static Datum mark_mac(const Datum *values);
static Datum columns_to_text(const Bitmapset *columns);
static Bitmapset *columns_from_text(Datum value, int ncolumns);
static bool is_mark(const struct varlena *value, int ncolumns);
static void forget_last_mark(void);
static Bitmapset *all_columns(const TaskapiView *view);
static Bitmapset *columns_not_null(const TaskapiWrite *write);

/*
 * Made once: its types are the server's own.
 */
static TaskapiCursorShape *
mark_shape(void)
{
	static TaskapiCursorShape *shape = NULL;
	static const Oid types[MARK_KEYS] = {TEXTOID, TEXTOID, TEXTOID, TEXTOID};
	static const Oid collations[MARK_KEYS] = {C_COLLATION_OID, C_COLLATION_OID, C_COLLATION_OID, C_COLLATION_OID};

	if (shape == NULL)
		shape = taskapi_cursor_shape(taskapi_order_by_parse(MARK_ORDER, strlen(MARK_ORDER)), MARK_KEYS, types,
									 collations, TopMemoryContext);
	return shape;
}

/* ---------- in the query ---------- */

Oid
taskapi_insert_resource(const Query *query)
{
	const RangeTblEntry *rte;

	if ((query->commandType != CMD_INSERT && query->commandType != CMD_MERGE) || query->resultRelation == 0)
		return InvalidOid;
	rte = rt_fetch(query->resultRelation, query->rtable);
	if (rte->rtekind != RTE_RELATION || rte->relkind != RELKIND_VIEW || taskapi_resource_find(rte->relid) == NULL)
		return InvalidOid;
	return rte->relid;
}

/*
 * What is inserted; NIL if that is not one list: a MERGE can have several INSERTs.
 */
static List *
insert_target_list(const Query *query)
{
	List	   *result = NIL;
	ListCell   *lc;

	if (query->commandType == CMD_INSERT)
		return query->targetList;
	foreach(lc, query->mergeActionList)
	{
		const MergeAction *action = lfirst_node(MergeAction, lc);

		if (action->commandType != CMD_INSERT)
			continue;
		if (result != NIL)
			return NIL;
		result = action->targetList;
	}
	return result;
}

static bool
is_table_default(const Node *node)
{
	return taskapi_is_own_call(node, "table_default");
}

/*
 * The planner hook has marked any INSERT that is still to come, and taken its clause off.  This one loads the library itself.
 */
void
taskapi_insert_require_mark(const Query *query)
{
	const TaskapiView *view = taskapi_resource_view_as_is(taskapi_insert_resource(query));
	ListCell   *lc;

	if (query->onConflict == NULL)
		return;
	foreach(lc, query->targetList)
	{
		const TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (!tle->resjunk && tle->resno == view->cursor + 1 && !taskapi_is_own_call((const Node *) tle->expr, "insert_columns"))
			taskapi_problem(PROBLEM_TRY_AGAIN, NIL,
							"Send the request again. To avoid this, call taskapi.pre_request() or set session_preload_libraries.",
							"The session had not loaded the library before it planned an INSERT that gives a cursor.");
	}
}

/*
 * PostgreSQL has put the view's own default into the list of columns that the client did not name, or for which it wrote DEFAULT.
 */
bool
taskapi_insert_leaves_out(const Query *query, int column)
{
	ListCell   *lc;

	foreach(lc, insert_target_list(query))
	{
		const TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (!tle->resjunk && tle->resno == column + 1)
			return is_table_default((const Node *) tle->expr);
	}
	return true;
}

/*
 * NULL if it cannot be said: a MERGE can have several INSERTs.
 */
static Node *
make_mark(Query *query)
{
	RangeTblEntry *rte = rt_fetch(query->resultRelation, query->rtable);
	const Bitmapset *named = taskapi_query_inserted_columns(query, rte);
	Bitmapset  *given = NULL;
	Datum		values[MARK_KEYS];
	bool		nulls[MARK_KEYS] = {false};
	List	   *list = insert_target_list(query);
	List	   *arguments = NIL;
	const char *conflict;
	Const	   *mark;
	ListCell   *lc;

	if (list == NIL && query->commandType == CMD_MERGE)
		return NULL;
	foreach(lc, list)
	{
		const TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (!tle->resjunk && bms_is_member(tle->resno - FirstLowInvalidHeapAttributeNumber, named) &&
			!is_table_default((const Node *) tle->expr))
			given = bms_add_member(given, tle->resno - 1);
	}
	values[1] = columns_to_text(given);
	values[2] = columns_to_text(taskapi_insert_view_columns(taskapi_query_selected_columns(query, rte),
											 taskapi_resource_view_as_is(rte->relid)->ncolumns));
	conflict = query->commandType == CMD_INSERT ? taskapi_conflict_take(query, &arguments) : NULL;
	values[3] = PointerGetDatum(cstring_to_text(conflict ? conflict : ""));
	values[0] = mark_mac(values);
	mark = makeConst(taskapi_type_oid("cursor"), -1, InvalidOid, -1,
					 PointerGetDatum(taskapi_cursor_build(mark_shape(), values, nulls)), false, false);
	return arguments == NIL ? (Node *) mark : with_arguments(mark, arguments);
}

/*
 * A call that adds the values of the arguments to the mark, when they are known.
 */
static Node *
with_arguments(Const *mark, List *arguments)
{
	Oid			types[] = {mark->consttype, RECORDOID};
	RowExpr    *row = makeNode(RowExpr);

	row->args = arguments;
	row->row_typeid = RECORDOID;
	row->row_format = COERCE_EXPLICIT_CALL;
	row->location = -1;
	return (Node *) makeFuncExpr(LookupFuncName(list_make2(makeString(TASKAPI_SCHEMA), makeString("insert_arguments")),
												lengthof(types), types, false),
								 mark->consttype, list_make2(mark, row), InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
}

/*
 * insert_arguments(mark cursor, arguments record) -> cursor
 *
 * The mark with the values of a clause's arguments, which are the same for all rows of a statement.
 */
PG_FUNCTION_INFO_V1(taskapi_insert_arguments);
Datum
taskapi_insert_arguments(PG_FUNCTION_ARGS)
{
	Datum		keys[MARK_KEYS];
	bool		nulls[MARK_KEYS];
	HeapTupleHeader header;
	HeapTupleData row;
	TupleDesc	desc;
	List	   *arguments = NIL;
	MemoryContext oldcontext;

	if (fcinfo->flinfo->fn_extra != NULL)
		PG_RETURN_POINTER(fcinfo->flinfo->fn_extra);
	taskapi_require_arg(fcinfo, 0, "mark");
	taskapi_require_arg(fcinfo, 1, "arguments");
	if (!open_mark(PG_GETARG_VARLENA_PP(0), keys, nulls))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("insert_arguments() is for the plan of an INSERT into a resource")));

	header = PG_GETARG_HEAPTUPLEHEADER(1);
	desc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(header), HeapTupleHeaderGetTypMod(header));
	row.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&row.t_self);
	row.t_tableOid = InvalidOid;
	row.t_data = header;
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		bool		isnull;
		Datum		value = heap_getattr(&row, i + 1, desc, &isnull);

		arguments = lappend(arguments, makeConst(att->atttypid, -1, att->attcollation, att->attlen, value, isnull,
												 att->attbyval));
	}
	keys[3] = PointerGetDatum(cstring_to_text(taskapi_conflict_with_arguments(TextDatumGetCString(keys[3]), arguments)));
	keys[0] = mark_mac(keys);
	ReleaseTupleDesc(desc);
	oldcontext = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	fcinfo->flinfo->fn_extra = taskapi_cursor_build(mark_shape(), keys, nulls);
	MemoryContextSwitchTo(oldcontext);
	PG_RETURN_POINTER(fcinfo->flinfo->fn_extra);
}

/*
 * In hexadecimal digits.  The key is this backend's: a plan never leaves it.  Statements of one shape follow each other, so the
 * last one is kept.
 */
static Datum
mark_mac(const Datum *values)
{
	static uint8 key[PG_SHA256_DIGEST_LENGTH];
	static bool have_key = false;
	static char *last_text = NULL;
	static int	last_len = 0;
	static uint8 mac[PG_SHA256_DIGEST_LENGTH];
	StringInfoData buf;
	text	   *result = palloc(VARHDRSZ + 2 * sizeof(mac));

	if (!have_key)
	{
		if (!pg_strong_random(key, sizeof(key)))
			ereport(ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg("could not generate a random key")));
		have_key = true;
	}
	initStringInfo(&buf);
	for (int i = 1; i < MARK_KEYS; i++)
	{
		const text *value = (const text *) DatumGetPointer(values[i]);

		/* no text has a zero byte */
		appendBinaryStringInfo(&buf, VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
		appendStringInfoChar(&buf, '\0');
	}
	if (last_text == NULL || last_len != buf.len || memcmp(last_text, buf.data, buf.len) != 0)
	{
		char	   *text = MemoryContextAlloc(TopMemoryContext, buf.len);

		memcpy(text, buf.data, buf.len);
		if (last_text != NULL)
			pfree(last_text);
		last_text = NULL;
		taskapi_hmac_sha256(key, sizeof(key), false, buf.data, buf.len, mac);
		last_text = text;
		last_len = buf.len;
	}
	pfree(buf.data);
	hex_encode((const char *) mac, sizeof(mac), VARDATA(result));
	SET_VARSIZE(result, VARHDRSZ + 2 * sizeof(mac));
	return PointerGetDatum(result);
}

void
taskapi_insert_mark(Query *query)
{
	const TaskapiView *view = taskapi_resource_view_as_is(taskapi_insert_resource(query));
	Node	   *mark;
	TargetEntry *entry;
	int			place = 0;
	ListCell   *lc;

	if (query->commandType != CMD_INSERT || view->cursor < 0 || (mark = make_mark(query)) == NULL)
		return;
	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (tle->resjunk || tle->resno > view->cursor + 1)
			break;
		if (tle->resno == view->cursor + 1)
		{
			tle->expr = (Expr *) mark;
			return;
		}
		place++;
	}
	/* in the order of the columns, as the planner wants them */
	entry = makeTargetEntry((Expr *) mark, view->cursor + 1, "cursor", false);
	query->targetList = list_insert_nth(query->targetList, place, entry);
}

/*
 * insert_columns() -> cursor
 *
 * NULL; in an INSERT into a resource its support function puts the mark in its place.
 */
PG_FUNCTION_INFO_V1(taskapi_insert_columns);
Datum
taskapi_insert_columns(PG_FUNCTION_ARGS)
{
	PG_RETURN_NULL();
}

PG_FUNCTION_INFO_V1(taskapi_insert_columns_support);
Datum
taskapi_insert_columns_support(PG_FUNCTION_ARGS)
{
	SupportRequestSimplify *request = (SupportRequestSimplify *) PG_GETARG_POINTER(0);
	Node	   *result = NULL;

	if (IsA(request, SupportRequestSimplify) && request->root != NULL &&
		OidIsValid(taskapi_insert_resource(request->root->parse)))
		result = make_mark(request->root->parse);
	PG_RETURN_POINTER(result);
}

/* ---------- the mark as text ---------- */

static Datum
columns_to_text(const Bitmapset *columns)
{
	StringInfoData buf;
	int			i = -1;

	initStringInfo(&buf);
	while ((i = bms_next_member(columns, i)) >= 0)
		appendStringInfo(&buf, "%d ", i);
	return PointerGetDatum(cstring_to_text_with_len(buf.data, buf.len));
}

/*
 * Whoever wrote it: numbers that are no column's are left out.
 */
static Bitmapset *
columns_from_text(Datum value, int ncolumns)
{
	char	   *s = TextDatumGetCString(value);
	Bitmapset  *columns = NULL;

	while (*s != '\0')
	{
		char	   *end;
		long		i = strtol(s, &end, 10);

		if (end == s)
			break;
		if (i >= 0 && i < ncolumns)
			columns = bms_add_member(columns, (int) i);
		s = end;
	}
	return columns;
}

/* ---------- at the row ---------- */

/*
 * The keys of a mark; false for anything that this backend has not made.
 */
static bool
open_mark(const struct varlena *value, Datum *keys, bool *nulls)
{
	TaskapiCursorView cursor;
	const text *mac;

	if (!taskapi_cursor_try_view(value, &cursor) ||
		taskapi_cursor_shape_compares(mark_shape(), &cursor) != CURSOR_MATCHES ||
		!taskapi_cursor_read_keys(mark_shape(), &cursor, keys, nulls))
		return false;
	for (int i = 0; i < MARK_KEYS; i++)
	{
		if (nulls[i])
			return false;
	}
	mac = (const text *) DatumGetPointer(mark_mac(keys));
	return VARSIZE_ANY_EXHDR(DatumGetPointer(keys[0])) == VARSIZE_ANY_EXHDR(mac) &&
		timingsafe_bcmp(VARDATA_ANY(DatumGetPointer(keys[0])), VARDATA_ANY(mac), VARSIZE_ANY_EXHDR(mac)) == 0;
}

/*
 * Is it a mark that this backend has made?  Then it is the last one.
 */
static bool
is_mark(const struct varlena *value, int ncolumns)
{
	Datum		keys[MARK_KEYS];
	bool		nulls[MARK_KEYS];
	MemoryContext oldcontext;

	if (last_mark != NULL && VARSIZE_ANY_EXHDR(value) == VARSIZE_ANY_EXHDR(last_mark) &&
		memcmp(VARDATA_ANY(value), VARDATA_ANY(last_mark), VARSIZE_ANY_EXHDR(value)) == 0)
		return true;
	if (!open_mark(value, keys, nulls))
		return false;
	oldcontext = MemoryContextSwitchTo(TopMemoryContext);
	forget_last_mark();
	last_given = columns_from_text(keys[1], ncolumns);
	last_returned = columns_from_text(keys[2], ncolumns);
	last_conflict = TextDatumGetCString(keys[3]);
	last_mark = palloc(VARSIZE_ANY(value));
	memcpy(last_mark, value, VARSIZE_ANY(value));
	MemoryContextSwitchTo(oldcontext);
	return true;
}

static void
forget_last_mark(void)
{
	if (last_mark != NULL)
		pfree(last_mark);
	if (last_conflict != NULL)
		pfree(last_conflict);
	bms_free(last_given);
	bms_free(last_returned);
	last_mark = NULL;
	last_conflict = NULL;
	last_given = last_returned = NULL;
}

static Bitmapset *
all_columns(const TaskapiView *view)
{
	return view->ncolumns > 0 ? bms_add_range(NULL, 0, view->ncolumns - 1) : NULL;
}

static Bitmapset *
columns_not_null(const TaskapiWrite *write)
{
	Bitmapset  *columns = NULL;

	for (int i = 0; i < write->view->ncolumns; i++)
	{
		if (!heap_attisnull(write->new, i + 1, write->desc))
			columns = bms_add_member(columns, i);
	}
	return columns;
}

void
taskapi_insert_read_mark(TaskapiWrite *write)
{
	const TaskapiView *view = write->view;
	bool		isnull = true;
	Datum		value = (Datum) 0;
	Bitmapset  *given;
	Bitmapset  *not_used;

	if (view->cursor >= 0)
		value = heap_getattr(write->new, view->cursor + 1, write->desc, &isnull);
	write->conflict = NULL;
	write->columns_known = true;
	if (!isnull && is_mark((struct varlena *) PG_DETOAST_DATUM_PACKED(value), view->ncolumns))
	{
		/* a row that is written within this one may bring another mark */
		given = bms_copy(last_given);
		if (last_conflict[0] != '\0')
			write->conflict = pstrdup(last_conflict);
		write->returned = NULL;
		if (taskapi_insert_planned_before_load() && !taskapi_insert_ask_portal(write, &not_used))
			write->returned = all_columns(view);
		write->returned = bms_union(write->returned, last_returned);
	}
	else if (taskapi_insert_ask_portal(write, &given))
		;
	else
	{
		write->columns_known = false;
		given = columns_not_null(write);
		write->returned = taskapi_insert_copies_into(write->statement->view) ? NULL : all_columns(view);
	}
	write->version_given = view->version >= 0 && bms_is_member(view->version, given);
	write->given = bms_int_members(given, view->writable);
}
