/*-------------------------------------------------------------------------
 *
 * feed_source.h
 *	  A resource whose changes are asked for, as its reader may see it.
 *
 * A token is for one resource, filter and reader (binding), for one history, and for one scope.
 *
 * The history is all that changes what stamps mean, or what a reader sees without a change of a row: the cluster and its time
 * line; the incarnation; the view's columns; the storage of the table and its partitions, which TRUNCATE and rewrites change;
 * the column of stamps, which may have been dropped and made again; the trigger that sets them, which may have been disabled
 * for a while; the table of departures; policies with what they depend on, and which of them are for the roles that read
 * (feed_dependencies.h).  It is computed from the catalogs as of now, after the table has been locked; if the trigger has changed
 * since the snapshot was taken, rows without stamps may be missing in that, and the request is try_again.
 *
 * The scope is what the reader may see: the values of the scope's expression, which runs as the reader.  It has the form
 * "column = ANY (expression)", and then the feed is of the rows whose column is one of them, or "expression".  Nobody who
 * bypasses row security has one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_FEED_SOURCE_H
#define TASKAPI_FEED_SOURCE_H

#include "feed/feed_state.h"
#include "feed/feed_token.h"
#include "resource/resource_view.h"

typedef struct TaskapiFeed
{
	TaskapiView *view;
	Oid			source;
	Oid			departures;
	TaskapiFeedState state;
	bool		restricted;		/* row security is in force for the reader */
	bool		legible;		/* departures are under the same policies as the table */
	uint8		binding[TASKAPI_FEED_DIGEST];
	uint8		history[TASKAPI_FEED_DIGEST];
	uint8		scope[TASKAPI_FEED_DIGEST];

	/* If rows are to be of some values of a column */
	AttrNumber	scope_attno;	/* in the table; 0: of any */
	Oid			scope_type;		/* of the column, no domain */
	Datum		scope_values;	/* an array */
} TaskapiFeed;

/*
 * SPI must be connected.  Errors: object_not_in_prerequisite_state for what is no resource, or has no changes, or is not
 * as expose() has made it; insufficient_privilege; try_again; and what the scope's expression raises.
 */
extern void taskapi_feed_open(Oid resource, List *conditions, TaskapiFeed *feed);

#endif							/* TASKAPI_FEED_SOURCE_H */
