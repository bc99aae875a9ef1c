/*-------------------------------------------------------------------------
 *
 * feed_state.h
 *	  What is known of a table whose changes are told: table taskapi.change_source.
 *
 * A stamp is an xid8: in its upper 16 bits the incarnation of the table's stamps, below the id of the transaction that changed
 * the row last.  The ids of another cluster, which a dump brings along, mean nothing here and may lie in the future.  So the
 * first write that finds another system identifier than the one stored begins a new incarnation; all stamps of before are
 * seen by everybody.
 *
 * "pruned" is the newest stamp of a departure that was pruned.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_FEED_STATE_H
#define TASKAPI_FEED_STATE_H

#include "utils/snapshot.h"

#define TASKAPI_STAMP_BITS 48
#define TASKAPI_STAMP_MASK ((UINT64CONST(1) << TASKAPI_STAMP_BITS) - 1)
#define TASKAPI_STAMP(incarnation, xid) \
	(((uint64) (incarnation) << TASKAPI_STAMP_BITS) | ((xid) & TASKAPI_STAMP_MASK))

typedef struct TaskapiFeedState
{
	Oid			source;
	int			incarnation;	/* that a write of now has, or would begin */
	bool		current;		/* it has begun */
	uint64		pruned;			/* a stamp */
} TaskapiFeedState;

/* As that snapshot sees it; false if it sees none. */
extern bool taskapi_feed_state(Oid source, Snapshot snapshot, TaskapiFeedState *state);

/* The incarnation of stamps that are made now, for a writer, who begins it if need be.  0 for a table that is not known. */
extern int	taskapi_feed_incarnation(Oid source);

#endif							/* TASKAPI_FEED_STATE_H */
