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

#include "access/table.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "outbox/outbox_bound.h"
#include "outbox/outbox_consumer.h"
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
	"SELECT EXISTS (SELECT FROM @.consumer_group g CROSS JOIN " TASKAPI_CONSUMERS_OF("g.name") " WHERE EXISTS (" UNREAD ")),"
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
static char *qualified_name(Oid relid);
static Oid	partition_by_name(const TaskapiOutbox *outbox, int64 partition);
static bool is_partitioned_by_number(Relation message);
static bool partition_by_bounds(const TaskapiOutbox *outbox, int64 number, bool first, Oid *relid, int64 *upper);

void
taskapi_outbox_partition_init(void)
{
	DefineCustomIntVariable("taskapi.outbox_retention",
							"Sets how long the outbox keeps a message that a group has not read.",
							"-1 keeps it until it is read.",
							&outbox_retention, 7 * 24 * 60 * 60, -1, INT_MAX, PGC_USERSET, GUC_UNIT_S, NULL, NULL, NULL);
}

/* Neither quoted nor qualified */
static char *
partition_name(int64 partition)
{
	return psprintf("message_" INT64_FORMAT, partition);
}

/* Quoted and qualified */
static char *
qualified_name(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), get_rel_name(relid));
}

/*
 * By its name: the tables' bounds are not read, so that nothing of the parent is locked.  A wrong bound fails in the INSERT.
 */
static Oid
partition_by_name(const TaskapiOutbox *outbox, int64 partition)
{
	Oid			relid = get_relname_relid(partition_name(partition), get_rel_namespace(outbox->message));

	if (OidIsValid(relid) && get_rel_relispartition(relid) && get_partition_parent(relid, true) == outbox->message)
		return relid;
	return InvalidOid;
}

static bool
is_partitioned_by_number(Relation message)
{
	PartitionKey key = message->rd_rel->relkind == RELKIND_PARTITIONED_TABLE ? RelationGetPartitionKey(message) : NULL;

	return key != NULL && key->strategy == PARTITION_STRATEGY_RANGE && key->partnatts == 1 && key->partattrs[0] > 0 &&
		key->parttypid[0] == INT8OID;
}

/*
 * The partition of a number, or with "first" the one of the smallest numbers; its bounds if they are numbers.
 */
static bool
partition_by_bounds(const TaskapiOutbox *outbox, int64 number, bool first, Oid *relid, int64 *upper)
{
	Relation	message = table_open(outbox->message, AccessShareLock);
	PartitionDesc partitions;
	PartitionBoundInfo bounds;
	bool		found = false;

	if (!is_partitioned_by_number(message))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s is not partitioned as create_outbox() made it", qualified_name(outbox->message))));
	partitions = RelationGetPartitionDesc(message, true);
	bounds = partitions->boundinfo;
	for (int i = 1; partitions->nparts > 0 && i < bounds->ndatums && !found; i++)
	{
		/* indexes[i] is the partition between bounds i - 1 and i */
		if (bounds->indexes[i] < 0 || bounds->kind[i][0] != PARTITION_RANGE_DATUM_VALUE)
			continue;
		*relid = partitions->oids[bounds->indexes[i]];
		*upper = DatumGetInt64(bounds->datums[i][0]);
		found = first || (number < *upper && (bounds->kind[i - 1][0] != PARTITION_RANGE_DATUM_VALUE ||
											  number >= DatumGetInt64(bounds->datums[i - 1][0])));
	}
	table_close(message, NoLock);
	return found;
}

int
taskapi_outbox_ranges(const TaskapiOutbox *outbox, TaskapiOutboxRange **ranges)
{
	Relation	message = table_open(outbox->message, AccessShareLock);
	PartitionDesc partitions;
	PartitionBoundInfo bounds;
	int			n = 0;

	if (!is_partitioned_by_number(message))
	{
		table_close(message, NoLock);
		return -1;
	}
	partitions = RelationGetPartitionDesc(message, true);
	bounds = partitions->boundinfo;
	*ranges = palloc(sizeof(TaskapiOutboxRange) * Max(partitions->nparts, 1));
	for (int i = 0; partitions->nparts > 0 && i <= bounds->ndatums; i++)
	{
		TaskapiOutboxRange *range = &(*ranges)[n];

		if (bounds->indexes[i] < 0)
			continue;
		range->relid = partitions->oids[bounds->indexes[i]];
		range->lower = i == 0 || bounds->kind[i - 1][0] != PARTITION_RANGE_DATUM_VALUE ? PG_INT64_MIN :
			DatumGetInt64(bounds->datums[i - 1][0]);
		range->upper = i == bounds->ndatums || bounds->kind[i][0] != PARTITION_RANGE_DATUM_VALUE ? PG_INT64_MAX :
			DatumGetInt64(bounds->datums[i][0]);
		n++;
	}
	if (partitions->nparts > 0 && partition_bound_has_default(bounds))
		n = -1;
	table_close(message, NoLock);
	return n;
}

char *
taskapi_outbox_partition(const TaskapiOutbox *outbox, int64 number)
{
	int64		partition = number / outbox->partition_size;
	Oid			relid = partition_by_name(outbox, partition);
	int64		upper;
	char	   *name;

	if (OidIsValid(relid))
		return qualified_name(relid);
	/* ATTACH takes it anyway; whoever waits here finds the partition made. */
	LockRelationOid(outbox->message, ShareUpdateExclusiveLock);
	if (partition_by_bounds(outbox, number, false, &relid, &upper))
		return qualified_name(relid);
	name = psprintf("%s.%s", outbox->schema, partition_name(partition));
	if (OidIsValid(get_relname_relid(partition_name(partition), get_rel_namespace(outbox->message))))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("%s is not a partition of the outbox", name),
				 errhint("Rename it: the outbox needs a partition of that name.")));
	taskapi_outbox_command(psprintf("CREATE TABLE %s (LIKE %s.message INCLUDING DEFAULTS INCLUDING COMMENTS)",
									name, outbox->schema));
	taskapi_outbox_command(psprintf("ALTER TABLE %s.message ATTACH PARTITION %s"
									" FOR VALUES FROM (" INT64_FORMAT ") TO (" INT64_FORMAT ")",
									outbox->schema, name,
									partition * outbox->partition_size, (partition + 1) * outbox->partition_size));
	taskapi_outbox_command(psprintf("SELECT taskapi.revoke_from_others('pg_catalog.pg_class', %s::pg_catalog.regclass)",
									quote_literal_cstr(name)));
	return name;
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
		(void) taskapi_outbox_partition(outbox, next + i * outbox->partition_size);
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
	Oid			oldest;
	int64		upper;
	int64		last;
	bool		is_unread;
	bool		isnull;
	Datum		newest;
	Datum		values[1];

	if (outbox == NULL || !partition_by_bounds(outbox, 0, true, &oldest, &upper))
		PG_RETURN_INT32(0);
	last = upper - 1;
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
	taskapi_outbox_command(psprintf("DROP TABLE %s", qualified_name(oldest)));
	SPI_finish();
	PG_RETURN_INT32(1);
}
