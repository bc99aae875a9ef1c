/*-------------------------------------------------------------------------
 *
 * outbox_partition.h
 *	  The partitions of the table of messages.
 *
 * Partition n holds the numbers from n * partition_size on, and is called message_n.  It is made as a table of its own and then
 * attached, which stops neither publishers nor readers; one that is dropped is locked as any table is, and its parent with it,
 * which readers wait for.  Publishers write to the partition itself and open the parent only if one is to be made.
 *
 * The owner may rename, move and attach partitions.  So what holds a number, and what may go, is told by the bounds of the
 * partitions; a name is only where a publisher looks first, and what it finds must be a partition of this table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_OUTBOX_PARTITION_H
#define TASKAPI_OUTBOX_PARTITION_H

#include "outbox/outbox.h"

/* Defines taskapi.outbox_retention. */
extern void taskapi_outbox_partition_init(void);

/*
 * The name of the partition that holds a number, quoted and qualified, palloc'd.  It is made unless it is there; a transaction that
 * makes the same one is waited for.
 *
 * Errors: duplicate_table if another table has the name that it needs.
 */
extern char *taskapi_outbox_partition(const TaskapiOutbox *outbox, int64 number);

/* A partition and the numbers that it holds: from lower on, below upper */
typedef struct TaskapiOutboxRange
{
	Oid			relid;
	int64		lower;
	int64		upper;
} TaskapiOutboxRange;

/*
 * All of them in the order of numbers; how many.  -1 if the table is partitioned in another way, or has a default partition.  The
 * table stays locked as whoever reads it locks it.
 */
extern int	taskapi_outbox_ranges(const TaskapiOutbox *outbox, TaskapiOutboxRange **ranges);

#endif							/* TASKAPI_OUTBOX_PARTITION_H */
