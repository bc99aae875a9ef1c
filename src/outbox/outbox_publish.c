/*-------------------------------------------------------------------------
 *
 * outbox_publish.c
 *	  publish(): a message in the transaction of its effect.
 *
 * The row goes straight into the partition of its number, by a plan that is kept: nothing of the parent is opened, so that
 * whoever drops an old partition is not waited for.
 *
 * SQL: sql/install/75_outbox.sql
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "base/args.h"
#include "base/compat.h"
#include "base/siphash.h"
#include "base/table_cache.h"
#include "http/problem.h"
#include "outbox/outbox_bound.h"
#include "outbox/outbox_partition.h"
#include "outbox/outbox_publish.h"

/* In kB */
static int	max_message_size = 1024;

PG_FUNCTION_INFO_V1(taskapi_publish);
PG_FUNCTION_INFO_V1(taskapi_outbox_slot);

/* The statement for the partition that was written to last, and when that was looked up */
static TaskapiOutboxStatement insert = {.arguments = "bittjj", .result = "", .literal = true};
static int64 insert_partition = -1;
static uint64 insert_generation = 0;

static void check_text(const text *value, const char *name);
static void check_size(struct varlena *payload, struct varlena *headers);
static int32 slot_of(const text *key);
static char *insert_text(const TaskapiOutbox *outbox, int64 number);
static void choose_partition(const TaskapiOutbox *outbox, int64 number);
static void require_partition(const TaskapiOutbox *outbox, int64 number);

void
taskapi_outbox_publish_init(void)
{
	DefineCustomIntVariable("taskapi.max_message_size",
							"Sets how large the payload and headers of a message may be together.",
							NULL, &max_message_size, 1024, 1, 1024 * 1024, PGC_SUSET, GUC_UNIT_KB, NULL, NULL, NULL);
}

/*
 * publish(topic text, key text, payload jsonb, headers jsonb) -> bigint
 *
 * Errors: invalid_value for an empty or long name, headers that are no object, or a message that is too large.
 */
Datum
taskapi_publish(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"topic", "key", "payload"};

	for (int i = 0; i < lengthof(names); i++)
		taskapi_require_arg(fcinfo, i, names[i]);
	PG_RETURN_INT64(taskapi_outbox_publish(PG_GETARG_TEXT_PP(0), PG_GETARG_TEXT_PP(1), PG_GETARG_DATUM(2),
										   PG_ARGISNULL(3) ? (Datum) 0 : PG_GETARG_DATUM(3)));
}

int64
taskapi_outbox_publish(text *topic, text *key, Datum payload, Datum headers)
{
	const TaskapiOutbox *outbox;
	Datum		values[6];
	char		nulls[] = "      ";
	int64		number;

	check_text(topic, "topic");
	check_text(key, "key");
	if (headers != (Datum) 0 && !JB_ROOT_IS_OBJECT(DatumGetJsonbP(headers)))
		taskapi_problem(PROBLEM_INVALID_VALUE, NIL, NULL, "The headers of a message must be a JSON object.");
	check_size(PG_DETOAST_DATUM_PACKED(payload), headers == (Datum) 0 ? NULL : PG_DETOAST_DATUM_PACKED(headers));

	outbox = taskapi_outbox_open();
	number = taskapi_outbox_draw(outbox);

	SPI_connect();
	choose_partition(outbox, number);
	values[0] = Int64GetDatum(number);
	values[1] = Int32GetDatum(slot_of(key));
	values[2] = PointerGetDatum(topic);
	values[3] = PointerGetDatum(key);
	values[4] = payload;
	values[5] = headers;
	if (headers == (Datum) 0)
		nulls[5] = 'n';
	taskapi_outbox_write(&insert, values, nulls, 1);
	require_partition(outbox, number);
	SPI_finish();
	return number;
}

static void
check_text(const text *value, const char *name)
{
	if (VARSIZE_ANY_EXHDR(value) == 0)
		taskapi_problem(PROBLEM_INVALID_VALUE, NIL, NULL, "The %s of a message must not be empty.", name);
	if (VARSIZE_ANY_EXHDR(value) > OUTBOX_MAX_NAME)
		taskapi_problem(PROBLEM_INVALID_VALUE, NIL, NULL, "The %s of a message must not be longer than %d bytes.",
						name, OUTBOX_MAX_NAME);
}

static void
check_size(struct varlena *payload, struct varlena *headers)
{
	size_t		size = VARSIZE_ANY_EXHDR(payload) + (headers ? VARSIZE_ANY_EXHDR(headers) : 0);

	if (size > (size_t) max_message_size * 1024)
		taskapi_problem(PROBLEM_INVALID_VALUE, NIL,
						"Publish a reference to the content instead, or raise taskapi.max_message_size.",
						"The message has %zu bytes; at most %d kB are allowed.", size, max_message_size);
}

/*
 * outbox_slot(key text) -> smallint
 */
Datum
taskapi_outbox_slot(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT16((int16) slot_of(PG_GETARG_TEXT_PP(0)));
}

/*
 * By a key that is public and never changes: it only spreads, and must do so alike after every upgrade.
 */
static int32
slot_of(const text *key)
{
	static const TaskapiSipHashKey fixed = {0, 0};
	uint64		high;
	uint64		low;

	siphash128(fixed, VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key), &high, &low);
	return (int32) (low % OUTBOX_SLOTS);
}

static char *
insert_text(const TaskapiOutbox *outbox, int64 number)
{
	return psprintf("INSERT INTO %s (seq, slot, topic, key, payload, headers) VALUES ($1, $2, $3, $4, $5, $6)",
					taskapi_outbox_partition(outbox, number));
}

static void
choose_partition(const TaskapiOutbox *outbox, int64 number)
{
	int64		partition = number / outbox->partition_size;
	uint64		generation = taskapi_relation_generation();
	char	   *text;

	if (partition == insert_partition && generation == insert_generation && taskapi_outbox_is_prepared(&insert))
		return;
	text = insert_text(outbox, number);
	if (insert.text == NULL || strcmp(insert.text, text) != 0)
	{
		const char *kept = MemoryContextStrdup(TopMemoryContext, text);

		if (insert.text)
			pfree(unconstify(char *, insert.text));
		insert.text = kept;
		insert.epoch = 0;
	}
	pfree(text);
	insert_partition = partition;
	insert_generation = generation;
}

/*
 * The lock on the partition may have been waited for, and it was detached meanwhile: nobody would read the message there.
 */
static void
require_partition(const TaskapiOutbox *outbox, int64 number)
{
	if (insert_generation == taskapi_relation_generation())
		return;
	if (strcmp(insert_text(outbox, number), insert.text) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("the partition of message " INT64_FORMAT " was detached meanwhile", number)));
}
