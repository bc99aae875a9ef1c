/*-------------------------------------------------------------------------
 *
 * feed_stamp.h
 *	  Names of what a table whose changes are told has for it.
 *
 * The table of departures has the columns of its source that are needed, by their names, and three of its own:
 * taskapi_stamp, when the row left; taskapi_deleted, the stamp of a deletion before; taskapi_departed_at.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_FEED_STAMP_H
#define TASKAPI_FEED_STAMP_H

/* An xid8, NOT NULL: which transaction changed the row last (feed_state.h) */
#define TASKAPI_STAMP_COLUMN "changed"

#endif							/* TASKAPI_FEED_STAMP_H */
