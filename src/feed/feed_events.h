/*-------------------------------------------------------------------------
 *
 * feed_events.h
 *	  What happened to the rows of a resource, as one sequence.
 *
 * There is one event for each row that is there, at the stamp of its last change, and one for each departure, at the stamp
 * that it has (feed_stamp.h).  The order is that of (stamp, key); of two at the same place the row comes first, and the
 * reader who is told of that need not hear of the departure.
 *
 * The rule that makes a walk of several pages exact: a page tells all events between two positions that its own snapshot
 * has.  What moves an event that a client has to hear of moves it to a stamp that the target of the walk does not see, so
 * that the next walk tells it; or leaves it where it is.  So a row that is deleted softly and then for good keeps its
 * place, as a departure; were the two read one after the other, or the departure put elsewhere, it would be told in neither
 * place by a walk that the purge falls into.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_FEED_EVENTS_H
#define TASKAPI_FEED_EVENTS_H

#include "feed/feed_query.h"

typedef struct TaskapiFeedEvents TaskapiFeedEvents;

typedef struct TaskapiFeedEvent
{
	uint64		stamp;
	bool		departed;		/* a departure: only the key is known */
	bool		gone;			/* deleted softly, or not as the filter asks */
	Datum		keys[INDEX_MAX_KEYS];
	const Datum *values;		/* of the view */
	const bool *nulls;
} TaskapiFeedEvent;

/* Reads the next "count" or more behind the request's position.  SPI must be connected. */
extern TaskapiFeedEvents *taskapi_feed_events(const TaskapiFeedRequest *request, int count);

/*
 * The next one, good until the events are freed, its values until the next call; NULL at the end of what was read.  Errors:
 * object_not_in_prerequisite_state for a stamp or a key that is NULL.
 */
extern const TaskapiFeedEvent *taskapi_feed_next_event(TaskapiFeedEvents *events);

/* Is there nothing behind what was read? */
extern bool taskapi_feed_events_complete(const TaskapiFeedEvents *events);

extern void taskapi_feed_events_free(TaskapiFeedEvents *events);

#endif							/* TASKAPI_FEED_EVENTS_H */
