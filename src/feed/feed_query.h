/*-------------------------------------------------------------------------
 *
 * feed_query.h
 *	  What happened to the rows of a resource: the statements, and their rows.
 *
 * All run as the reader, with the snapshot of the calling statement, so that privileges and row security decide; but for the
 * question whether there are departures that cannot be read under the policies of now, which runs as the table's owner and
 * tells nothing else.
 *
 * Rows are read by ranges of stamps, each a range of an index on (scope's column, changed, key), and come in the order of
 * (stamp, key).
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_FEED_QUERY_H
#define TASKAPI_FEED_QUERY_H

#include "executor/spi.h"

#include "feed/feed_source.h"
#include "page/filter_bind.h"

/* What is asked for */
typedef struct TaskapiFeedRequest
{
	TaskapiFeed *feed;
	List	   *conditions;		/* of the filter */
	TaskapiFilterBinding *bindings;
	Datum	   *parameters;
	const TaskapiFeedSnapshot *base;
	int			nranges;
	TaskapiFeedRange ranges[TASKAPI_FEED_RANGES];	/* of transaction ids */
	bool		departures;		/* are to be told too */
	bool		positioned;		/* what is behind it */
	uint64		stamp;
	Datum		keys[INDEX_MAX_KEYS];
} TaskapiFeedRequest;

/* Columns of rows: stamp, does it go, then the view's */
#define TASKAPI_FEED_STAMP	1
#define TASKAPI_FEED_GONE	2
#define TASKAPI_FEED_COLUMNS 2

/* Rows that were changed: at most "count", in SPI_tuptable. */
extern uint64 taskapi_feed_rows(const TaskapiFeedRequest *request, int count);

/* Rows that left: stamp and key. */
extern uint64 taskapi_feed_departed(const TaskapiFeedRequest *request, int count);

/* Does the reader see a row by that key in the feed, spelled as it is there? */
extern bool taskapi_feed_sees_row(const TaskapiFeedRequest *request, const Datum *keys);

/* Are there any departures that "base" does not see, whoever may see them? */
extern bool taskapi_feed_has_departures(const TaskapiFeedRequest *request);

/*
 * An error unless the row type has these types.  The statements have asked for theirs when they return; a stamp or a key may
 * still be NULL.
 */
extern void taskapi_feed_require_types(const TaskapiView *view, TupleDesc desc, int n, const Oid *types);

/* The values of a key in a token, read and written. */
extern void taskapi_feed_read_key(const TaskapiView *view, const uint8 *data, int len, Datum *keys);
extern const uint8 *taskapi_feed_write_key(const TaskapiView *view, const Datum *keys, int *len);

#endif							/* TASKAPI_FEED_QUERY_H */
