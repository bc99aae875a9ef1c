/*-------------------------------------------------------------------------
 *
 * outbox_partition.c
 *	  The partitions of the table of messages.
 *
 * SQL: extend_outbox() and prune_outbox(), sql/install/75_outbox.sql
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_inherits.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "outbox/outbox_bound.h"
#include "outbox/outbox_partition.h"

static int	outbox_retention = 7 * 24 * 60 * 60;

PG_FUNCTION_INFO_V1(taskapi_extend_outbox);
PG_FUNCTION_INFO_V1(taskapi_prune_outbox);

/*
 * Messages of a partition that a group has not read.  Each slot is asked by itself, through the index.
 */
#define UNREAD \
	"SELECT FROM @.message m WHERE m.slot = c.slot AND m.seq > c.position AND m.seq <= $1" \
	" AND (g.topics IS NULL OR m.topic = ANY (g.topics))"

static TaskapiOutboxStatement unread = {
	"SELECT EXISTS (SELECT FROM @.consumer c JOIN @.consumer_group g ON g.name = c.\"group\" WHERE EXISTS (" UNREAD ")),"
	" (SELECT pg_catalog.max(l.created_at) FROM pg_catalog.generate_series(0, 63) s,"
	" LATERAL (SELECT m.created_at FROM @.message m WHERE m.slot = s AND m.seq <= $1 ORDER BY m.seq DESC LIMIT 1) l)",
	"b", "nz"
};
static TaskapiOutboxStatement pass_by = {
	"UPDATE @.consumer c SET position = $1, delivered = GREATEST(c.delivered, $1) FROM @.consumer_group g"
	" WHERE g.name = c.\"group\" AND c.position < $1 AND NOT EXISTS (" UNREAD ")",
	"b", ""
};

/* Whoever had not read it is told at the next receive(). */
static TaskapiOutboxStatement miss = {
	"UPDATE @.consumer c SET missed = $1 FROM @.consumer_group g"
	" WHERE g.name = c.\"group\" AND c.position < $1 AND EXISTS (" UNREAD ")",
	"b", ""
};

static char *partition_name(int64 partition);
static bool partition_exists(const TaskapiOutbox *outbox, int64 partition);
static bool oldest_partition(const TaskapiOutbox *outbox, int64 *oldest);

void
taskapi_outbox_partition_init(void)
{
	DefineCustomIntVariable("taskapi.outbox_retention",
							"Sets how long a message of the outbox is kept that a group has not read.",
							"-1 keeps it until it is read.",
							&outbox_retention, 7 * 24 * 60 * 60, -1, INT_MAX, PGC_USERSET, GUC_UNIT_S, NULL, NULL, NULL);
}

/* Neither quoted nor qualified */
static char *
partition_name(int64 partition)
{
	return psprintf("message_" INT64_FORMAT, partition);
}

static bool
partition_exists(const TaskapiOutbox *outbox, int64 partition)
{
	Oid			relid = get_relname_relid(partition_name(partition), get_rel_namespace(outbox->message));

	return OidIsValid(relid) && get_rel_relispartition(relid);
}

char *
taskapi_outbox_partition_name(const TaskapiOutbox *outbox, int64 number)
{
	int64		partition = number / outbox->partition_size;

	return partition_exists(outbox, partition) ?
		psprintf("%s.%s", outbox->schema, partition_name(partition)) : NULL;
}

void
taskapi_outbox_partition(const TaskapiOutbox *outbox, int64 number)
{
	int64		partition = number / outbox->partition_size;
	char	   *name;

	if (partition_exists(outbox, partition))
		return;
	/* ATTACH takes it anyway; whoever waits here finds the partition made. */
	LockRelationOid(outbox->message, ShareUpdateExclusiveLock);
	if (partition_exists(outbox, partition))
		return;
	name = psprintf("%s.%s", outbox->schema, partition_name(partition));
	taskapi_outbox_command(psprintf("CREATE TABLE %s (LIKE %s.message INCLUDING DEFAULTS INCLUDING COMMENTS)",
									name, outbox->schema));
	taskapi_outbox_command(psprintf("ALTER TABLE %s.message ATTACH PARTITION %s"
									" FOR VALUES FROM (" INT64_FORMAT ") TO (" INT64_FORMAT ")",
									outbox->schema, name,
									partition * outbox->partition_size, (partition + 1) * outbox->partition_size));
	taskapi_outbox_command(psprintf("SELECT taskapi.revoke_from_others('pg_catalog.pg_class', %s::pg_catalog.regclass)",
									quote_literal_cstr(name)));
}

/*
 * By its number, not in the order in which partitions were made.
 */
static bool
oldest_partition(const TaskapiOutbox *outbox, int64 *oldest)
{
	List	   *children = find_inheritance_children(outbox->message, NoLock);
	bool		found = false;
	ListCell   *lc;

	*oldest = 0;
	foreach(lc, children)
	{
		char	   *name = get_rel_name(lfirst_oid(lc));
		char	   *end;
		int64		partition;

		if (name == NULL || strncmp(name, "message_", 8) != 0)
			continue;
		partition = strtoi64(name + 8, &end, 10);
		if (*end == '\0' && (!found || partition < *oldest))
		{
			*oldest = partition;
			found = true;
		}
	}
	return found;
}

/*
 * extend_outbox(partitions int) -> void
 */
Datum
taskapi_extend_outbox(PG_FUNCTION_ARGS)
{
	int32		ahead = PG_GETARG_INT32(0);
	const TaskapiOutbox *outbox = taskapi_outbox_find();
	int64		next;

	if (ahead < 1 || ahead > 1000)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("partitions must be between 1 and 1000")));
	if (outbox == NULL)
		PG_RETURN_VOID();
	SPI_connect();
	next = taskapi_outbox_last_number(outbox) + 1;
	for (int32 i = 0; i < ahead; i++)
		taskapi_outbox_partition(outbox, next + i * outbox->partition_size);
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * prune_outbox() -> int
 *
 * One partition, so that the caller can commit.  The last one stays, since what comes next is compared with it.
 */
Datum
taskapi_prune_outbox(PG_FUNCTION_ARGS)
{
	const TaskapiOutbox *outbox = taskapi_outbox_find();
	int64		oldest;
	int64		last;
	bool		is_unread;
	bool		isnull;
	Datum		newest;
	Datum		values[1];

	if (outbox == NULL || !oldest_partition(outbox, &oldest))
		PG_RETURN_INT32(0);
	last = (oldest + 1) * outbox->partition_size - 1;
	if (last > taskapi_outbox_bound(outbox))
		PG_RETURN_INT32(0);

	SPI_connect();
	values[0] = Int64GetDatum(last);
	(void) taskapi_outbox_run(&unread, values, NULL);
	is_unread = DatumGetBool(taskapi_outbox_value(0, 0, &isnull));
	newest = taskapi_outbox_value(0, 1, &isnull);
	if (is_unread &&
		(isnull || outbox_retention < 0 ||
		 GetCurrentTimestamp() - DatumGetTimestampTz(newest) < outbox_retention * USECS_PER_SEC))
	{
		SPI_finish();
		PG_RETURN_INT32(0);
	}
	(void) taskapi_outbox_run(&pass_by, values, NULL);
	if (is_unread)
		(void) taskapi_outbox_run(&miss, values, NULL);
	taskapi_outbox_command(psprintf("DROP TABLE %s.%s", outbox->schema, partition_name(oldest)));
	SPI_finish();
	PG_RETURN_INT32(1);
}
