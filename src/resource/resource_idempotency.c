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
 * differ with every repetition.
 *
 * A replay writes nothing and answers with the rows as they were stored: for a
 * POST one after the other, for a PATCH the one of the same key.  The stored
 * form is JSON with the text of each value, so that it outlives changes of the
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
#include "miscadmin.h"
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
#include "base/counters.h"
#include "http/layer.h"
#include "http/problem.h"
#include "http/request.h"
#include "http/response.h"
#include "idempotency/idempotency_claim.h"
#include "resource/resource.h"
#include "resource/resource_answer.h"
#include "resource/resource_idempotency.h"
#include "resource/resource_write.h"

/* What TaskapiResourceStatement.idempotency points to, in the statement's context. */
typedef struct StatementKey
{
	MemoryContext context;
	TaskapiIdempotencyKey *key;
	bool	   *counts;			/* which columns make the request; NULL until the first row */
	uint8		digest[TASKAPI_FINGERPRINT_LEN];	/* of the rows so far */
	StringInfoData body;		/* of a new request */
	int			nwritten;
	bool		replay;
	TaskapiLedgerRow *stored;
	bool		may_read;		/* all that a stored row shows */
	int			nrows;			/* stored ones */
	TaskapiAnswerRow *rows;
	int			answered;
} StatementKey;

static bool require_idempotency_key = false;

static void statement_start(TaskapiResourceStatement *statement);
static HeapTuple before_row(const TaskapiWrite *write);
static void row_written(const TaskapiWrite *write, HeapTuple row);
static void statement_end(TaskapiResourceStatement *statement);
static bool key_applies(TaskapiResourceStatement *statement, const char **key);
static void choose_columns(const TaskapiWrite *write, StatementKey *state);
static void digest_row(const TaskapiWrite *write, StatementKey *state);
static TaskapiAnswerType *answer_type(const TaskapiWrite *write);
static void load_rows(const TaskapiWrite *write, StatementKey *state);
static HeapTuple next_row(const TaskapiWrite *write, StatementKey *state);
static bool same_key(const TaskapiWrite *write, HeapTuple a, HeapTuple b);
static void check_visible(const TaskapiWrite *write, const StatementKey *state, HeapTuple row);

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
	const char *path;
	bool		post;

	if (!statement->registration.idempotent || statement->deleted_rows)
		return false;
	post = statement->operation == CMD_INSERT && statement->method == TASKAPI_METHOD_POST;
	if (!post && !(statement->operation == CMD_UPDATE && statement->method == TASKAPI_METHOD_PATCH))
		return false;
	path = taskapi_request_path();
	if (path && strncmp(path, "/rpc/", 5) == 0)
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
	char	   *scope;
	MemoryContext oldcontext;
	StatementKey *state;

	if (!key_applies(statement, &header))
		return;

	oldcontext = MemoryContextSwitchTo(statement->context);
	state = palloc0(sizeof(StatementKey));
	state->context = statement->context;
	/* not the OID, which outlives neither a dump nor an expose() that has to make the view again */
	scope = taskapi_idempotency_request_scope(get_namespace_name(get_rel_namespace(statement->view)),
											  get_rel_name(statement->view));
	state->key = taskapi_idempotency_key(scope, header);
	taskapi_answer_begin(&state->body);
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
before_row(const TaskapiWrite *write)
{
	StatementKey *state = write->statement->idempotency;
	HeapTuple	row;

	if (state == NULL)
		return NULL;
	if (state->counts == NULL)
		choose_columns(write, state);
	digest_row(write, state);
	if (!state->replay)
		return NULL;

	if (state->rows == NULL)
		load_rows(write, state);
	row = next_row(write, state);
	/* an INSERT that returns nothing shows it to nobody */
	if (write->statement->operation != CMD_INSERT || !bms_is_empty(write->returned))
		check_visible(write, state, row);
	state->answered++;
	return row;
}

static void
row_written(const TaskapiWrite *write, HeapTuple row)
{
	StatementKey *state = write->statement->idempotency;

	if (state == NULL)
		return;
	taskapi_answer_append(&state->body, answer_type(write), write->desc, row,
						  write->statement->operation == CMD_INSERT && !write->statement->may_read);
	state->nwritten++;
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
		taskapi_count(TASKAPI_COUNTER_IDEMPOTENCY_REPLAYS, 1);
	}
	else if (state->nwritten > 0)
		taskapi_idempotency_store(state->key, state->digest, statement->operation == CMD_INSERT ? 201 : 200, NULL,
								  taskapi_answer_end(&state->body));
	statement->idempotency = NULL;
}

/* ---------- what the request was ---------- */

static void
choose_columns(const TaskapiWrite *write, StatementKey *state)
{
	const TaskapiResourceStatement *statement = write->statement;
	TupleDesc	desc = write->desc;
	Relation	rel = NULL;

	state->counts = MemoryContextAllocZero(state->context, sizeof(bool) * Max(desc->natts, 1));
	if (statement->operation == CMD_INSERT && !write->columns_known)
		rel = RelationIdGetRelation(statement->view);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (rel == NULL && statement->operation == CMD_INSERT)
			state->counts[i] = bms_is_member(i, write->given);
		else if (rel == NULL)
			state->counts[i] = bms_is_member(att->attnum - FirstLowInvalidHeapAttributeNumber, statement->updated);
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
digest_row(const TaskapiWrite *write, StatementKey *state)
{
	TaskapiValueIO *io = taskapi_resource_view_io(write->view);
	bool		insert = write->statement->operation == CMD_INSERT;
	TaskapiRequestDigest digest;

	if (!insert && state->nwritten + state->answered > 0)
		return;
	taskapi_digest_begin(&digest);
	appendBinaryStringInfo(&digest.buf, insert ? "I" : "U", 1);
	if (insert)
		appendBinaryStringInfo(&digest.buf, (const char *) state->digest, TASKAPI_FINGERPRINT_LEN);
	for (int i = 0; i < write->desc->natts; i++)
	{
		bool		isnull;
		Datum		value;

		if (!state->counts[i])
			continue;
		value = heap_getattr(write->new, i + 1, write->desc, &isnull);
		taskapi_digest_name(&digest, NameStr(TupleDescAttr(write->desc, i)->attname));
		taskapi_digest_value(&digest, &io[i], value, isnull);
	}
	taskapi_digest_end(&digest, state->digest);
}

/* ---------- the stored answer ---------- */

static TaskapiAnswerType *
answer_type(const TaskapiWrite *write)
{
	if (write->view->answer == NULL)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(write->view->entry.context);

		write->view->answer = taskapi_answer_type(write->desc);
		MemoryContextSwitchTo(oldcontext);
	}
	return write->view->answer;
}

static void
load_rows(const TaskapiWrite *write, StatementKey *state)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(state->context);
	bool		valid = taskapi_answer_rows(state->stored->body, answer_type(write), write->desc, &state->rows, &state->nrows);

	MemoryContextSwitchTo(oldcontext);
	if (!valid)					/* the key was used for something else */
		taskapi_idempotency_reused();
	state->may_read = write->statement->operation == CMD_INSERT ?
		taskapi_resource_may_read_columns(write->view, write->returned) : taskapi_resource_may_read(write->view);
}

static HeapTuple
next_row(const TaskapiWrite *write, StatementKey *state)
{
	if (write->statement->operation == CMD_INSERT)
	{
		if (state->answered < state->nrows)
			return state->rows[state->answered].tuple;
	}
	else
	{
		for (int i = 0; i < state->nrows; i++)
		{
			CHECK_FOR_INTERRUPTS();
			if (same_key(write, state->rows[i].tuple, write->old))
				return state->rows[i].tuple;
		}
	}
	taskapi_idempotency_reused();
}

static bool
same_key(const TaskapiWrite *write, HeapTuple a, HeapTuple b)
{
	const TaskapiView *view = write->view;

	for (int i = 0; i < view->nkeys; i++)
	{
		if (taskapi_resource_column_differs(write, view->keys[i].column, a, b))
			return false;
	}
	return view->nkeys > 0;
}

/*
 * The row of the stored one's key has to be there for the caller, who has to be allowed to read what the answer shows.
 */
static void
check_visible(const TaskapiWrite *write, const StatementKey *state, HeapTuple row)
{
	TransactionId stored_by = state->stored->xmin;
	TaskapiRowState seen;
	TaskapiVersion version;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	seen = taskapi_resource_probe(write, row, &version);
	SPI_finish();
	if (seen == TASKAPI_ROW_LIVE && state->may_read)
		return;

	/* Rows that were committed after the transaction's snapshot are nothing that it can see, but the next one can. */
	if (IsolationUsesXactSnapshot() && !TransactionIdIsCurrentTransactionId(stored_by) &&
		XidInMVCCSnapshot(stored_by, GetTransactionSnapshot()))
		taskapi_problem(PROBLEM_TRY_AGAIN, NIL, NULL,
						"The response was stored after this transaction began.");
	taskapi_problem(PROBLEM_NOT_FOUND, NIL, NULL,
					"A row of the stored response does not exist any more, or is not visible to this caller.");
}
