/*-------------------------------------------------------------------------
 *
 * feed_history.c
 *	  The history that a token is good for (feed_history.h).
 *
 * What comes from the catalogs is computed again whenever this backend has
 * processed an invalidation of any relation or function, and kept for one feed:
 * most backends serve few.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "catalog/indexing.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "base/own_objects.h"
#include "base/sha256.h"
#include "base/table_cache.h"
#include "feed/feed_dependencies.h"
#include "feed/feed_history.h"
#include "feed/feed_stamp.h"
#include "http/problem.h"

/* What the catalogs say of one feed */
typedef struct CatalogHistory
{
	uint64		view;			/* serial number of the entry that it was made of */
	uint64		relations;		/* generation */
	uint64		names;			/* generation */
	bool		legible;
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	int			ntriggers;
	TransactionId *triggers;	/* who has made their rows in the catalog */
	List	   *roles;			/* that policies are for, and owners of what others read */
	List	   *definers;		/* who reads but for the caller */
} CatalogHistory;

static CatalogHistory kept;
static MemoryContext kept_context = NULL;

static void read_catalogs(const TaskapiFeed *feed, CatalogHistory *history);
static void add_relation(Oid relid, StringInfo buf, List **triggers);
static void add_trigger(Oid relid, Oid trigger, StringInfo buf, List **triggers);
static bool departures_fit(const TaskapiFeed *feed);
static void check_triggers(const CatalogHistory *history);
static void add_rights(Oid roleid, const CatalogHistory *history, StringInfo buf);
static TimeLineID time_line(void);

void
taskapi_feed_history(TaskapiFeed *feed)
{
	StringInfoData buf;
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	uint64		system = GetSystemIdentifier();
	TimeLineID	tli = time_line();
	ListCell   *lc;

	/* what has happened to it is known once it is locked */
	LockRelationOid(feed->departures, AccessShareLock);
	if (kept.view != feed->view->entry.serial || kept.relations != taskapi_relation_generation() ||
		kept.names != taskapi_names_generation())
	{
		CatalogHistory history = {
			.view = feed->view->entry.serial, .relations = taskapi_relation_generation(), .names = taskapi_names_generation()
		};
		bool		legible = departures_fit(feed);
		MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "taskapi feed history", ALLOCSET_SMALL_SIZES);
		MemoryContext oldcontext = MemoryContextSwitchTo(context);

		history.legible = legible;
		read_catalogs(feed, &history);
		MemoryContextSwitchTo(oldcontext);
		MemoryContextSetParent(context, CacheMemoryContext);
		if (kept_context != NULL)
			MemoryContextDelete(kept_context);
		kept_context = context;
		kept = history;
	}
	check_triggers(&kept);
	feed->legible = kept.legible;

	initStringInfo(&buf);
	appendBinaryStringInfo(&buf, (char *) kept.digest, sizeof(kept.digest));
	appendBinaryStringInfo(&buf, (char *) &system, sizeof(system));
	appendBinaryStringInfo(&buf, (char *) &tli, sizeof(tli));
	appendBinaryStringInfo(&buf, (char *) &MyDatabaseId, sizeof(Oid));
	appendBinaryStringInfo(&buf, (char *) &feed->state.incarnation, sizeof(int));
	add_rights(GetUserId(), &kept, &buf);
	foreach(lc, kept.definers)
		add_rights(lfirst_oid(lc), &kept, &buf);
	taskapi_sha256(buf.data, buf.len, digest);
	memcpy(feed->history, digest, TASKAPI_FEED_DIGEST);
	pfree(buf.data);
}

/*
 * Which policies are for a role, and which it bypasses
 */
static void
add_rights(Oid roleid, const CatalogHistory *history, StringInfo buf)
{
	ListCell   *lc;

	appendStringInfoChar(buf, has_bypassrls_privilege(roleid));
	foreach(lc, history->roles)
		appendStringInfoChar(buf, has_privs_of_role(roleid, lfirst_oid(lc)));
}

static TimeLineID
time_line(void)
{
	TimeLineID	tli;

	if (!RecoveryInProgress())
		return GetWALInsertionTimeLine();
	(void) GetXLogReplayRecPtr(&tli);
	return tli;
}

/*
 * All lists are in the order of the catalog's indexes, so that a standby and its primary agree.
 */
static void
read_catalogs(const TaskapiFeed *feed, CatalogHistory *history)
{
	StringInfoData buf;
	List	   *triggers = NIL;
	List	   *relids = list_make1_oid(feed->source);
	Relation	departures;
	ListCell   *lc;

	if (get_rel_relkind(feed->source) == RELKIND_PARTITIONED_TABLE)
		relids = find_all_inheritors(feed->source, AccessShareLock, NULL);
	initStringInfo(&buf);
	departures = table_open(feed->departures, NoLock);
	appendBinaryStringInfo(&buf, (const char *) &feed->departures, sizeof(Oid));
	appendBinaryStringInfo(&buf, (const char *) &departures->rd_rel->relfilenode, sizeof(departures->rd_rel->relfilenode));
	table_close(departures, NoLock);
	appendStringInfoString(&buf, feed->view->returning);
	foreach(lc, relids)
		add_relation(lfirst_oid(lc), &buf, &triggers);
	taskapi_feed_add_policies(feed->source, &buf, &history->roles, &history->definers);
	taskapi_sha256(buf.data, buf.len, history->digest);
	pfree(buf.data);

	history->ntriggers = list_length(triggers);
	history->triggers = palloc(sizeof(TransactionId) * Max(history->ntriggers, 1));
	foreach(lc, triggers)
		history->triggers[foreach_current_index(lc)] = lfirst_oid(lc);
}

/*
 * Its storage, its column of stamps, and its trigger.
 */
static void
add_relation(Oid relid, StringInfo buf, List **triggers)
{
	Relation	rel = table_open(relid, AccessShareLock);
	AttrNumber	stamp = get_attnum(relid, TASKAPI_STAMP_COLUMN);
	bool		found = false;

	appendBinaryStringInfo(buf, (const char *) &relid, sizeof(Oid));
	appendBinaryStringInfo(buf, (const char *) &rel->rd_rel->relfilenode, sizeof(rel->rd_rel->relfilenode));
	appendBinaryStringInfo(buf, (const char *) &stamp, sizeof(stamp));
	appendStringInfoChar(buf, rel->rd_rel->relrowsecurity);
	appendStringInfoChar(buf, rel->rd_rel->relforcerowsecurity);
	for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &rel->trigdesc->triggers[i];
		const char *name = get_func_name(trigger->tgfoid);

		if (name == NULL || strcmp(name, "change_stamp") != 0 || get_func_namespace(trigger->tgfoid) != taskapi_schema_oid() ||
			trigger->tgtype != (TRIGGER_TYPE_ROW | TRIGGER_TYPE_BEFORE | TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE |
								TRIGGER_TYPE_DELETE) ||
			trigger->tgqual != NULL || trigger->tgnattr > 0 || trigger->tgenabled != TRIGGER_FIRES_ALWAYS)
			continue;
		add_trigger(relid, trigger->tgoid, buf, triggers);
		found = true;
	}
	if (!found || rel->rd_rel->relpersistence != RELPERSISTENCE_PERMANENT)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot track changes of table \"%s\"", RelationGetRelationName(rel)),
				 found ? errdetail("The table is unlogged.") :
				 errdetail("Trigger \"%s\" is missing, or not enabled with ENABLE ALWAYS.", "zz_taskapi_change"),
				 errhint("Call taskapi.expose() again.")));
	table_close(rel, NoLock);
}

/*
 * Who has made its row in the catalog tells whether it was disabled for a while.
 */
static void
add_trigger(Oid relid, Oid oid, StringInfo buf, List **triggers)
{
	Relation	pg_trigger = table_open(TriggerRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(oid));
	scan = systable_beginscan(pg_trigger, TriggerOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		TransactionId xmin = HeapTupleHeaderGetRawXmin(tuple->t_data);

		appendBinaryStringInfo(buf, (const char *) &oid, sizeof(Oid));
		appendBinaryStringInfo(buf, (const char *) &xmin, sizeof(xmin));
		*triggers = lappend_oid(*triggers, HeapTupleHeaderGetXmin(tuple->t_data));
	}
	systable_endscan(scan);
	table_close(pg_trigger, AccessShareLock);
}

/*
 * Do the departures have the columns and the policies that the table has now?
 */
static bool
departures_fit(const TaskapiFeed *feed)
{
	Oid			types[] = {OIDOID, OIDOID};
	Datum		values[] = {ObjectIdGetDatum(feed->source), ObjectIdGetDatum(feed->departures)};
	bool		isnull = true;
	Datum		fit;
	int			rc = SPI_execute_with_args("SELECT taskapi.departures_fit($1::pg_catalog.regclass, $2::pg_catalog.regclass)",
										   lengthof(types), types, values, NULL, true, 1);

	if (rc != SPI_OK_SELECT || SPI_processed != 1 || SPI_gettypeid(SPI_tuptable->tupdesc, 1) != BOOLOID)
		elog(ERROR, "the departures were not looked at: %s", SPI_result_code_string(rc));
	fit = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	SPI_freetuptable(SPI_tuptable);
	return !isnull && DatumGetBool(fit);
}

/*
 * A snapshot that is older than the trigger may lack rows that were written without a stamp, which no later one would
 * tell of.
 */
static void
check_triggers(const CatalogHistory *history)
{
	Snapshot	snapshot = GetActiveSnapshot();

	for (int i = 0; i < history->ntriggers; i++)
	{
		TransactionId xmin = history->triggers[i];

		if (TransactionIdIsNormal(xmin) && !TransactionIdPrecedes(xmin, snapshot->xmin) &&
			!TransactionIdIsCurrentTransactionId(xmin) && XidInMVCCSnapshot(xmin, snapshot))
			taskapi_problem(PROBLEM_TRY_AGAIN, NIL, NULL, "The change feed was set up meanwhile.");
	}
}
