/*-------------------------------------------------------------------------
 *
 * feed_events.c
 *	  What happened to the rows of a resource (feed_events.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"
#include "utils/xid8.h"

#include "base/compat.h"
#include "feed/feed_events.h"

/* Rows, or departures */
typedef struct Stream
{
	SPITupleTable *rows;		/* NULL: there are none to be read */
	uint64		n;
	uint64		next;
	bool		complete;		/* nothing is behind them */
	bool		ready;			/* the event is that of "next" */
	Datum	   *values;
	bool	   *nulls;
	TaskapiFeedEvent event;
} Stream;

struct TaskapiFeedEvents
{
	const TaskapiFeedRequest *request;
	Stream		changed;
	Stream		departed;
	Stream	   *last;			/* what the last event was of */
};

static void fill_stream(Stream *stream, uint64 n, int count);
static bool prepare_changed(const TaskapiFeedRequest *request, Stream *stream);
static bool prepare_departed(const TaskapiFeedRequest *request, Stream *stream);
static bool deform(Stream *stream);
static void require_not_null(const TaskapiFeedRequest *request, bool isnull);
static int	compare_events(const TaskapiFeedEvents *events);

TaskapiFeedEvents *
taskapi_feed_events(const TaskapiFeedRequest *request, int count)
{
	TaskapiFeedEvents *events = palloc0(sizeof(TaskapiFeedEvents));

	events->request = request;
	events->changed.complete = events->departed.complete = true;
	if (request->nranges == 0)
		return events;
	fill_stream(&events->changed, taskapi_feed_rows(request, count), count);
	if (request->departures)
		fill_stream(&events->departed, taskapi_feed_departed(request, count), count);
	return events;
}

static void
fill_stream(Stream *stream, uint64 n, int count)
{
	stream->rows = SPI_tuptable;
	stream->n = n;
	stream->complete = (n < count);
	stream->values = palloc(sizeof(Datum) * SPI_tuptable->tupdesc->natts);
	stream->nulls = palloc(sizeof(bool) * SPI_tuptable->tupdesc->natts);
}

/*
 * An event cannot be taken before the next one of the other kind is known, which may come first.
 */
const TaskapiFeedEvent *
taskapi_feed_next_event(TaskapiFeedEvents *events)
{
	bool		changed;
	bool		departed;

	if (events->last != NULL)
	{
		events->last->next++;
		events->last->ready = false;
		events->last = NULL;
	}
	changed = prepare_changed(events->request, &events->changed);
	departed = prepare_departed(events->request, &events->departed);
	if ((!changed && !events->changed.complete) || (!departed && !events->departed.complete) || (!changed && !departed))
		return NULL;
	events->last = !departed || (changed && compare_events(events) <= 0) ? &events->changed : &events->departed;
	return &events->last->event;
}

/*
 * False if there is none.
 */
static bool
prepare_changed(const TaskapiFeedRequest *request, Stream *stream)
{
	const TaskapiView *view = request->feed->view;
	TaskapiFeedEvent *event = &stream->event;

	if (stream->ready)
		return true;
	if (!deform(stream))
		return false;
	require_not_null(request, stream->nulls[TASKAPI_FEED_STAMP - 1] || stream->nulls[TASKAPI_FEED_GONE - 1]);
	event->stamp = U64FromFullTransactionId(DatumGetFullTransactionId(stream->values[TASKAPI_FEED_STAMP - 1]));
	event->gone = DatumGetBool(stream->values[TASKAPI_FEED_GONE - 1]);
	event->values = stream->values + TASKAPI_FEED_COLUMNS;
	event->nulls = stream->nulls + TASKAPI_FEED_COLUMNS;
	for (int i = 0; i < view->nkeys; i++)
	{
		require_not_null(request, event->nulls[view->keys[i].column]);
		event->keys[i] = event->values[view->keys[i].column];
	}
	return true;
}

static bool
prepare_departed(const TaskapiFeedRequest *request, Stream *stream)
{
	TaskapiFeedEvent *event = &stream->event;

	if (stream->ready)
		return true;
	if (!deform(stream))
		return false;
	for (int i = 0; i <= request->feed->view->nkeys; i++)
		require_not_null(request, stream->nulls[i]);
	event->stamp = U64FromFullTransactionId(DatumGetFullTransactionId(stream->values[0]));
	event->departed = true;
	memcpy(event->keys, stream->values + 1, sizeof(Datum) * request->feed->view->nkeys);
	return true;
}

static bool
deform(Stream *stream)
{
	if (stream->next >= stream->n)
		return false;
	heap_deform_tuple(stream->rows->vals[stream->next], stream->rows->tupdesc, stream->values, stream->nulls);
	stream->ready = true;
	return true;
}

/*
 * A stamp or a part of a key: whoever owns the table can let it be NULL.
 */
static void
require_not_null(const TaskapiFeedRequest *request, bool isnull)
{
	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a key or stamp of resource \"%s\" is null", get_rel_name(request->feed->view->entry.relid)),
				 errhint("Call taskapi.expose() again.")));
}

/*
 * As the statements order their rows: by the types' own operators, and the columns' collations.
 */
static int
compare_events(const TaskapiFeedEvents *events)
{
	const TaskapiFeedEvent *a = &events->changed.event;
	const TaskapiFeedEvent *b = &events->departed.event;

	if (a->stamp != b->stamp)
		return a->stamp < b->stamp ? -1 : 1;
	for (int i = 0; i < events->request->feed->view->nkeys; i++)
	{
		Form_pg_attribute att = TupleDescAttr(events->departed.rows->tupdesc, 1 + i);
		TypeCacheEntry *type = lookup_type_cache(att->atttypid, TYPECACHE_CMP_PROC_FINFO);
		int			order;

		if (!OidIsValid(type->cmp_proc_finfo.fn_oid))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_FUNCTION),
					 errmsg("type %s has no order", format_type_be(att->atttypid))));
		order = DatumGetInt32(FunctionCall2Coll(&type->cmp_proc_finfo, att->attcollation, a->keys[i], b->keys[i]));
		if (order != 0)
			return order;
	}
	return 0;
}

bool
taskapi_feed_events_complete(const TaskapiFeedEvents *events)
{
	return events->changed.complete && events->departed.complete;
}

void
taskapi_feed_events_free(TaskapiFeedEvents *events)
{
	if (events->changed.rows != NULL)
		SPI_freetuptable(events->changed.rows);
	if (events->departed.rows != NULL)
		SPI_freetuptable(events->departed.rows);
	pfree(events);
}
