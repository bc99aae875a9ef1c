/*-------------------------------------------------------------------------
 *
 * resource_retention.c
 *	  Removing deletions whose retention is over.
 *
 * The unit is a deletion.  From a row that is old enough, all
 * rows of its deletion are found, upwards and downwards along the foreign keys by
 * which rows go along, and the whole of any other deletion that refers to them by
 * such a key.  All of it goes, or none: if a live row, a row of a table that is
 * not exposed, or a younger deletion is in the way, or if a trigger raises an
 * error or keeps a row, then the deletion stays as it is.
 *
 * Deletions are removed a hundred at a time in a subtransaction.  If that fails,
 * its halves are tried, down to the one that cannot go.  So a batch needs few
 * transaction ids, and a row that fails keeps only its own deletion.
 *
 * A deletion can be in the way of another one that could go as well: one statement
 * that deletes a tree by keys that do not cascade makes a deletion of each row.  So
 * those that were kept for that are tried again, in the other order.  What waits
 * still, such as deletions that refer to each other, is tried together with all
 * that it waits for, which may be more than the batch has left.  If something of that has to stay, then all on the way to it
 * have to, and are not tried again in the run.
 *
 * A row that was written since the run began, such as one that a trigger leaves
 * for each one that goes, is none of its business; so every run ends.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "base/compat.h"
#include "base/role.h"
#include "base/subtransaction.h"
#include "resource/resource_plan.h"
#include "resource/resource_purge.h"
#include "resource/resource_retention.h"

/* How many deletions one subtransaction takes at most. */
#define CHUNK 100

/* How many rows the tries to remove deletions together may have looked at for nothing before a run gives up. */
#define MAX_IN_VAIN 100000

/* A deletion that has to stay. */
typedef struct KeptDeletion
{
	pg_uuid_t	id;
	bool		waits;			/* unless others go first */
} KeptDeletion;

/* A row that is old enough. */
typedef struct Candidate
{
	bool		known;			/* its deletion is, by taskapi_row_deletion() */
	pg_uuid_t	deletion;
	Datum	   *key;
} Candidate;

/* A run over one table. */
typedef struct PurgeRun
{
	TaskapiTable *table;
	TimestampTz before;
	HTAB	   *kept;			/* of KeptDeletion */
	int64		waiting;		/* of them wait for others */
	int			pass;
	int64		room;			/* how many deletions may still go */
	bool		together;		/* deletions go with those that they wait for */
	bool		alone;			/* the attempt is about one candidate */
	int64		in_vain;		/* rows that this has looked at, and that have stayed */
	MemoryContext context;		/* of one attempt */
	int64		failed;			/* deletions that an error kept */
	bool		stopped;		/* by a lock */
	int			sqlerrcode;		/* the last one's */
} PurgeRun;

/* What one subtransaction takes. */
typedef struct PurgeRange
{
	PurgeRun   *run;
	Candidate  *candidates;
	int			n;
	int64		purged;
} PurgeRange;

static int	deleted_retention = 30 * 24 * 60 * 60;

static bool is_due(const TaskapiDoomed *doomed, const TaskapiRow *first, TimestampTz before);
static KeptDeletion *find_kept(PurgeRun *run, const pg_uuid_t *deletion);
static bool has_to_stay(void *arg, const TaskapiRow *row);
static void keep_ally(void *arg, const pg_uuid_t *deletion);
static int64 count_deletions(const TaskapiDoomed *doomed);
static bool is_to_be_tried(PurgeRun *run, const pg_uuid_t *deletion);
static void purge_all_of(void *arg);
static int64 purge_range(PurgeRun *run, Candidate *candidates, int n);
static int64 purge_some(PurgeRun *run, Candidate *candidates, int n);
static int64 purge_deletion(PurgeRun *run, Candidate *candidate);
static void keep(PurgeRun *run, const pg_uuid_t *deletion, bool waits);
static void forget_waiting(PurgeRun *run);
static int64 purge_pass(PurgeRun *run, TransactionId horizon, int64 max);
static int	next_candidates(PurgeRun *run, Portal portal, TransactionId horizon, Candidate *candidates, int max);
static void set_constraints_immediate(TaskapiTable *table);

void
taskapi_retention_init(void)
{
	DefineCustomIntVariable("taskapi.deleted_retention",
							"Sets how long a soft-deleted row is kept before maintain() purges it.",
							"-1 keeps it forever.",
							&deleted_retention,
							30 * 24 * 60 * 60, -1, INT_MAX,
							PGC_USERSET,
							GUC_UNIT_S,
							NULL, NULL, NULL);
}

/*
 * The date of a deletion is that of the row that the others went along with.
 */
static bool
is_due(const TaskapiDoomed *doomed, const TaskapiRow *first, TimestampTz before)
{
	TaskapiRow *row;
	bool		found = false;

	taskapi_rows_rewind(doomed->rows);
	while ((row = taskapi_rows_next(doomed->rows)) != NULL)
	{
		if (taskapi_purge_is_below(doomed, row))
			continue;
		found = true;
		if (row->deletion.at >= before)
			return false;
	}
	return found || first->deletion.at < before;
}

static KeptDeletion *
find_kept(PurgeRun *run, const pg_uuid_t *deletion)
{
	return hash_search(run->kept, deletion, HASH_FIND, NULL);
}

static void
keep(PurgeRun *run, const pg_uuid_t *deletion, bool waits)
{
	bool		found;
	KeptDeletion *kept = hash_search(run->kept, deletion, HASH_ENTER, &found);

	if (!found)
	{
		kept->waits = waits;
		run->waiting += waits;
	}
	else if (kept->waits && !waits)
	{
		kept->waits = false;
		run->waiting--;
	}
}

static bool
has_to_stay(void *arg, const TaskapiRow *row)
{
	PurgeRun   *run = arg;
	pg_uuid_t	deletion = taskapi_row_deletion(row);
	const KeptDeletion *kept = find_kept(run, &deletion);

	return (kept != NULL && !kept->waits) || row->deletion.at >= run->before;
}

static void
keep_ally(void *arg, const pg_uuid_t *deletion)
{
	keep(arg, deletion, false);
}

static bool
is_to_be_tried(PurgeRun *run, const pg_uuid_t *deletion)
{
	const KeptDeletion *kept = find_kept(run, deletion);

	if (run->together)
		return kept != NULL && kept->waits && run->in_vain < MAX_IN_VAIN;
	return kept == NULL;
}

static int64
count_deletions(const TaskapiDoomed *doomed)
{
	HASHCTL		ctl = {0};
	HTAB	   *deletions;
	TaskapiRow *row;
	int64		n;

	ctl.keysize = ctl.entrysize = sizeof(pg_uuid_t);
	ctl.hcxt = CurrentMemoryContext;
	deletions = hash_create("taskapi purge: deletions", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	taskapi_rows_rewind(doomed->rows);
	while ((row = taskapi_rows_next(doomed->rows)) != NULL)
	{
		pg_uuid_t	deletion = taskapi_row_deletion(row);

		(void) hash_search(deletions, &deletion, HASH_ENTER, NULL);
	}
	n = hash_get_num_entries(deletions);
	hash_destroy(deletions);
	return n;
}

/*
 * Those that have waited are tried again.
 */
static void
forget_waiting(PurgeRun *run)
{
	HASH_SEQ_STATUS seq;
	KeptDeletion *kept;

	hash_seq_init(&seq, run->kept);
	while ((kept = hash_seq_search(&seq)) != NULL)
	{
		if (kept->waits)
			(void) hash_search(run->kept, &kept->id, HASH_REMOVE, NULL);
	}
	run->waiting = 0;
}

/*
 * Remove the deletion that a candidate belongs to, as it is now: it may have gone with another one, or have been
 * restored and deleted again.  How many have gone?
 */
static int64
purge_deletion(PurgeRun *run, Candidate *candidate)
{
	TaskapiAllies allies = {.stays = has_to_stay, .keep = keep_ally, .arg = run, .alone = run->alone};
	TaskapiDoomed doomed = {.whole = true, .allies = run->together ? &allies : NULL};
	TaskapiRow *first;
	TaskapiRow *row;
	int64		purged = 0;

	if (candidate->known && !is_to_be_tried(run, &candidate->deletion))
		return 0;
	first = taskapi_resource_lock_row(run->table, candidate->key, true);
	if (first == NULL || first->live || first->deletion.at >= run->before)
		return 0;
	candidate->deletion = taskapi_row_deletion(first);
	candidate->known = true;
	if (!is_to_be_tried(run, &candidate->deletion))
		return 0;

	taskapi_purge_collect(&doomed, first);
	run->in_vain += run->together ? hash_get_num_entries(doomed.visited) : 0;
	if (doomed.obstacle == NULL && !run->together && !is_due(&doomed, first, run->before))
		doomed.obstacle = "It is not old enough.";
	if (doomed.obstacle == NULL)
	{
		purged = run->together ? count_deletions(&doomed) : 1;
		if (!taskapi_purge_remove(&doomed))
			ereport(ERROR,
					(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
					 errmsg("a trigger keeps a row from being purged")));
		run->in_vain -= run->together ? hash_get_num_entries(doomed.visited) : 0;
	}
	else if (!run->together)
	{
		taskapi_rows_rewind(doomed.rows);
		while ((row = taskapi_rows_next(doomed.rows)) != NULL)
		{
			pg_uuid_t	deletion = taskapi_row_deletion(row);

			keep(run, &deletion, doomed.waits);
		}
	}
	taskapi_rows_free(doomed.rows);
	return purged;
}

static int64
purge_some(PurgeRun *run, Candidate *candidates, int n)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(run->context);
	int64		purged = 0;

	/* one may take along any number of others */
	for (int i = 0; i < n && purged < run->room; i++)
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(run->context);
		purged += purge_deletion(run, &candidates[i]);
	}
	MemoryContextSwitchTo(oldcontext);
	return purged;
}

static int64
purge_range(PurgeRun *run, Candidate *candidates, int n)
{
	PurgeRange	range = {.run = run, .candidates = candidates, .n = n};
	ErrorData  *edata;
	int64		purged;

	if (n == 0)
		return 0;
	run->alone = (n == 1);
	edata = taskapi_in_subtransaction(purge_all_of, &range);
	if (edata == NULL)
	{
		run->room -= range.purged;
		return range.purged;
	}

	/* a lock that cannot be had is waited for once, not once for each row */
	run->stopped |= (edata->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE);
	if (n == 1 || run->stopped)
	{
		/* the text may tell of rows that whoever runs this cannot read */
		ereport(LOG_SERVER_ONLY,
				(errcode(edata->sqlerrcode),
				 errmsg("could not purge a row of table \"%s\": %s",
						get_rel_name(run->table->entry.relid), edata->message)));
		run->failed += n;
		run->sqlerrcode = edata->sqlerrcode;
		if (candidates[0].known)
			keep(run, &candidates[0].deletion, false);
		FreeErrorData(edata);
		return 0;
	}
	FreeErrorData(edata);
	purged = purge_range(run, candidates, n / 2);
	if (!run->stopped)
		purged += purge_range(run, candidates + n / 2, n - n / 2);
	return purged;
}

static void
purge_all_of(void *arg)
{
	PurgeRange *range = arg;

	range->purged = purge_some(range->run, range->candidates, range->n);
}

/*
 * Up to "max" rows of the cursor that no transaction from "horizon" on has written.
 */
static int
next_candidates(PurgeRun *run, Portal portal, TransactionId horizon, Candidate *candidates, int max)
{
	MemoryContext context = CurrentMemoryContext;
	TaskapiTable *table = run->table;
	int			n = 0;

	while (n < max)
	{
		CHECK_FOR_INTERRUPTS();
		SPI_cursor_fetch(portal, true, max - n);
		MemoryContextSwitchTo(context);
		if (SPI_processed == 0)
			break;
		taskapi_resource_require_old_rows(table);
		for (uint64 i = 0; i < SPI_processed; i++)
		{
			HeapTuple	tuple = SPI_tuptable->vals[i];
			TupleDesc	desc = SPI_tuptable->tupdesc;
			Candidate  *c = &candidates[n];
			bool		isnull;
			Datum		value;
			TransactionId xmin = DatumGetTransactionId(SPI_getbinval(tuple, desc, 1, &isnull));

			/* a row that was frozen so long ago that its xmin is ahead of us again is none of the new ones */
			if (TransactionIdIsNormal(xmin) && TransactionIdFollowsOrEquals(xmin, horizon) &&
				TransactionIdPrecedes(xmin, ReadNextTransactionId()))
				continue;
			value = SPI_getbinval(tuple, desc, 2, &isnull);
			c->known = !isnull;
			if (!isnull)
				c->deletion = *DatumGetUUIDP(value);
			c->key = palloc(sizeof(Datum) * table->nkeys);
			for (int k = 0; k < table->nkeys; k++)
			{
				const TaskapiTableColumn *column = &table->columns[table->keys[k]];

				c->key[k] = datumCopy(SPI_getbinval(tuple, desc, 3 + k, &isnull), column->typbyval, column->typlen);
			}
			n++;
		}
		taskapi_resource_free_result();
	}
	return n;
}

/*
 * Once through the old rows: the number of deletions that went.
 */
static int64
purge_pass(PurgeRun *run, TransactionId horizon, int64 max)
{
	Datum		before = TimestampTzGetDatum(run->before);
	Candidate	candidates[CHUNK];
	MemoryContext chunk = AllocSetContextCreate(CurrentMemoryContext, "taskapi purge: candidates", ALLOCSET_DEFAULT_SIZES);
	MemoryContext oldcontext;
	Portal		portal;
	int64		purged = 0;
	int			n;

	run->pass++;
	run->room = max;
	portal = SPI_cursor_open(NULL, taskapi_resource_old_rows_plan(run->table, run->pass % 2 == 0), &before, NULL, false);
	oldcontext = MemoryContextSwitchTo(chunk);
	while (run->room > 0 && !run->stopped &&
		   (n = next_candidates(run, portal, horizon, candidates, (int) Min(CHUNK, run->room))) > 0)
	{
		purged += purge_range(run, candidates, n);
		MemoryContextReset(chunk);
	}
	MemoryContextSwitchTo(oldcontext);
	MemoryContextDelete(chunk);
	SPI_cursor_close(portal);
	return purged;
}

/*
 * What is deferred cannot be left to the commit from within a restricted operation, and should not be: whoever purges
 * all tables must not run there what an owner's triggers have left.  So the constraints of the tables around this one
 * are made immediate for the rest of the transaction, by name.  A name that another owner's table in the same schema has
 * too is left alone: it would fire what is pending for that table.
 */
static void
set_constraints_immediate(TaskapiTable *table)
{
	List	   *relids = list_make1_oid(table->entry.relid);
	Oid			argtypes[] = {OIDARRAYOID};
	Datum		values[1];
	Datum	   *oids;
	bool		isnull;
	char	   *names = NULL;
	int			rc;

	for (int at = 0; at < list_length(relids); at++)
	{
		TaskapiTable *t = at == 0 ? table : taskapi_resource_table(list_nth_oid(relids, at));
		ListCell   *lc;

		foreach(lc, t->incoming)
			relids = list_append_unique_oid(relids, ((TaskapiForeignKey *) lfirst(lc))->other);
		foreach(lc, t->outgoing)
			relids = list_append_unique_oid(relids, ((TaskapiForeignKey *) lfirst(lc))->other);
	}
	oids = palloc(sizeof(Datum) * list_length(relids));
	for (int i = 0; i < list_length(relids); i++)
		oids[i] = ObjectIdGetDatum(list_nth_oid(relids, i));
	values[0] = PointerGetDatum(construct_array(oids, list_length(relids), OIDOID, sizeof(Oid), true, TYPALIGN_INT));

	rc = SPI_execute_with_args("SELECT pg_catalog.string_agg(DISTINCT pg_catalog.format('%I.%I', n.nspname, c.conname),"
							   " ', ')"
							   " FROM pg_catalog.pg_constraint c"
							   " JOIN pg_catalog.pg_class r ON r.oid OPERATOR(pg_catalog.=) c.conrelid"
							   " JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.connamespace"
							   " WHERE c.condeferrable AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')"
							   " AND (c.conrelid OPERATOR(pg_catalog.=) ANY ($1)"
							   " OR c.confrelid OPERATOR(pg_catalog.=) ANY ($1))"
							   " AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint c2"
							   " JOIN pg_catalog.pg_class r2 ON r2.oid OPERATOR(pg_catalog.=) c2.conrelid"
							   " WHERE c2.connamespace OPERATOR(pg_catalog.=) c.connamespace"
							   " AND c2.conname OPERATOR(pg_catalog.=) c.conname"
							   " AND r2.relowner OPERATOR(pg_catalog.<>) r.relowner)",
							   1, argtypes, values, NULL, true, 1);
	if (rc != SPI_OK_SELECT)
		elog(ERROR, "constraints could not be read: %s", SPI_result_code_string(rc));
	if (SPI_processed > 0)
	{
		Datum		value = taskapi_resource_result(1, &isnull);

		if (!isnull)
			names = TextDatumGetCString(value);
	}
	taskapi_resource_free_result();
	if (names != NULL && SPI_execute(psprintf("SET CONSTRAINTS %s IMMEDIATE", names), false, 0) < 0)
		elog(ERROR, "SET CONSTRAINTS failed: %s", SPI_result_code_string(SPI_result));
}

/*
 * purge_source(source regclass, deleted_before timestamptz, batch int, written_before xid8) -> bigint
 *
 * Removes up to "batch" deletions of before then, oldest first, and returns how many.  A deletion that cannot go stays
 * whole; rows that a transaction from written_before on has written are not looked at.
 */
PG_FUNCTION_INFO_V1(taskapi_purge_source);
Datum
taskapi_purge_source(PG_FUNCTION_ARGS)
{
	int64		batch = PG_GETARG_INT32(2);
	TransactionId horizon = XidFromFullTransactionId(PG_GETARG_FULLTRANSACTIONID(3));
	PurgeRun	run = {.before = PG_GETARG_TIMESTAMPTZ(1)};
	HASHCTL		ctl = {0};
	int64		purged = 0;
	TaskapiRole saved;
	int			nestlevel;

	run.table = taskapi_resource_table(PG_GETARG_OID(0));
	if (!run.table->soft || run.table->nkeys == 0)
		PG_RETURN_INT64(0);

	SPI_connect();
	ctl.keysize = sizeof(pg_uuid_t);
	ctl.entrysize = sizeof(KeptDeletion);
	ctl.hcxt = CurrentMemoryContext;
	run.kept = hash_create("taskapi purge: kept", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	run.context = AllocSetContextCreate(CurrentMemoryContext, "taskapi purge", ALLOCSET_DEFAULT_SIZES);

	/* what the triggers of the owner set, such as a search_path, must not stay with whoever purges */
	nestlevel = NewGUCNestLevel();
	saved = taskapi_become(run.table->owner,
						   SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION | SECURITY_NOFORCE_RLS);
	set_constraints_immediate(run.table);
	purged = purge_pass(&run, horizon, batch);
	if (run.waiting > 0 && purged > 0 && purged < batch && !run.stopped)
	{
		forget_waiting(&run);
		purged += purge_pass(&run, horizon, batch - purged);
	}
	if (run.waiting > 0 && purged < batch && !run.stopped)
	{
		run.together = true;
		purged += purge_pass(&run, horizon, batch - purged);
	}
	taskapi_role_restore(saved);
	AtEOXact_GUC(false, nestlevel);

	if (run.failed > 0)
		ereport(WARNING,
				(errcode(run.sqlerrcode),
				 errmsg("could not purge " INT64_FORMAT " deleted rows of \"%s\"",
						run.failed, get_rel_name(run.table->entry.relid)),
				 errdetail("The last error has SQLSTATE %s.", unpack_sql_state(run.sqlerrcode)),
				 run.sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ?
				 errhint("Another session has locked them. The next run tries again.") :
				 errhint("The server's log has the reasons.")));
	SPI_finish();
	PG_RETURN_INT64(purged);
}
