/*-------------------------------------------------------------------------
 *
 * feed_snapshot.c
 *	  Snapshots that clients hold (feed_snapshot.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "storage/proc.h"
#include "storage/procarray.h"

#include "base/compat.h"
#include "feed/feed_snapshot.h"

static uint64 widen(TransactionId xid, uint64 next);
static int	compare_ids(const void *a, const void *b);
static XLogRecPtr end_of_log(void);

/*
 * No id of a snapshot is ahead of the next one, or two billions behind it.
 */
static uint64
widen(TransactionId xid, uint64 next)
{
	return next + (int32) (xid - (uint32) next);
}

static int
compare_ids(const void *a, const void *b)
{
	uint64		x = *(const uint64 *) a;
	uint64		y = *(const uint64 *) b;

	return x < y ? -1 : x > y ? 1 : 0;
}

void
taskapi_feed_snapshot(Snapshot snapshot, TaskapiFeedSnapshot *result)
{
	uint64		next = U64FromFullTransactionId(ReadNextFullTransactionId());
	const TransactionId *xids = snapshot->takenDuringRecovery ? snapshot->subxip : snapshot->xip;
	int			n = snapshot->takenDuringRecovery ? snapshot->subxcnt : (int) snapshot->xcnt;
	TransactionId own = GetTopTransactionIdIfAny();
	uint64	   *running;

	if (snapshot->snapshot_type != SNAPSHOT_MVCC)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("changes can be read with an MVCC snapshot only")));
	running = palloc(sizeof(uint64) * (n + 1));
	for (int i = 0; i < n; i++)
		running[i] = widen(xids[i], next);
	result->xmax = widen(snapshot->xmax, next);
	if (TransactionIdIsValid(own) && widen(own, next) < result->xmax)
		running[n++] = widen(own, next);
	qsort(running, n, sizeof(uint64), compare_ids);
	while (n > 0 && running[n - 1] >= result->xmax)
		n--;
	if (n > TASKAPI_FEED_RUNNING)
	{
		n = TASKAPI_FEED_RUNNING;
		result->xmax = running[n];
	}
	memcpy(result->running, running, sizeof(uint64) * n);
	result->n = n;
	pfree(running);
}

bool
taskapi_feed_sees(const TaskapiFeedSnapshot *snapshot, uint64 xid)
{
	return xid < snapshot->xmax &&
		bsearch(&xid, snapshot->running, snapshot->n, sizeof(uint64), compare_ids) == NULL;
}

bool
taskapi_feed_contains(const TaskapiFeedSnapshot *a, const TaskapiFeedSnapshot *b)
{
	if (a->xmax < b->xmax)
		return false;
	for (int i = 0; i < a->n; i++)
	{
		if (taskapi_feed_sees(b, a->running[i]))
			return false;
	}
	return true;
}

int
taskapi_feed_ranges(const TaskapiFeedSnapshot *a, const TaskapiFeedSnapshot *b, TaskapiFeedRange *ranges)
{
	int			n = 0;

	for (int i = 0; i < a->n; i++)
	{
		/* of one that runs still there is nothing to be seen */
		if (taskapi_feed_sees(b, a->running[i]))
			ranges[n++] = (TaskapiFeedRange) {.low = a->running[i], .high = a->running[i] + 1};
	}
	if (a->xmax < b->xmax)
		ranges[n++] = (TaskapiFeedRange) {.low = a->xmax, .high = b->xmax};
	return n;
}

/*
 * Where the last record ends.  The server tells where the next one begins: behind the header if a page has just been
 * filled, which no flush reaches.
 */
static XLogRecPtr
end_of_log(void)
{
	XLogRecPtr	lsn = GetXLogInsertRecPtr();

	if (XLogSegmentOffset(lsn, wal_segment_size) == SizeOfXLogLongPHD)
		return lsn - SizeOfXLogLongPHD;
	if (lsn % XLOG_BLCKSZ == SizeOfXLogShortPHD)
		return lsn - SizeOfXLogShortPHD;
	return lsn;
}

/*
 * Whoever is seen as over has written its commit or abort record before it left the list of those that run.  A standby
 * replays nothing that is not on its disk, nor on the disk of whoever sent it.
 */
bool
taskapi_feed_durable(bool flush)
{
	XLogRecPtr	end;

	if (RecoveryInProgress())
		return true;
	end = end_of_log();
	if (GetFlushRecPtr(NULL) >= end)
		return true;
	if (flush)
		XLogFlush(end);
	return flush;
}
