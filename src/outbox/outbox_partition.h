/*-------------------------------------------------------------------------
 *
 * outbox_partition.h
 *	  The partitions of the table of messages.
 *
 * Partition n holds the numbers from n * partition_size on, and is called message_n.  It is made as a table of its own and then
 * attached, which stops neither publishers nor readers; one that is dropped is locked as any table is, and its parent with it,
 * which readers wait for.  Publishers write to the partition itself and never touch the parent.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_OUTBOX_PARTITION_H
#define TASKAPI_OUTBOX_PARTITION_H

#include "outbox/outbox.h"

/* Defines taskapi.outbox_retention. */
extern void taskapi_outbox_partition_init(void);

/* Makes the partition of this number unless it is there.  A transaction that makes the same one is waited for. */
extern void taskapi_outbox_partition(const TaskapiOutbox *outbox, int64 number);

/* The name of the partition that holds a number, quoted and qualified, palloc'd; NULL if it is not there. */
extern char *taskapi_outbox_partition_name(const TaskapiOutbox *outbox, int64 number);

#endif							/* TASKAPI_OUTBOX_PARTITION_H */
