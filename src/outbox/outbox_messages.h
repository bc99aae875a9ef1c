/*-------------------------------------------------------------------------
 *
 * outbox_messages.h
 *	  Reading messages of a slot, partition by partition, through their indexes.
 *
 * Only partitions that hold some of the numbers that are asked for are opened, and each once.  If one of them is not plain
 * (outbox_table.h), or the table of messages is partitioned in another way than create_outbox() did it, "plain" is false, and its
 * user has to use statements.
 *
 * Call it as the owner.  Each call reads with the snapshot that is active.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_OUTBOX_MESSAGES_H
#define TASKAPI_OUTBOX_MESSAGES_H

#include "outbox/outbox_partition.h"
#include "outbox/outbox_table.h"

/* Columns, for taskapi_outbox_column(): in the order of type taskapi.message, but for the keys, which come first */
enum
{
	MESSAGE_SLOT,
	MESSAGE_SEQ,
	MESSAGE_TOPIC,
	MESSAGE_KEY,
	MESSAGE_PAYLOAD,
	MESSAGE_HEADERS,
	MESSAGE_CREATED_AT
};

typedef struct TaskapiMessages
{
	const TaskapiOutbox *outbox;
	TaskapiOutboxRange *ranges; /* of the partitions, in the order of numbers */
	TaskapiOutboxTable *tables; /* those that are open have a relation */
	int			npartitions;
	bool		plain;
} TaskapiMessages;

/* Who gets each message; false ends the reading. */
typedef bool (*TaskapiMessageCallback) (TaskapiOutboxTable *row, int64 seq, void *arg);

extern void taskapi_messages_open(TaskapiMessages *messages, const TaskapiOutbox *outbox);
extern void taskapi_messages_close(TaskapiMessages *messages);

/* The messages of a slot behind "after" up to "upto", in order.  Look at "plain" afterwards: some may be missing. */
extern void taskapi_messages_read(TaskapiMessages *messages, int32 slot, int64 after, int64 upto,
								  TaskapiMessageCallback callback, void *arg);

/* The number of the first of them; 0 if there is none, or if it is not plain. */
extern int64 taskapi_messages_first(TaskapiMessages *messages, int32 slot, int64 after, int64 upto);

#endif							/* TASKAPI_OUTBOX_MESSAGES_H */
