/*-------------------------------------------------------------------------
 *
 * feed_changes.c
 *	  changes(): what happened to the rows of a resource since the client asked
 *	  last.
 *
 * A walk leads from what a client has, the base, to what the database has when
 * the walk begins, the target.  Its pages tell what happened in the order of
 * feed_events.h.  A row that is changed meanwhile is not seen by the target, and
 * comes in the next walk.  The first walk, from nothing, tells of no departures
 * and of no deletions: there is nothing to be removed, and a new reader learns no
 * old keys.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/transam.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

#include "base/args.h"
#include "base/compat.h"
#include "base/counters.h"
#include "base/row_json.h"
#include "feed/feed_changes.h"
#include "feed/feed_events.h"
#include "feed/feed_scope.h"
#include "feed/feed_token.h"
#include "http/problem.h"
#include "page/page.h"
#include "page/page_source.h"

/* The token of a client that wants to hear of what is to come only */
#define LATEST "latest"

/* A page that holds little, since most of what was read is of no interest, goes on reading for so many times its size */
#define READ_AHEAD 10

/* A token that holds nobody is brought up to date without a reason at the latest after so many transactions */
#define STALE_AFTER 1024

static int	change_retention = 30 * 24 * 60 * 60;

/* Of changes_result */
static const Oid result_types[] = {JSONOID, JSONOID, TEXTOID, BOOLOID};

/* Keys that were told, each once */
typedef struct Removed
{
	StringInfoData json;
	int			n;
	int			nbuckets;
	struct RemovedKey **buckets;
} Removed;

typedef struct RemovedKey
{
	struct RemovedKey *next;
	char	   *text;
} RemovedKey;

/* A page in the making */
typedef struct ChangesPage
{
	TaskapiFeed feed;
	TaskapiFeedRequest request;
	TaskapiFeedToken token;		/* as it came in, then as it goes out */
	bool		initial;
	int			size;
	int			told;			/* items and removed keys */
	int			left_to_read;
	bool		has_more;
	TupleDesc	desc;			/* of the view */
	TupleDesc	key_desc;
	TaskapiRowWriter *writer;
	TaskapiRowWriter *key_writer;
	StringInfoData items;
	Removed		removed;
	MemoryContext row_context;
} ChangesPage;

static void make_page(ChangesPage *page, Oid resource, text *token, List *conditions);
static void prepare_page(ChangesPage *page, Oid resource, List *conditions);
static void describe(ChangesPage *page);
static bool open_token(ChangesPage *page, text *given);
static void check_token(const ChangesPage *page);
pg_noreturn static void start_over(const char *details);
static void start_walk(ChangesPage *page);
static void walk(ChangesPage *page);
static void finish_walk(ChangesPage *page);
static bool tell_events(ChangesPage *page);
static void tell(ChangesPage *page, const TaskapiFeedEvent *event);
static bool is_seen(ChangesPage *page, const Datum *keys);
static void tell_item(ChangesPage *page, const Datum *values, const bool *nulls);
static void tell_removed(ChangesPage *page, const Datum *keys);
static void stand_at(ChangesPage *page, uint64 stamp, const Datum *keys);

void
taskapi_feed_init(void)
{
	DefineCustomIntVariable("taskapi.change_retention",
							"Sets how long maintain() keeps departures for clients of the change feed.",
							"A client with an older token may have to start over. -1 keeps them forever.",
							&change_retention, 30 * 24 * 60 * 60, -1, INT_MAX, PGC_USERSET, GUC_UNIT_S, NULL, NULL, NULL);
}

/*
 * changes(resource regclass, page_token text, page_size int, filter jsonb)
 *		-> changes_result (items json, removed json, next_page_token text, has_more boolean)
 *
 * Errors: invalid_filter, invalid_page_size, invalid_cursor, cursor_mismatch, cursor_expired, try_again; 55000 for what
 * does not tell its changes.
 */
PG_FUNCTION_INFO_V1(taskapi_changes);
Datum
taskapi_changes(PG_FUNCTION_ARGS)
{
	MemoryContext caller = CurrentMemoryContext;
	ChangesPage *page = palloc0(sizeof(ChangesPage));
	List	   *conditions;
	TupleDesc	desc;
	Datum		values[lengthof(result_types)];
	bool		nulls[lengthof(result_types)] = {false};

	taskapi_require_arg(fcinfo, 0, "resource");
	desc = taskapi_require_row_type(fcinfo, "changes_result", lengthof(result_types), result_types);
	conditions = taskapi_filter_parse(PG_ARGISNULL(3) ? NULL : PG_GETARG_JSONB_P(3));
	page->size = taskapi_page_size(PG_ARGISNULL(2) ? 0 : PG_GETARG_INT32(2));
	page->row_context = AllocSetContextCreate(CurrentMemoryContext, "taskapi change", ALLOCSET_DEFAULT_SIZES);

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	make_page(page, PG_GETARG_OID(0), PG_ARGISNULL(1) ? NULL : PG_GETARG_TEXT_PP(1), conditions);
	MemoryContextSwitchTo(caller);
	values[0] = PointerGetDatum(cstring_to_text_with_len(page->items.data, page->items.len));
	values[1] = PointerGetDatum(cstring_to_text_with_len(page->removed.json.data, page->removed.json.len));
	values[2] = CStringGetTextDatum(taskapi_feed_token_seal(&page->token));
	values[3] = BoolGetDatum(page->has_more);
	SPI_finish();
	MemoryContextDelete(page->row_context);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

static void
make_page(ChangesPage *page, Oid resource, text *given, List *conditions)
{
	prepare_page(page, resource, conditions);
	describe(page);
	if (open_token(page, given))
	{
		start_walk(page);
		if (page->has_more || page->token.walking)
			walk(page);
	}
	appendStringInfoChar(&page->items, ']');
	appendStringInfoChar(&page->removed.json, ']');
}

static void
prepare_page(ChangesPage *page, Oid resource, List *conditions)
{
	TaskapiFeedRequest *request = &page->request;
	int			n = 0;

	taskapi_feed_open(resource, conditions, &page->feed);
	request->feed = &page->feed;
	request->conditions = conditions;
	if (conditions != NIL)
		request->bindings = taskapi_filter_bind(conditions, taskapi_page_source(resource));
	for (int i = 0; i < list_length(conditions); i++)
		n += OidIsValid(request->bindings[i].argtype) ? 1 : 0;
	request->parameters = palloc(sizeof(Datum) * Max(n, 1));
	if (conditions != NIL)
		taskapi_filter_values(conditions, request->bindings, request->parameters);
	taskapi_feed_scope(&page->feed, conditions, request->bindings, request->parameters);
}

static void
describe(ChangesPage *page)
{
	const TaskapiView *view = page->feed.view;
	Relation	rel = relation_open(view->entry.relid, AccessShareLock);
	Oid		   *types = palloc(sizeof(Oid) * Max(view->ncolumns, 1));

	/* the scope may have replaced it */
	for (int i = 0; i < view->ncolumns; i++)
		types[i] = view->columns[i].type;
	taskapi_feed_require_types(view, RelationGetDescr(rel), view->ncolumns, types);
	page->desc = BlessTupleDesc(CreateTupleDescCopy(RelationGetDescr(rel)));
	relation_close(rel, NoLock);
	page->key_desc = CreateTemplateTupleDesc(view->nkeys);
	for (int i = 0; i < view->nkeys; i++)
		TupleDescCopyEntry(page->key_desc, i + 1, page->desc, view->keys[i].column + 1);
	taskapi_finish_tupdesc(page->key_desc);
	page->key_desc = BlessTupleDesc(page->key_desc);
	page->writer = taskapi_row_writer(page->desc);
	page->key_writer = taskapi_row_writer(page->key_desc);
	page->left_to_read = page->size > INT_MAX / READ_AHEAD ? INT_MAX : page->size * READ_AHEAD;
	initStringInfo(&page->items);
	appendStringInfoChar(&page->items, '[');
	initStringInfo(&page->removed.json);
	appendStringInfoChar(&page->removed.json, '[');
	page->removed.nbuckets = 64;
	page->removed.buckets = palloc0(sizeof(RemovedKey *) * page->removed.nbuckets);
}

/*
 * False if the answer is to be a token alone.
 */
static bool
open_token(ChangesPage *page, text *given)
{
	TaskapiFeedToken *token = &page->token;
	int			len = given ? (int) VARSIZE_ANY_EXHDR(given) : 0;
	bool		latest = len == strlen(LATEST) && memcmp(VARDATA_ANY(given), LATEST, len) == 0;

	if (len > 0 && !latest)
	{
		taskapi_feed_token_open(VARDATA_ANY(given), len, token);
		check_token(page);
		return true;
	}
	memcpy(token->binding, page->feed.binding, TASKAPI_FEED_DIGEST);
	memcpy(token->history, page->feed.history, TASKAPI_FEED_DIGEST);
	memcpy(token->scope, page->feed.scope, TASKAPI_FEED_DIGEST);
	if (!latest)
		return true;
	taskapi_feed_snapshot(GetActiveSnapshot(), &token->base);
	(void) taskapi_feed_durable(true);
	return false;
}

static void
check_token(const ChangesPage *page)
{
	const TaskapiFeedToken *token = &page->token;
	const TaskapiFeedState *state = &page->feed.state;

	if (memcmp(token->binding, page->feed.binding, TASKAPI_FEED_DIGEST) != 0)
		taskapi_problem(PROBLEM_CURSOR_MISMATCH, NIL, "Start over without a token.",
						"It is the token of another resource, filter or reader.");
	if (memcmp(token->history, page->feed.history, TASKAPI_FEED_DIGEST) != 0)
		start_over("The history that it belongs to has ended.");
	/* An older copy of the server's files is the same history; ids that the client has seen are drawn again there. */
	if (!RecoveryInProgress() &&
		Max(token->base.xmax, token->target.xmax) > U64FromFullTransactionId(ReadNextFullTransactionId()))
		start_over("The history that it belongs to has ended.");
	if (memcmp(token->scope, page->feed.scope, TASKAPI_FEED_DIGEST) != 0)
		start_over("What you may see has changed.");
	if (token->base.xmax > 0 && state->pruned >> TASKAPI_STAMP_BITS == (uint64) state->incarnation)
	{
		uint64		pruned = state->pruned & TASKAPI_STAMP_MASK;

		if (pruned >= token->base.xmax || (token->base.n > 0 && token->base.running[0] <= pruned))
			start_over("The changes that it needs are no longer kept.");
	}
}

static void
start_over(const char *details)
{
	taskapi_count(TASKAPI_COUNTER_CHANGES_EXPIRED, 1);
	taskapi_problem(PROBLEM_CURSOR_EXPIRED, NIL, "Start over without a token, and drop the rows that do not come.", "%s", details);
}

/*
 * From where to where.  A snapshot that lacks something of what the client has is that of a standby which lags behind.
 */
static void
start_walk(ChangesPage *page)
{
	TaskapiFeedToken *token = &page->token;
	TaskapiFeedRequest *request = &page->request;
	TaskapiFeedSnapshot now;

	taskapi_feed_snapshot(GetActiveSnapshot(), &now);
	page->initial = (token->base.xmax == 0);
	if (token->walking && !taskapi_feed_contains(&now, &token->target))
		taskapi_problem(PROBLEM_TRY_AGAIN, NIL, NULL, "This server does not have all changes of the token yet.");
	if (!token->walking)
	{
		if (!taskapi_feed_contains(&now, &token->base))
			return;
		token->target = now;
		page->has_more = true;
	}
	request->base = &token->base;
	request->nranges = taskapi_feed_ranges(&token->base, &token->target, request->ranges);
	request->positioned = token->positioned;
	if (token->positioned)
	{
		request->stamp = token->stamp;
		taskapi_feed_read_key(page->feed.view, token->key, token->key_length, request->keys);
	}
}

static void
walk(ChangesPage *page)
{
	page->request.departures = !page->initial && page->feed.legible;
	if (!page->initial && !page->feed.legible && taskapi_feed_has_departures(&page->request))
		start_over("Rows have left, and policies have changed since.");
	page->has_more = tell_events(page);
	finish_walk(page);
}

/*
 * What the client will have.  Whatever is told, and a target that is kept, must survive a crash (feed_snapshot.h).  If
 * there is nothing to tell, it may as well keep what it has: that tells the same the next time.
 */
static void
finish_walk(ChangesPage *page)
{
	TaskapiFeedToken *token = &page->token;

	if (page->has_more)
	{
		(void) taskapi_feed_durable(true);
		token->walking = true;
		return;
	}
	if (!token->walking)
	{
		bool		needed = page->told > 0 || token->base.n > 0 || page->initial ||
			token->target.xmax - token->base.xmax >= STALE_AFTER;

		if (!taskapi_feed_durable(needed))
			return;
	}
	else if (page->told > 0)
		(void) taskapi_feed_durable(true);
	token->base = token->target;
	token->walking = token->positioned = false;
}

/*
 * True if there are more.
 */
static bool
tell_events(ChangesPage *page)
{
	for (;;)
	{
		TaskapiFeedEvents *events = taskapi_feed_events(&page->request, page->size - page->told + 1);
		const TaskapiFeedEvent *event;
		TaskapiFeedEvent last;
		bool		any = false;
		bool		full = false;

		while ((event = taskapi_feed_next_event(events)) != NULL)
		{
			CHECK_FOR_INTERRUPTS();
			full = (page->told == page->size || page->left_to_read <= 0);
			if (full)
				break;
			tell(page, event);
			page->left_to_read--;
			last = *event;
			any = true;
		}
		if (any)
			stand_at(page, last.stamp, last.keys);
		full = full || (!taskapi_feed_events_complete(events) && page->left_to_read <= 0);
		if (full || taskapi_feed_events_complete(events))
		{
			taskapi_feed_events_free(events);
			return full;
		}
		taskapi_feed_events_free(events);
	}
}

/*
 * A departure is not told to whoever sees a row by that key: he was told of that, or will be.  Nor is a deletion to whoever
 * has nothing yet.
 */
static void
tell(ChangesPage *page, const TaskapiFeedEvent *event)
{
	if (event->departed)
	{
		if (!is_seen(page, event->keys))
			tell_removed(page, event->keys);
	}
	else if (!event->gone)
		tell_item(page, event->values, event->nulls);
	else if (!page->initial)
		tell_removed(page, event->keys);
}

static bool
is_seen(ChangesPage *page, const Datum *keys)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(page->row_context);
	bool		seen = taskapi_feed_sees_row(&page->request, keys);

	MemoryContextSwitchTo(oldcontext);
	MemoryContextReset(page->row_context);
	return seen;
}

/*
 * The position is the request's, for what is read next, and the token's.
 */
static void
stand_at(ChangesPage *page, uint64 stamp, const Datum *keys)
{
	TaskapiFeedToken *token = &page->token;

	token->positioned = page->request.positioned = true;
	token->stamp = page->request.stamp = stamp;
	token->key = taskapi_feed_write_key(page->feed.view, keys, &token->key_length);
	taskapi_feed_read_key(page->feed.view, token->key, token->key_length, page->request.keys);
}

static void
tell_item(ChangesPage *page, const Datum *values, const bool *nulls)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(page->row_context);
	HeapTuple	tuple = heap_form_tuple(page->desc, unconstify(Datum *, values), unconstify(bool *, nulls));

	if (page->items.len > 1)
		appendStringInfoChar(&page->items, ',');
	taskapi_write_row(page->writer, tuple, &page->items);
	MemoryContextSwitchTo(oldcontext);
	MemoryContextReset(page->row_context);
	page->told++;
}

static void
tell_removed(ChangesPage *page, const Datum *keys)
{
	Removed    *removed = &page->removed;
	StringInfo	json = &removed->json;
	int			start = json->len;
	bool		nulls[INDEX_MAX_KEYS] = {false};
	MemoryContext oldcontext = MemoryContextSwitchTo(page->row_context);
	HeapTuple	tuple = heap_form_tuple(page->key_desc, unconstify(Datum *, keys), nulls);
	char	   *text;
	RemovedKey *key;
	RemovedKey **bucket;

	if (removed->n > 0)
		appendStringInfoChar(json, ',');
	taskapi_write_row(page->key_writer, tuple, json);
	MemoryContextSwitchTo(oldcontext);
	MemoryContextReset(page->row_context);

	text = json->data + start + (removed->n > 0 ? 1 : 0);
	bucket = &removed->buckets[hash_bytes((unsigned char *) text, strlen(text)) % removed->nbuckets];
	for (key = *bucket; key != NULL && strcmp(key->text, text) != 0;)
		key = key->next;
	if (key != NULL)
	{
		json->len = start;
		json->data[start] = '\0';
		return;
	}
	key = palloc(sizeof(RemovedKey));
	key->text = pstrdup(text);
	key->next = *bucket;
	*bucket = key;
	removed->n++;
	page->told++;
}
