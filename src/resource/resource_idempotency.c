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
#include "optimizer/optimizer.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "tcop/pquery.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "idempotency/idempotency.h"
#include "http/layer.h"
#include "http/precondition.h"
#include "http/problem.h"
#include "http/request.h"
#include "http/response.h"
#include "resource/resource.h"
#include "resource/resource_answer.h"
#include "resource/resource_idempotency.h"
#include "resource/resource_write.h"
#include "base/sha256.h"

/* What TaskapiResourceStatement.idempotency points to, in a context of its own. */
typedef struct StatementKey
{
	MemoryContext context;
	TaskapiIdempotencyKey *key;
	bool	   *counts;			/* which columns make the request; NULL until the first row */
	uint8		digest[TASKAPI_FINGERPRINT_LEN];	/* of the rows so far */
	StringInfoData body;		/* of a new request */
	bool		replay;
	TaskapiLedgerRow *stored;
	int			nrows;			/* stored ones */
	HeapTuple  *rows;
	int			answered;
} StatementKey;

static bool require_idempotency_key = false;

static void statement_start(TaskapiResourceStatement *statement);
static HeapTuple before_row(TaskapiResourceStatement *statement, TupleDesc desc, HeapTuple old, HeapTuple new);
static void row_written(TaskapiResourceStatement *statement, TupleDesc desc, HeapTuple row);
static void statement_end(TaskapiResourceStatement *statement);
static bool key_applies(TaskapiResourceStatement *statement, const char **key);
static bool inserted_columns(Oid view, Bitmapset **columns);
static void choose_columns(StatementKey *state, TaskapiResourceStatement *statement, TupleDesc desc);
static void digest_row(StatementKey *state, TaskapiView *view, CmdType operation, TupleDesc desc, HeapTuple row);
static void load_rows(StatementKey *state, TaskapiView *view, TupleDesc desc);
static HeapTuple next_row(StatementKey *state, TaskapiView *view, CmdType operation, TupleDesc desc, HeapTuple old);
static bool same_key(TaskapiView *view, TupleDesc desc, HeapTuple a, HeapTuple b);
static void check_visible(const TaskapiLedgerRow *stored, TaskapiView *view, TupleDesc desc, HeapTuple row);

void
taskapi_resource_idempotency_init(void)
{
	DefineCustomBoolVariable("taskapi.require_idempotency_key",
							 "Refuses a POST to a resource without an Idempotency-Key.",
							 NULL,
							 &require_idempotency_key,
							 false,
							 PGC_USERSET, 0,
							 NULL, NULL, NULL);
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
	return *key != NULL || (post && require_idempotency_key);
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
	view = taskapi_view(statement->view);
	if (state->counts == NULL)
		choose_columns(state, statement, desc);
	digest_row(state, view, statement->operation, desc, new);
	if (!state->replay)
		return NULL;

	if (state->rows == NULL)
		load_rows(state, view, desc);
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

	if (state != NULL)
		taskapi_answer_append(&state->body, desc, row);
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
		taskapi_answer_end(&state->body);
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
choose_columns(StatementKey *state, TaskapiResourceStatement *statement, TupleDesc desc)
{
	Bitmapset  *given = statement->updated;
	Relation	rel = NULL;

	state->counts = MemoryContextAllocZero(state->context, sizeof(bool) * Max(desc->natts, 1));
	if (statement->operation == CMD_INSERT && !inserted_columns(statement->view, &given))
		rel = RelationIdGetRelation(statement->view);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped)
			continue;
		if (rel == NULL)
			state->counts[i] = bms_is_member(att->attnum - FirstLowInvalidHeapAttributeNumber, given);
		else
		{
			/* not known: all that no changing default can have filled in */
			Node	   *filler = build_column_default(rel, att->attnum);

			state->counts[i] = !(filler && contain_mutable_functions(filler));
		}
	}
	if (rel)
		RelationClose(rel);
}

/*
 * A POST: digest = SHA-256(digest before, row).  A PATCH sets the same in every row, so the first one's counts.
 */
static void
digest_row(StatementKey *state, TaskapiView *view, CmdType operation, TupleDesc desc, HeapTuple row)
{
	TaskapiColumnIO *io = taskapi_view_io(view);
	uint8		digest[TASKAPI_FINGERPRINT_LEN];
	StringInfoData buf;
	bool		first = state->answered == 0 && state->body.len == 0;

	initStringInfo(&buf);
	appendBinaryStringInfo(&buf, operation == CMD_INSERT ? "I" : "U", 1);
	if (operation == CMD_INSERT)
		appendBinaryStringInfo(&buf, (const char *) state->digest, TASKAPI_FINGERPRINT_LEN);
	for (int i = 0; i < desc->natts; i++)
	{
		Datum		value;
		bool		isnull;
		const char *bytes;
		uint32		len;

		if (!state->counts[i])
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
		if (io[i].binary)
		{
			bytea	   *sent = SendFunctionCall(&io[i].send, value);

			bytes = VARDATA_ANY(sent);
			len = VARSIZE_ANY_EXHDR(sent);
		}
		else
		{
			bytes = OutputFunctionCall(&io[i].send, value);
			len = strlen(bytes);
		}
		appendBinaryStringInfo(&buf, (const char *) &len, sizeof(len));
		appendBinaryStringInfo(&buf, bytes, len);

		/* 1.5 and 1.50 are one number: the third field is the display scale */
		if (io[i].basetype == NUMERICOID && len >= 8)
			memset(buf.data + buf.len - len + 6, 0, 2);
	}

	taskapi_sha256(buf.data, buf.len, digest);
	pfree(buf.data);

	if (operation == CMD_INSERT || first)
		memcpy(state->digest, digest, sizeof(digest));
}

/* ---------- the stored answer ---------- */

static void
load_rows(StatementKey *state, TaskapiView *view, TupleDesc desc)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(state->context);
	bool		valid = taskapi_answer_rows(state->stored->body, view, desc, &state->rows, &state->nrows);

	MemoryContextSwitchTo(oldcontext);
	if (!valid)					/* the key was used for something else */
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
