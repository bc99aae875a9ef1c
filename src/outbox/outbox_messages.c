/*-------------------------------------------------------------------------
 *
 * outbox_messages.c
 *	  Reading messages of a slot, partition by partition, through their indexes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "base/compat.h"
#include "outbox/outbox_messages.h"

static const TaskapiOutboxLayout layout = {
	2, 7,
	{{"slot", INT2OID}, {"seq", INT8OID}, {"topic", TEXTOID}, {"key", TEXTOID}, {"payload", JSONBOID}, {"headers", JSONBOID},
	{"created_at", TIMESTAMPTZOID}}
};

static bool take_first(TaskapiOutboxTable *row, int64 seq, void *arg);

void
taskapi_messages_open(TaskapiMessages *messages, const TaskapiOutbox *outbox)
{
	messages->outbox = outbox;
	messages->npartitions = taskapi_outbox_ranges(outbox, &messages->ranges);
	messages->plain = messages->npartitions >= 0;
	messages->tables = palloc0(sizeof(TaskapiOutboxTable) * Max(messages->npartitions, 1));
}

void
taskapi_messages_close(TaskapiMessages *messages)
{
	for (int i = 0; i < messages->npartitions; i++)
		taskapi_outbox_table_close(&messages->tables[i]);
}

void
taskapi_messages_read(TaskapiMessages *messages, int32 slot, int64 after, int64 upto, TaskapiMessageCallback callback, void *arg)
{
	Datum		key = Int16GetDatum((int16) slot);

	for (int i = 0; messages->plain && i < messages->npartitions; i++)
	{
		TaskapiOutboxTable *table = &messages->tables[i];
		bool		go_on = true;

		if (messages->ranges[i].upper <= after + 1)
			continue;
		if (messages->ranges[i].lower > upto)
			return;
		if (table->rel == NULL)
			messages->plain = taskapi_outbox_table_open(table, messages->outbox, messages->ranges[i].relid, &layout,
														AccessShareLock);
		if (!messages->plain)
			return;
		taskapi_outbox_scan_begin(table, &key, 1, &after);
		while (go_on && taskapi_outbox_scan_next(table, ForwardScanDirection))
		{
			int64		seq = taskapi_outbox_number(table, MESSAGE_SEQ);

			go_on = seq <= upto && callback(table, seq, arg);
		}
		taskapi_outbox_scan_end(table);
		if (!go_on)
			return;
	}
}

static bool
take_first(TaskapiOutboxTable *row, int64 seq, void *arg)
{
	*(int64 *) arg = seq;
	return false;
}

int64
taskapi_messages_first(TaskapiMessages *messages, int32 slot, int64 after, int64 upto)
{
	int64		first = 0;

	taskapi_messages_read(messages, slot, after, upto, take_first, &first);
	return first;
}
