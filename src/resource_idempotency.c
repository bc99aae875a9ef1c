/*-------------------------------------------------------------------------
 *
 * resource_idempotency.c
 *	  The Idempotency-Key header of POST and PATCH on resources.
 *
 * A key covers one statement of the client, all its rows.  It is claimed before
 * the first row and stored after the last, in the transaction of the rows; a
 * statement that wrote nothing, or failed, leaves no key.
 *
 * What the request was is known by its rows, not by its text: for a POST the
 * columns that the client gave, with their values, row by row in their order;
 * for a PATCH the columns that it sets, with their new values, which are the
 * same in every row.  Columns that defaults filled in do not count, since they
 * differ with every repetition.  Values are taken in their binary form, so that
 * no setting of the session plays a part.
 *
 * A replay writes nothing and answers with the rows as they were stored: for a
 * POST one after the other, for a PATCH the one of the same key.  The stored
 * form is JSON, as the view showed the row, so that it outlives changes of the
 * table: a column that was added since is NULL, one that was dropped is left
 * out.  A cursor is kept unsealed, since its token may have expired.  Nothing is
 * answered that the caller may not see any more: each row is looked for, as the
 * caller, and its absence is not_found.
 *
 * The rows of a repeated PATCH may match its filter no longer.  Then there is
 * nothing to answer with, and nothing is done.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "tcop/pquery.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

#include "catalog.h"
#include "compat.h"
#include "cursor.h"
#include "idempotency.h"
#include "precondition.h"
#include "problem.h"
#include "request.h"
#include "resource.h"
#include "resource_idempotency.h"
#include "resource_write.h"
#include "sha256.h"

/* How a column's values become bytes */
typedef struct DigestColumn
{
	bool		counts;
	FmgrInfo	send;
} DigestColumn;

/* What TaskapiResourceStatement.idempotency points to, in a context of its own. */
typedef struct StatementKey
{
	MemoryContext context;
	TaskapiIdempotencyKey *key;
	int			ncolumns;
	DigestColumn *columns;		/* NULL until the first row */
	uint8		digest[TASKAPI_FINGERPRINT_LEN];	/* of the rows so far */
	StringInfoData body;		/* of a new request */
	bool		replay;
	TaskapiLedgerRow *stored;
	int			nrows;			/* stored ones */
	HeapTuple  *rows;
	int			answered;
} StatementKey;

static void statement_start(TaskapiResourceStatement *statement);
static HeapTuple before_row(TaskapiResourceStatement *statement, TupleDesc desc, HeapTuple old, HeapTuple new);
static void row_written(TaskapiResourceStatement *statement, TupleDesc desc, HeapTuple row);
static void statement_end(TaskapiResourceStatement *statement);
static bool key_applies(TaskapiResourceStatement *statement, const char **key);
static bool inserted_columns(Oid view, Bitmapset **columns);
static void prepare_digest(StatementKey *state, TaskapiResourceStatement *statement, TupleDesc desc);
static void digest_row(StatementKey *state, CmdType operation, TupleDesc desc, HeapTuple row);
static const char *skip_json_value(const char *s, const char *end);
static bool skip_text(const char **s, const char *end, const char *piece);
static void load_rows(StatementKey *state, TupleDesc desc);
static HeapTuple next_row(StatementKey *state, TaskapiView *view, CmdType operation, TupleDesc desc, HeapTuple old);
static bool same_key(TaskapiView *view, TupleDesc desc, HeapTuple a, HeapTuple b);
static void check_visible(const TaskapiLedgerRow *stored, TaskapiView *view, TupleDesc desc, HeapTuple row);
static int	cursor_column(TupleDesc desc);

void
taskapi_resource_idempotency_init(void)
{
	taskapi_resource_hooks.statement_start = statement_start;
	taskapi_resource_hooks.before_row = before_row;
	taskapi_resource_hooks.row_written = row_written;
	taskapi_resource_hooks.statement_end = statement_end;
}

/* ---------- the statement ---------- */

/*
 * Not what a function that the client calls over /rpc does on the way: that is the function's business.
 */
static bool
key_applies(TaskapiResourceStatement *statement, const char **key)
{
	const char *method;
	const char *path;
	bool		post;

	if (!statement->client || !statement->registration.idempotent || statement->deleted_rows)
		return false;
	path = taskapi_request_path();
	if (path && strncmp(path, "/rpc/", 5) == 0)
		return false;
	method = taskapi_request_method();
	post = statement->operation == CMD_INSERT && strcmp(method, "POST") == 0;
	if (!post && !(statement->operation == CMD_UPDATE && strcmp(method, "PATCH") == 0))
		return false;

	*key = taskapi_request_header("Idempotency-Key");
	if (*key)
		*key = pstrdup(*key);
	return *key != NULL || (post && taskapi_require_idempotency_key);
}

static void
statement_start(TaskapiResourceStatement *statement)
{
	const char *header;
	MemoryContext context;
	MemoryContext oldcontext;
	StatementKey *state;

	if (!key_applies(statement, &header))
		return;

	context = AllocSetContextCreate(CurTransactionContext, "taskapi idempotent statement", ALLOCSET_DEFAULT_SIZES);
	oldcontext = MemoryContextSwitchTo(context);
	state = palloc0(sizeof(StatementKey));
	state->context = context;
	state->key = taskapi_idempotency_key(NULL, header);
	initStringInfo(&state->body);
	state->stored = taskapi_idempotency_claim(state->key, false, NULL, NULL);
	state->replay = state->stored != NULL;
	if (state->replay)
	{
		/* What an idempotency_begin() of the same scope has stored is no answer of a resource. */
		if (state->stored->fingerprint == NULL || state->stored->body == NULL)
			taskapi_idempotency_reused();
		taskapi_set_response_header("Idempotency-Replayed", "true");
	}
	MemoryContextSwitchTo(oldcontext);
	statement->idempotency = state;
}

static HeapTuple
before_row(TaskapiResourceStatement *statement, TupleDesc desc, HeapTuple old, HeapTuple new)
{
	StatementKey *state = statement->idempotency;
	TaskapiView *view;
	HeapTuple	row;

	if (state == NULL)
		return NULL;
	if (state->columns == NULL)
		prepare_digest(state, statement, desc);
	digest_row(state, statement->operation, desc, new);
	if (!state->replay)
		return NULL;

	view = taskapi_view(statement->view);
	if (state->rows == NULL)
		load_rows(state, desc);
	row = next_row(state, view, statement->operation, desc, old);
	check_visible(state->stored, view, desc, row);

	/* As row by row in resource.c, which does not see the rows that are answered here. */
	if (++state->answered == 1 && view->version >= 0)
	{
		int64		version = taskapi_row_version(view, desc, row);

		if (version >= 0)
			taskapi_set_etag(version);
	}
	else if (state->answered == 2 && view->version >= 0)
		taskapi_unset_etag();
	return heap_copytuple(row);
}

static void
row_written(TaskapiResourceStatement *statement, TupleDesc desc, HeapTuple row)
{
	StatementKey *state = statement->idempotency;
	int			cursor;
	Datum		json;

	if (state == NULL)
		return;

	cursor = cursor_column(desc);
	appendStringInfoString(&state->body, state->body.len == 0 ? "[" : ",\n");
	appendStringInfoString(&state->body, "{\"row\":");
	if (cursor > 0)
	{
		bool		isnull;
		Datum		value = heap_getattr(row, cursor, desc, &isnull);
		Datum		null = (Datum) 0;
		bool		yes = true;
		HeapTuple	rest = heap_modify_tuple_by_cols(row, desc, 1, &cursor, &null, &yes);

		json = DirectFunctionCall1(row_to_json, heap_copy_tuple_as_datum(rest, desc));
		appendStringInfoString(&state->body, TextDatumGetCString(json));
		if (!isnull)
		{
			StringInfoData wire;
			char	   *hex;

			initStringInfo(&wire);
			taskapi_cursor_to_wire((struct varlena *) DatumGetPointer(value), &wire);
			hex = palloc(wire.len * 2 + 1);
			hex[hex_encode(wire.data, wire.len, hex)] = '\0';
			appendStringInfo(&state->body, ",\"cursor\":\"%s\"", hex);
		}
	}
	else
	{
		json = DirectFunctionCall1(row_to_json, heap_copy_tuple_as_datum(row, desc));
		appendStringInfoString(&state->body, TextDatumGetCString(json));
	}
	appendStringInfoChar(&state->body, '}');
}

static void
statement_end(TaskapiResourceStatement *statement)
{
	StatementKey *state = statement->idempotency;

	if (state == NULL)
		return;

	if (state->replay)
	{
		/* Of a PATCH, rows may match the filter no longer; of a POST, one that is missing is another request. */
		if ((state->answered > 0 || statement->operation == CMD_INSERT) &&
			!taskapi_fingerprint_matches(state->stored, state->digest))
			taskapi_idempotency_reused();
		if (statement->operation == CMD_INSERT && state->answered < state->nrows)
			taskapi_idempotency_reused();
		taskapi_ledger_count_replay(state->stored);
	}
	else if (state->body.len > 0)
	{
		appendStringInfoChar(&state->body, ']');
		taskapi_idempotency_store(state->key, state->digest, statement->operation == CMD_INSERT ? 201 : 200, NULL,
								  (struct varlena *) cstring_to_text_with_len(state->body.data, state->body.len));
	}
	statement->idempotency = NULL;
	MemoryContextDelete(state->context);
}

/* ---------- what the request was ---------- */

/*
 * The columns that an INSERT names, offset by FirstLowInvalidHeapAttributeNumber: those that it needs the privilege for.
 * False where the session's own statement is another one, which called a function that ran this one.
 */
static bool
inserted_columns(Oid view, Bitmapset **columns)
{
	bool		found = false;
	ListCell   *lc;

	*columns = NULL;
	if (ActivePortal == NULL)
		return false;
	foreach(lc, ActivePortal->stmts)
	{
		PlannedStmt *stmt = lfirst_node(PlannedStmt, lc);
		ListCell   *lr;

		foreach(lr, stmt->resultRelations)
		{
			RangeTblEntry *rte = rt_fetch(lfirst_int(lr), stmt->rtable);

			if (rte->relid != view)
				continue;
			*columns = bms_add_members(*columns, taskapi_inserted_columns(stmt, rte));
			found = true;
		}
	}
	return found;
}

static void
prepare_digest(StatementKey *state, TaskapiResourceStatement *statement, TupleDesc desc)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(state->context);
	Bitmapset  *given = statement->updated;
	Relation	rel = NULL;

	state->ncolumns = desc->natts;
	state->columns = palloc0(sizeof(DigestColumn) * Max(desc->natts, 1));
	if (statement->operation == CMD_INSERT && !inserted_columns(statement->view, &given))
		rel = RelationIdGetRelation(statement->view);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		DigestColumn *column = &state->columns[i];
		Oid			function;
		bool		is_varlena;
		int16		len;
		bool		byval;
		char		align;
		char		delim;
		Oid			ioparam;

		if (att->attisdropped)
			continue;
		if (rel == NULL)
			column->counts = bms_is_member(att->attnum - FirstLowInvalidHeapAttributeNumber, given);
		else
		{
			/* not known: all that no changing default can have filled in */
			Node	   *filler = build_column_default(rel, att->attnum);

			column->counts = !(filler && contain_mutable_functions(filler));
		}
		if (!column->counts)
			continue;

		get_type_io_data(att->atttypid, IOFunc_send, &len, &byval, &align, &delim, &ioparam, &function);
		if (!OidIsValid(function))
			getTypeOutputInfo(att->atttypid, &function, &is_varlena);
		fmgr_info_cxt(function, &column->send, state->context);
	}
	if (rel)
		RelationClose(rel);
	MemoryContextSwitchTo(oldcontext);
}

/*
 * A POST: digest = SHA-256(digest before, row).  A PATCH sets the same in every row, so the first one's counts.
 */
static void
digest_row(StatementKey *state, CmdType operation, TupleDesc desc, HeapTuple row)
{
	uint8		digest[TASKAPI_FINGERPRINT_LEN];
	StringInfoData buf;
	bool		first = state->answered == 0 && state->body.len == 0;

	initStringInfo(&buf);
	appendBinaryStringInfo(&buf, operation == CMD_INSERT ? "I" : "U", 1);
	if (operation == CMD_INSERT)
		appendBinaryStringInfo(&buf, (const char *) state->digest, TASKAPI_FINGERPRINT_LEN);
	for (int i = 0; i < state->ncolumns; i++)
	{
		Datum		value;
		bool		isnull;
		bytea	   *bytes;
		uint32		len;

		if (!state->columns[i].counts)
			continue;
		appendBinaryStringInfo(&buf, NameStr(TupleDescAttr(desc, i)->attname),
							   strlen(NameStr(TupleDescAttr(desc, i)->attname)) + 1);
		value = heap_getattr(row, i + 1, desc, &isnull);
		if (isnull)
		{
			appendStringInfoChar(&buf, 'n');
			continue;
		}
		appendStringInfoChar(&buf, 'v');
		if (TupleDescAttr(desc, i)->atttypid == JSONBOID)
		{
			uint8		canonical[TASKAPI_FINGERPRINT_LEN];

			taskapi_fingerprint_jsonb(DatumGetJsonbP(value), canonical);
			appendBinaryStringInfo(&buf, (const char *) canonical, sizeof(canonical));
			continue;
		}
		bytes = DatumGetByteaPP(FunctionCall1(&state->columns[i].send, value));
		len = VARSIZE_ANY_EXHDR(bytes);
		appendBinaryStringInfo(&buf, (const char *) &len, sizeof(len));
		appendBinaryStringInfo(&buf, VARDATA_ANY(bytes), len);

		/* 1.5 and 1.50 are one number: the third field is the display scale */
		if (getBaseType(TupleDescAttr(desc, i)->atttypid) == NUMERICOID && len >= 8)
			memset(buf.data + buf.len - len + 6, 0, 2);
	}

	taskapi_sha256(buf.data, buf.len, digest);
	pfree(buf.data);

	if (operation == CMD_INSERT || first)
		memcpy(state->digest, digest, sizeof(digest));
}

/* ---------- the stored answer ---------- */

static int
cursor_column(TupleDesc desc)
{
	Oid			type = taskapi_type_oid("cursor");

	for (int i = 0; i < desc->natts; i++)
	{
		if (TupleDescAttr(desc, i)->atttypid == type && !TupleDescAttr(desc, i)->attisdropped)
			return i + 1;
	}
	return 0;
}

/*
 * The end of the JSON value that begins at "s".  The text is valid JSON, as all of the type is.
 */
static const char *
skip_json_value(const char *s, const char *end)
{
	int			depth = 0;
	bool		in_string = false;

	for (; s < end; s++)
	{
		if (in_string)
		{
			if (*s == '\\')
				s++;
			else if (*s == '"')
				in_string = false;
			continue;
		}
		if ((*s == ',' || *s == '}' || *s == ']') && depth == 0)
			break;
		if (*s == '"')
			in_string = true;
		else if (*s == '{' || *s == '[')
			depth++;
		else if (*s == '}' || *s == ']')
			depth--;
	}
	return s;
}

/* Step over a piece of what row_written() wrote around the rows; false where something else stands there. */
static bool
skip_text(const char **s, const char *end, const char *piece)
{
	int			len = strlen(piece);

	if (end - *s < len || memcmp(*s, piece, len) != 0)
		return false;
	*s += len;
	return true;
}

/*
 * Make tuples of the view's row type as it is now from the stored JSON.
 */
static void
load_rows(StatementKey *state, TupleDesc desc)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(state->context);
	const char *s = VARDATA_ANY(state->stored->body);
	const char *end = s + VARSIZE_ANY_EXHDR(state->stored->body);
	int			cursor = cursor_column(desc);
	int			allocated = 16;
	FmgrInfo	populate;
	LOCAL_FCINFO(call, 3);

	fmgr_info(F_JSON_POPULATE_RECORD, &populate);
	fmgr_info_set_expr((Node *) makeFuncExpr(F_JSON_POPULATE_RECORD, desc->tdtypeid,
											 list_make1(makeNullConst(desc->tdtypeid, -1, InvalidOid)),
											 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL),
					   &populate);
	state->rows = palloc(sizeof(HeapTuple) * allocated);

	while (skip_text(&s, end, state->nrows == 0 ? "[" : ",\n"))
	{
		const char *start;
		HeapTupleData tuple;
		HeapTupleHeader record;
		HeapTuple	row;

		if (!skip_text(&s, end, "{\"row\":") || s == end || *s != '{')
			break;
		start = s;
		s = skip_json_value(s, end);

		InitFunctionCallInfoData(*call, &populate, 3, InvalidOid, NULL, NULL);
		call->args[0].value = (Datum) 0;
		call->args[0].isnull = true;
		call->args[1].value = PointerGetDatum(cstring_to_text_with_len(start, s - start));
		call->args[1].isnull = false;
		call->args[2].value = BoolGetDatum(false);
		call->args[2].isnull = false;
		record = DatumGetHeapTupleHeader(FunctionCallInvoke(call));
		if (call->isnull)
			break;
		tuple.t_len = HeapTupleHeaderGetDatumLength(record);
		ItemPointerSetInvalid(&tuple.t_self);
		tuple.t_tableOid = InvalidOid;
		tuple.t_data = record;
		row = heap_copytuple(&tuple);

		if (skip_text(&s, end, ",\"cursor\":\""))
		{
			StringInfoData wire;
			Datum		value;
			bool		no = false;

			start = s;
			while (s < end && *s != '"')
				s++;
			initStringInfo(&wire);
			enlargeStringInfo(&wire, (s - start) / 2);
			wire.len = hex_decode(start, s - start, wire.data);
			if (cursor > 0)
			{
				value = PointerGetDatum(taskapi_cursor_from_wire(&wire, NULL));
				row = heap_modify_tuple_by_cols(row, desc, 1, &cursor, &value, &no);
			}
			s++;
		}
		if (!skip_text(&s, end, "}"))
			break;

		if (state->nrows == allocated)
		{
			allocated *= 2;
			state->rows = repalloc(state->rows, sizeof(HeapTuple) * allocated);
		}
		state->rows[state->nrows++] = row;
	}
	MemoryContextSwitchTo(oldcontext);

	/* Not what row_written() wrote: the key was used for something else. */
	if (!skip_text(&s, end, "]") || s != end)
		taskapi_idempotency_reused();
}

static HeapTuple
next_row(StatementKey *state, TaskapiView *view, CmdType operation, TupleDesc desc, HeapTuple old)
{
	if (operation == CMD_INSERT)
	{
		if (state->answered < state->nrows)
			return state->rows[state->answered];
	}
	else
	{
		for (int i = 0; i < state->nrows; i++)
		{
			if (same_key(view, desc, state->rows[i], old))
				return state->rows[i];
		}
	}
	taskapi_idempotency_reused();
}

static bool
same_key(TaskapiView *view, TupleDesc desc, HeapTuple a, HeapTuple b)
{
	for (int i = 0; i < view->nkeys; i++)
	{
		if (taskapi_column_differs(view, desc, view->keys[i].column, a, b))
			return false;
	}
	return view->nkeys > 0;
}

static void
check_visible(const TaskapiLedgerRow *stored, TaskapiView *view, TupleDesc desc, HeapTuple row)
{
	TaskapiRowState seen = ROW_ABSENT;
	int64		version;

	if (view->nkeys > 0)
	{
		if (SPI_connect() != SPI_OK_CONNECT)
			elog(ERROR, "SPI_connect failed");
		seen = taskapi_resource_probe(view, desc, row, &version);
		SPI_finish();
	}
	if (seen == ROW_LIVE)
		return;

	/* Rows that were committed after the transaction's snapshot are nothing that it can see, but the next one can. */
	if (IsolationUsesXactSnapshot() && !TransactionIdIsCurrentTransactionId(stored->xmin) &&
		XidInMVCCSnapshot(stored->xmin, GetTransactionSnapshot()))
		taskapi_problem(PROBLEM_TRY_AGAIN, NIL, NULL,
						"The response was stored after this transaction began.");
	taskapi_problem(PROBLEM_NOT_FOUND, NIL, NULL,
					"A row of the stored response does not exist any more, or is not visible to this caller.");
}
