/*-------------------------------------------------------------------------
 *
 * resource_idempotency.c
 *	  The Idempotency-Key header of requests on resources.
 *
 * A key covers one statement of the client, all its rows.  It is claimed before
 * the first row and stored after the last, in the transaction of the rows; a
 * statement that failed leaves no key.
 *
 * What the request was is known by its values, not by its text: for a POST or PUT
 * the columns that the client gave, row by row in their order; for a PATCH the
 * columns that it sets, with their new values, which are the same in every row.
 * Columns that defaults filled in do not count, since they differ with every
 * repetition.  Which rows a PATCH or DELETE asks for is known by its filter.
 *
 * A replay writes nothing and answers with the rows as they were stored, one after
 * the other.  A PATCH or DELETE reads them instead of what its filter finds by now
 * (resource_replay.h): rows that left the filter are answered, and rows that met
 * it since are not touched.  The stored form is JSON with the text of each value,
 * so that it outlives changes of the table: a column that was added since is NULL,
 * one that was dropped is left out.  A cursor is kept unsealed, since its token may
 * have expired.  Nothing is answered that the caller may not see any more: each row
 * is looked for, as the caller, and its absence is not_found.
 *
 * If the values of a PATCH depend on the rows, or cannot be known without them for
 * another reason, the filter has to find the stored rows again.
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

#include "base/client_query.h"
#include "base/compat.h"
#include "base/counters.h"
#include "http/problem.h"
#include "http/request.h"
#include "idempotency/idempotency_claim.h"
#include "resource/resource.h"
#include "resource/resource_answer.h"
#include "resource/resource_client.h"
#include "resource/resource_idempotency.h"
#include "resource/resource_replay.h"
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
	QueryDesc  *query;			/* NULL if it is not known */
	TaskapiQueryOwner owner;
	bool		replay;
	bool		reads_stored;	/* a replay reads its rows instead of what its filter finds */
	TaskapiLedgerRow *stored;
	bool		may_read;		/* all that a stored row shows */
	int			nrows;			/* stored ones */
	HeapTuple  *rows;
	int			offered;		/* to the statement, which reads_stored */
	int			answered;
} StatementKey;

bool		taskapi_require_idempotency_key = false;

static void statement_start(TaskapiResourceStatement *statement);
static void start_replay(TaskapiResourceStatement *statement, StatementKey *state);
static HeapTuple offer_row(void *arg);
static HeapTuple before_row(const TaskapiWrite *write);
static void row_written(const TaskapiWrite *write, HeapTuple row);
static void statement_end(TaskapiResourceStatement *statement);
static void check_all_found(TaskapiResourceStatement *statement, StatementKey *state);
static bool key_applies(TaskapiResourceStatement *statement, const char **key);
static bool digest_statement(TaskapiResourceStatement *statement, StatementKey *state);
static bool append_filter(TaskapiRequestDigest *digest, QueryDesc *query, Oid view);
static void choose_columns(const TaskapiWrite *write, StatementKey *state);
static void digest_row(const TaskapiWrite *write, StatementKey *state);
static TaskapiAnswerType *answer_type(TaskapiView *view, TupleDesc desc);
static void load_rows(TaskapiView *view, TupleDesc desc, StatementKey *state);
static HeapTuple next_row(const TaskapiWrite *write, StatementKey *state);
static bool same_key(const TaskapiWrite *write, HeapTuple a, HeapTuple b);
static void check_visible(const TaskapiWrite *write, const StatementKey *state, HeapTuple row);

void
taskapi_resource_idempotency_init(void)
{
	DefineCustomBoolVariable("taskapi.require_idempotency_key",
							 "Refuses a POST to a resource, or to an idempotent function, without an Idempotency-Key.",
							 NULL,
							 &taskapi_require_idempotency_key,
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
 * Does the method go with the statement, and does the client's statement have a key, or have to have one?
 */
static bool
key_applies(TaskapiResourceStatement *statement, const char **key)
{
	bool		required = false;

	if (!statement->registration.idempotent)
		return false;
	switch (statement->method)
	{
		case TASKAPI_METHOD_POST:
			if (statement->operation != CMD_INSERT)
				return false;
			required = taskapi_require_idempotency_key;
			break;
		case TASKAPI_METHOD_PUT:
			if (statement->operation != CMD_INSERT)
				return false;
			break;
		case TASKAPI_METHOD_PATCH:
			if (statement->operation != CMD_UPDATE)
				return false;
			break;
		case TASKAPI_METHOD_DELETE:
			if (statement->operation != CMD_DELETE)
				return false;
			break;
		default:
			return false;
	}
	*key = taskapi_request_header("Idempotency-Key");
	if (*key)
		*key = pstrdup(*key);
	return *key != NULL || required;
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
	state->query = taskapi_running_query(&state->owner);
	if (state->query != NULL && taskapi_replay_target(state->query, statement->view, CMD_MERGE) != NULL)
		taskapi_problem(PROBLEM_IDEMPOTENCY_KEY_INVALID, NIL, "Send the request without a key, or as an INSERT.",
						"A MERGE takes no idempotency key.");
	/* not the OID, which outlives neither a dump nor an expose() that has to make the view again */
	scope = taskapi_idempotency_request_scope(get_namespace_name(get_rel_namespace(statement->view)),
											  get_rel_name(statement->view));
	state->key = taskapi_idempotency_key(scope, header);
	taskapi_answer_begin(&state->body);
	state->stored = taskapi_idempotency_claim(state->key, false, NULL, NULL);
	state->replay = state->stored != NULL;
	if (state->replay)
		start_replay(statement, state);
	MemoryContextSwitchTo(oldcontext);
	statement->idempotency = state;
}

static void
start_replay(TaskapiResourceStatement *statement, StatementKey *state)
{
	ModifyTableState *target;
	TaskapiView *view;

	/* What an idempotency_begin() of the same scope has stored is no answer of a resource. */
	if (state->stored->fingerprint == NULL || state->stored->body == NULL)
		taskapi_idempotency_reused();
	taskapi_idempotency_replayed(state->stored);
	if (statement->operation == CMD_INSERT || state->query == NULL)
		return;
	target = taskapi_replay_target(state->query, statement->view, statement->operation);
	if (target == NULL || !digest_statement(statement, state))
		return;
	if (!taskapi_fingerprint_matches(state->stored, state->digest))
		taskapi_idempotency_reused();
	view = taskapi_resource_view(statement->view);
	taskapi_resource_require_row_type(view, RelationGetDescr(target->resultRelInfo->ri_RelationDesc));
	load_rows(view, RelationGetDescr(target->resultRelInfo->ri_RelationDesc), state);
	state->reads_stored = true;
	taskapi_replay_begin(target, offer_row, state);
}

/* The next stored row, for the statement to read instead of what its filter finds. */
static HeapTuple
offer_row(void *arg)
{
	StatementKey *state = arg;

	return state->offered < state->nrows ? state->rows[state->offered++] : NULL;
}

static HeapTuple
before_row(const TaskapiWrite *write)
{
	StatementKey *state = write->statement->idempotency;
	HeapTuple	row;

	if (state == NULL)
		return NULL;
	if (!state->reads_stored)
	{
		if (state->counts == NULL)
			choose_columns(write, state);
		digest_row(write, state);
		if (!state->replay)
			return NULL;
		if (state->rows == NULL)
			load_rows(write->view, write->desc, state);
	}
	row = next_row(write, state);
	/* an INSERT that returns nothing shows it to nobody */
	if (write->statement->operation != CMD_INSERT || !bms_is_empty(write->returned))
	{
		if (state->answered == 0)
			state->may_read = write->statement->operation == CMD_INSERT ?
				taskapi_resource_may_read_columns(write->view, write->returned) : taskapi_resource_may_read(write->view);
		check_visible(write, state, row);
	}
	state->answered++;
	return row;
}

static void
row_written(const TaskapiWrite *write, HeapTuple row)
{
	StatementKey *state = write->statement->idempotency;

	if (state == NULL)
		return;
	taskapi_answer_append(&state->body, answer_type(write->view, write->desc), write->desc, row);
	state->nwritten++;
}

static void
statement_end(TaskapiResourceStatement *statement)
{
	StatementKey *state = statement->idempotency;
	bool		insert = statement->operation == CMD_INSERT;

	if (state == NULL)
		return;

	if (state->replay)
	{
		/* a row of a POST that is missing is another request */
		if ((insert || state->answered > 0) && !taskapi_fingerprint_matches(state->stored, state->digest))
			taskapi_idempotency_reused();
		if (insert && state->answered < state->nrows)
			taskapi_idempotency_reused();
		if (!insert && !state->reads_stored)
			check_all_found(statement, state);
		taskapi_count(TASKAPI_COUNTER_IDEMPOTENCY_REPLAYS, 1);
	}
	else if (insert || state->nwritten > 0 || (state->query != NULL && digest_statement(statement, state)))
		taskapi_idempotency_store(state->key, state->digest, statement->method == TASKAPI_METHOD_POST ? 201 : 200, NULL,
								  taskapi_answer_end(&state->body));
	statement->idempotency = NULL;
}

/*
 * A replay whose rows had to be found by its filter is not to answer with less than was stored.
 */
static void
check_all_found(TaskapiResourceStatement *statement, StatementKey *state)
{
	TaskapiView *view = taskapi_resource_view(statement->view);
	Relation	rel;

	if (state->rows == NULL)
	{
		rel = RelationIdGetRelation(statement->view);
		taskapi_resource_require_row_type(view, RelationGetDescr(rel));
		load_rows(view, RelationGetDescr(rel), state);
		RelationClose(rel);
	}
	if (state->answered == state->nrows)
		return;
	if (state->owner == TASKAPI_QUERY_UNKNOWN)	/* the library is loaded by now */
		taskapi_problem(PROBLEM_TRY_AGAIN, NIL, "Send the request again.",
						"The stored response cannot be given in the first statement of a session.");
	taskapi_problem(PROBLEM_NOT_FOUND, NIL, "Read the rows by their key: the request with this key was executed.",
					"The rows of the stored response no longer match the filter.");
}

/* ---------- what the request was ---------- */

/*
 * The digest of a PATCH or DELETE as a whole, without a row; false if it cannot be known.
 */
static bool
digest_statement(TaskapiResourceStatement *statement, StatementKey *state)
{
	TaskapiRequestDigest digest;
	bool		known = true;

	taskapi_digest_begin(&digest);
	if (statement->operation == CMD_UPDATE)
	{
		appendStringInfoChar(&digest.buf, 'U');
		known = taskapi_replay_digest_update(state->query, state->owner == TASKAPI_QUERY_CLIENT, statement->view,
											 &digest);
	}
	else
		appendStringInfoChar(&digest.buf, 'D');
	known = append_filter(&digest, state->query, statement->view) && known;
	taskapi_digest_end(&digest, state->digest);
	return known;
}

static bool
append_filter(TaskapiRequestDigest *digest, QueryDesc *query, Oid view)
{
	uint8		filter[TASKAPI_FINGERPRINT_LEN];
	bool		known = taskapi_resource_filter_digest(query, view, filter);

	appendStringInfoChar(&digest->buf, 'f');
	appendBinaryStringInfo(&digest->buf, (const char *) filter, sizeof(filter));
	return known;
}

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
 * A POST: digest = SHA-256(digest before, row).  A PATCH sets the same in every row, so the first one's counts, and a
 * DELETE sets nothing.
 */
static void
digest_row(const TaskapiWrite *write, StatementKey *state)
{
	TaskapiValueIO *io = taskapi_resource_view_io(write->view);
	CmdType		operation = write->statement->operation;
	bool		insert = operation == CMD_INSERT;
	TaskapiRequestDigest digest;

	if (!insert && state->nwritten + state->answered > 0)
		return;
	taskapi_digest_begin(&digest);
	appendStringInfoChar(&digest.buf, insert ? 'I' : operation == CMD_UPDATE ? 'U' : 'D');
	if (insert)
		appendBinaryStringInfo(&digest.buf, (const char *) state->digest, TASKAPI_FINGERPRINT_LEN);
	for (int i = 0; i < write->desc->natts; i++)
	{
		bool		isnull;
		Datum		value;

		if (operation == CMD_DELETE || !state->counts[i])
			continue;
		value = heap_getattr(write->new, i + 1, write->desc, &isnull);
		taskapi_digest_name(&digest, NameStr(TupleDescAttr(write->desc, i)->attname));
		taskapi_digest_value(&digest, &io[i], value, isnull);
	}
	if (!insert)
		(void) append_filter(&digest, state->query, write->statement->view);
	taskapi_digest_end(&digest, state->digest);
}

/* ---------- the stored answer ---------- */

static TaskapiAnswerType *
answer_type(TaskapiView *view, TupleDesc desc)
{
	if (view->answer == NULL)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(view->entry.context);

		view->answer = taskapi_answer_type(desc);
		MemoryContextSwitchTo(oldcontext);
	}
	return view->answer;
}

static void
load_rows(TaskapiView *view, TupleDesc desc, StatementKey *state)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(state->context);
	bool		valid = taskapi_answer_rows(state->stored->body, answer_type(view, desc), desc, &state->rows, &state->nrows);

	MemoryContextSwitchTo(oldcontext);
	if (!valid)					/* the key was used for something else */
		taskapi_idempotency_reused();
}

static HeapTuple
next_row(const TaskapiWrite *write, StatementKey *state)
{
	if (write->statement->operation == CMD_INSERT || state->reads_stored)
	{
		if (state->answered < state->nrows)
			return state->rows[state->answered];
	}
	else
	{
		for (int i = 0; i < state->nrows; i++)
		{
			CHECK_FOR_INTERRUPTS();
			if (same_key(write, state->rows[i], write->old))
				return state->rows[i];
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
 * The row of the stored one's key has to be there for the caller, who has to be allowed to read what the answer shows.  What
 * a DELETE left, or a restore found, is in the trash or out of it.
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
	if (state->may_read &&
		(seen == TASKAPI_ROW_LIVE ||
		 (seen == TASKAPI_ROW_DELETED && (write->statement->operation == CMD_DELETE || write->view->deleted_rows))))
		return;

	/* Rows that were committed after the transaction's snapshot are nothing that it can see, but the next one can. */
	if (IsolationUsesXactSnapshot() && !TransactionIdIsCurrentTransactionId(stored_by) &&
		XidInMVCCSnapshot(stored_by, GetTransactionSnapshot()))
		taskapi_problem(PROBLEM_TRY_AGAIN, NIL, NULL,
						"The response was stored after this transaction began.");
	taskapi_problem(PROBLEM_NOT_FOUND, NIL, NULL,
					"A row of the stored response no longer exists, or is not visible to the caller.");
}
