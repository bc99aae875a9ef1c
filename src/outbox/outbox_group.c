/*-------------------------------------------------------------------------
 *
 * outbox_group.c
 *	  Consumer groups: who receives which topics from where on, and how far they are.
 *
 * SQL: sql/install/75_outbox.sql
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "base/args.h"
#include "base/compat.h"
#include "base/subtransaction.h"
#include "http/problem.h"
#include "outbox/outbox_bound.h"
#include "outbox/outbox_consumer.h"

PG_FUNCTION_INFO_V1(taskapi_create_consumer_group);
PG_FUNCTION_INFO_V1(taskapi_drop_consumer_group);
PG_FUNCTION_INFO_V1(taskapi_outbox_lag_rows);
PG_FUNCTION_INFO_V1(taskapi_outbox_stats);

#define MAX_GROUP_NAME 63

static TaskapiOutboxStatement create = {
	"INSERT INTO @.consumer_group AS g (name, topics, max_attempts, hold_key) VALUES ($1, $2, $3, $4)"
	" ON CONFLICT (name) DO UPDATE SET topics = excluded.topics, max_attempts = excluded.max_attempts, hold_key = excluded.hold_key"
	" RETURNING xmax = 0",
	"tTin", "n"
};
static TaskapiOutboxStatement create_slots = {
	"INSERT INTO @.consumer (\"group\", slot, position, delivered) SELECT $1, s, $2, $2 FROM generate_series(0, 63) s", "tb", ""
};
static TaskapiOutboxStatement move_slot = {
	"UPDATE @.consumer c SET position = $2, delivered = $2, missed = NULL, owner = NULL, lease_expires_at = NULL,"
	" generation = c.generation + 1 WHERE " TASKAPI_CONSUMER_IS("$1", "$3"), "tbi", ""
};

/* In the order of slots */
static TaskapiOutboxStatement lock_slots = {
	"SELECT c.slot::int4 FROM generate_series(0, 63) s(n) CROSS JOIN LATERAL (SELECT l.slot FROM @.consumer l"
	" WHERE l.\"group\" = $1 AND l.slot = s.n ORDER BY l.generation DESC LIMIT 1 FOR UPDATE) c", "t", "i"
};

/* A group that holds no keys any more lets those go that it held.  Under the locks of its slots, as whatever changes "parked". */
static TaskapiOutboxStatement unpark_held = {
	"DELETE FROM @.parked p USING @.dead_letter d WHERE p.\"group\" = $1 AND p.due_at = 'infinity' AND d.\"group\" = $1"
	" AND d.seq = p.seq", "t", ""
};
static TaskapiOutboxStatement next_of_keys = {
	"UPDATE @.parked p SET due_at = clock_timestamp() WHERE p.\"group\" = $1 AND p.due_at IS NULL"
	" AND NOT EXISTS (SELECT FROM @.parked b WHERE b.\"group\" = $1 AND b.slot = p.slot AND b.key = p.key AND b.seq < p.seq)",
	"t", ""
};
static TaskapiOutboxStatement drop = {
	"DELETE FROM @.consumer_group g WHERE g.name = $1 RETURNING 1", "t", "i"
};

/* The counting ends somewhere, so that looking costs little when there is most to see. */
static TaskapiOutboxStatement lag = {
	"SELECT c.\"group\", c.slot::int4, c.position,"
	" (SELECT count(*) FROM (SELECT FROM @.message m WHERE m.slot = c.slot AND m.seq > c.position"
	"  AND (g.topics IS NULL OR m.topic = ANY (g.topics)) LIMIT 10000) l),"
	" least((SELECT m.created_at FROM @.message m WHERE m.slot = c.slot AND m.seq > c.position"
	"  AND (g.topics IS NULL OR m.topic = ANY (g.topics)) ORDER BY m.seq LIMIT 1),"
	"  (SELECT min(p.created_at) FROM @.parked p WHERE p.\"group\" = c.\"group\" AND p.slot = c.slot)),"
	" c.owner, c.lease_expires_at,"
	" (SELECT count(*) FROM @.parked p WHERE p.\"group\" = c.\"group\" AND p.slot = c.slot"
	"  AND p.due_at IS DISTINCT FROM 'infinity'),"
	" (SELECT count(*) FROM @.dead_letter d WHERE d.\"group\" = c.\"group\" AND d.slot = c.slot)"
	" FROM @.consumer_group g CROSS JOIN " TASKAPI_CONSUMERS_OF("g.name") " ORDER BY c.\"group\", c.slot",
	"", "tibbztzbb"
};

/* Each slot is asked for its first message only: this is looked at every few seconds. */
static TaskapiOutboxStatement stats = {
	"SELECT (SELECT count(*) FROM @.parked p WHERE p.due_at IS DISTINCT FROM 'infinity'), (SELECT count(*) FROM @.dead_letter),"
	" coalesce(extract(epoch FROM clock_timestamp() - least((SELECT min(p.created_at) FROM @.parked p"
	" WHERE p.due_at IS DISTINCT FROM 'infinity'), (SELECT min((SELECT m.created_at FROM @.message m WHERE m.slot = c.slot"
	" AND m.seq > c.position AND (g.topics IS NULL OR m.topic = ANY (g.topics)) ORDER BY m.seq LIMIT 1))"
	" FROM @.consumer_group g CROSS JOIN " TASKAPI_CONSUMERS_OF("g.name") ")))::bigint, 0),"
	" (SELECT count(*) FROM @.saga s WHERE s.command IS NOT NULL),"
	" (SELECT count(*) FROM @.saga s WHERE s.command IS NOT NULL AND (s.state = 'stuck'"
	" OR EXISTS (SELECT FROM @.dead_letter d WHERE d.seq = s.command)))",
	"", "bbbbb"
};

#define FIGURES 6

/* What stats shows of the outbox; found is false if there is none. */
typedef struct Figures
{
	bool		found;
	int64		values[FIGURES];
} Figures;

static void read_figures(void *arg);
static void check_topics(ArrayType *topics);
static int64 start_position(const TaskapiOutbox *outbox, FunctionCallInfo fcinfo, int argno);

/*
 * create_consumer_group("group" text, topics text[], from_seq bigint, max_attempts int, hold_key boolean) -> void
 *
 * Errors: invalid_value.
 */
Datum
taskapi_create_consumer_group(PG_FUNCTION_ARGS)
{
	const TaskapiOutbox *outbox;
	Datum		values[4];
	char		nulls[] = "    ";
	int			len;
	bool		isnull;
	bool		created;
	int64		position;

	taskapi_require_arg(fcinfo, 0, "group");
	taskapi_require_arg(fcinfo, 3, "max_attempts");
	taskapi_require_arg(fcinfo, 4, "hold_key");
	len = VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(0));
	if (len == 0 || len > MAX_GROUP_NAME)
		taskapi_problem(PROBLEM_INVALID_VALUE, NIL, NULL, "The name of a consumer group must have 1 to %d bytes.", MAX_GROUP_NAME);
	if (PG_GETARG_INT32(3) < 1)
		taskapi_problem(PROBLEM_INVALID_VALUE, NIL, NULL, "max_attempts must be at least 1.");
	if (!PG_ARGISNULL(1))
		check_topics(PG_GETARG_ARRAYTYPE_P(1));

	outbox = taskapi_outbox_open();
	SPI_connect();
	position = start_position(outbox, fcinfo, 2);
	values[0] = PG_GETARG_DATUM(0);
	values[1] = PG_GETARG_DATUM(1);
	nulls[1] = PG_ARGISNULL(1) ? 'n' : ' ';
	values[2] = PG_GETARG_DATUM(3);
	values[3] = PG_GETARG_DATUM(4);
	(void) taskapi_outbox_run(&create, values, nulls);
	created = DatumGetBool(taskapi_outbox_value(0, 0, &isnull));
	values[1] = Int64GetDatum(position);
	if (created)
		taskapi_outbox_write(&create_slots, values, NULL, OUTBOX_SLOTS);
	else if (!PG_ARGISNULL(2) || !PG_GETARG_BOOL(4))
		(void) taskapi_outbox_run(&lock_slots, values, NULL);
	for (int32 slot = 0; !created && !PG_ARGISNULL(2) && slot < OUTBOX_SLOTS; slot++)
	{
		values[2] = Int32GetDatum(slot);
		taskapi_outbox_write(&move_slot, values, NULL, 1);
	}
	if (!created && !PG_GETARG_BOOL(4))
	{
		(void) taskapi_outbox_run(&unpark_held, values, NULL);
		(void) taskapi_outbox_run(&next_of_keys, values, NULL);
	}
	SPI_finish();
	PG_RETURN_VOID();
}

static void
check_topics(ArrayType *topics)
{
	if (ARR_ELEMTYPE(topics) != TEXTOID || ARR_NDIM(topics) != 1 || array_contains_nulls(topics))
		taskapi_problem(PROBLEM_INVALID_VALUE, NIL, "Give NULL for all topics.", "topics must be a list of at least one topic.");
}

/*
 * "From now": all that is decided is over, and what is being published now will be received.
 */
static int64
start_position(const TaskapiOutbox *outbox, FunctionCallInfo fcinfo, int argno)
{
	int64		from;

	if (PG_ARGISNULL(argno))
		return taskapi_outbox_bound(outbox);
	from = PG_GETARG_INT64(argno);
	if (from < 0 || from > taskapi_outbox_last_number(outbox))
		taskapi_problem(PROBLEM_INVALID_VALUE, NIL, NULL,
						"from_seq must be between 0 and the last message's number, which is " INT64_FORMAT ".",
						taskapi_outbox_last_number(outbox));
	return from;
}

/*
 * drop_consumer_group("group" text) -> void
 *
 * Errors: not_found.
 */
Datum
taskapi_drop_consumer_group(PG_FUNCTION_ARGS)
{
	Datum		values[1];

	taskapi_require_arg(fcinfo, 0, "group");
	values[0] = PG_GETARG_DATUM(0);
	(void) taskapi_outbox_open();
	SPI_connect();
	if (taskapi_outbox_run(&drop, values, NULL) == 0)
		taskapi_outbox_no_group(TextDatumGetCString(values[0]));
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * outbox_lag_rows() -> the rows of the view outbox_lag; none if there is no outbox
 */
Datum
taskapi_outbox_lag_rows(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	int			ncolumns = strlen(lag.result);

	InitMaterializedSRF(fcinfo, 0);
	if (rsinfo->setDesc->natts != ncolumns)
		elog(ERROR, "outbox_lag_rows() has other columns than the extension gave it");
	if (taskapi_outbox_find() == NULL)
		return (Datum) 0;
	SPI_connect();
	(void) taskapi_outbox_run(&lag, NULL, NULL);
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		Datum		values[OUTBOX_MAX_VALUES];
		bool		nulls[OUTBOX_MAX_VALUES];

		for (int i = 0; i < ncolumns; i++)
			values[i] = taskapi_outbox_value(row, i, &nulls[i]);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	SPI_finish();
	return (Datum) 0;
}

/*
 * outbox_stats() -> the rows of the outbox in the view stats; none if there is no outbox, or if it cannot be read, as by a
 * policy of its owner that raises: the view has what others watch, too.
 */
Datum
taskapi_outbox_stats(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {
		"outbox_published", "outbox_parked", "outbox_dead", "outbox_oldest_seconds", "saga_open", "saga_stuck"
	};
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Figures		figures = {0};
	ErrorData  *edata;
	Datum		values[2];
	bool		nulls[2] = {false};

	StaticAssertStmt(lengthof(names) == FIGURES, "each figure has a name");
	InitMaterializedSRF(fcinfo, 0);
	if (rsinfo->setDesc->natts != lengthof(values))
		elog(ERROR, "outbox_stats() has other columns than the extension gave it");
	edata = taskapi_in_subtransaction(read_figures, &figures);
	if (edata != NULL)
	{
		ereport(WARNING,
				(errcode(edata->sqlerrcode),
				 errmsg("could not read the outbox"),
				 errdetail("The error has SQLSTATE %s.", unpack_sql_state(edata->sqlerrcode))));
		FreeErrorData(edata);
		return (Datum) 0;
	}
	for (int i = 0; figures.found && i < FIGURES; i++)
	{
		values[0] = CStringGetTextDatum(names[i]);
		values[1] = Int64GetDatum(figures.values[i]);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

static void
read_figures(void *arg)
{
	Figures    *figures = arg;
	const TaskapiOutbox *outbox = taskapi_outbox_find();

	if (outbox == NULL)
		return;
	figures->values[0] = taskapi_outbox_last_number(outbox);
	SPI_connect();
	(void) taskapi_outbox_run(&stats, NULL, NULL);
	for (int i = 1; i < FIGURES; i++)
		figures->values[i] = taskapi_outbox_int64(0, i - 1);
	SPI_finish();
	figures->found = true;
}
