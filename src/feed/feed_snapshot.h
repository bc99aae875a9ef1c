/*-------------------------------------------------------------------------
 *
 * feed_snapshot.h
 *	  What a client of the change feed has: a snapshot, as 64-bit transaction ids.
 *
 * A snapshot sees a transaction if that is below xmax and not in the list.  The
 * changes since are the rows whose stamp it does not see and which are visible
 * now; a late commit is no special case.  Five rules keep that exact:
 *
 * 1. A snapshot that leaves this server sees only transactions whose end is on disk.
 *	  An id that was drawn, and whose abort record a crash has lost, is drawn again,
 *	  and its rows would be taken for seen.  So either the log is flushed up to what
 *	  the snapshot sees, or the client keeps the snapshot that it has.
 * 2. In recovery the transactions that run stand in subxip; xip is empty.
 * 3. The caller's own transaction is none that it sees as over: it is put into the list.
 * 4. Ids mean something in one history of one cluster only (feed_source.h).
 * 5. What is not seen is read from xmax on, and the list one by one: from the
 *	  snapshot's xmin on, a transaction that runs for long makes every page read all
 *	  that happened meanwhile.
 *
 * The list has TASKAPI_FEED_RUNNING entries at most.  If more run, xmax is lowered
 * to the first that has no place: what lies above comes later.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_FEED_SNAPSHOT_H
#define TASKAPI_FEED_SNAPSHOT_H

#include "access/xlogdefs.h"
#include "utils/snapshot.h"

#define TASKAPI_FEED_RUNNING 64

/* xmax 0 sees nothing: a client that has nothing yet. */
typedef struct TaskapiFeedSnapshot
{
	uint64		xmax;
	int			n;
	uint64		running[TASKAPI_FEED_RUNNING];	/* ascending, all below xmax */
} TaskapiFeedSnapshot;

/* Ids from low on and below high. */
typedef struct TaskapiFeedRange
{
	uint64		low;
	uint64		high;
} TaskapiFeedRange;

#define TASKAPI_FEED_RANGES (TASKAPI_FEED_RUNNING + 1)

/* What an MVCC snapshot sees. */
extern void taskapi_feed_snapshot(Snapshot snapshot, TaskapiFeedSnapshot *result);

extern bool taskapi_feed_sees(const TaskapiFeedSnapshot *snapshot, uint64 xid);

/* Does a see all that b sees? */
extern bool taskapi_feed_contains(const TaskapiFeedSnapshot *a, const TaskapiFeedSnapshot *b);

/*
 * What b may see and a does not, in ascending order; b contains a.  Returns how many ranges there are, of
 * TASKAPI_FEED_RANGES at most.
 */
extern int	taskapi_feed_ranges(const TaskapiFeedSnapshot *a, const TaskapiFeedSnapshot *b, TaskapiFeedRange *ranges);

/* Is the end of all transactions on disk that a snapshot sees which was taken before now?  "flush" puts it there. */
extern bool taskapi_feed_durable(bool flush);

#endif							/* TASKAPI_FEED_SNAPSHOT_H */
