/*-------------------------------------------------------------------------
 *
 * feed_stamp.h
 *	  Names of what a table whose changes are told has for it.
 *
 * The table of departures has the columns of its source that are needed, by their names, and two of its own:
 * taskapi_departed_at, and taskapi_stamp.  That is the stamp at which the row went from what clients hold: its own if it had
 * been deleted softly before, so that a purge tells nothing new and moves nothing (feed_events.h); else that of the
 * transaction which takes it away.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_FEED_STAMP_H
#define TASKAPI_FEED_STAMP_H

/* An xid8, NOT NULL: which transaction changed the row last (feed_state.h) */
#define TASKAPI_STAMP_COLUMN "changed"

#endif							/* TASKAPI_FEED_STAMP_H */
