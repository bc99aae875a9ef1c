/*-------------------------------------------------------------------------
 *
 * feed_stamp.c
 *	  The trigger of a table whose changes are told: it stamps rows, and records
 *	  those that leave.
 *
 * It is ENABLE ALWAYS, so that a logical subscriber stamps with ids of its own.
 * It counts for everybody who writes to the table, also round the resource.
 *
 * A departure is what the row was: its key, the columns that policies test, the
 * column of the scope.  It is recorded if the row is deleted, or if one of these
 * changes: whoever could see the old row may not see the new one.  One too many
 * does no harm, since a reader who still sees the row is not told of it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

#include "base/compat.h"
#include "base/own_objects.h"
#include "base/role.h"
#include "base/trigger_check.h"
#include "feed/feed_stamp.h"
#include "feed/feed_state.h"
#include "resource/resource_plan.h"
#include "resource/resource_registry.h"
#include "resource/resource_table.h"

/* The owner records all rows, also those of a table that forces its policies on him */
#define AS_OWNER (SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION | SECURITY_NOFORCE_RLS)

/* What is kept of a table's departures, in its cache entry */
struct TaskapiDepartures
{
	int			n;
	char	  **names;			/* of the columns, which are the table's too */
	Oid		   *types;
	SPIPlanPtr	plan;			/* INSERT: the columns, the stamp */
	SPIPlanPtr	original;		/* SELECT by the key */
};

static AttrNumber column_number(TupleDesc desc, const char *name);
static AttrNumber stamp_column(TupleDesc desc);
static void require_stamp(Relation rel);
static HeapTuple set_stamp(TupleDesc desc, HeapTuple row, uint64 stamp);
static struct TaskapiDepartures *table_departures(TaskapiTable *table);
static bool departs(const TriggerData *trigdata, const struct TaskapiDepartures *departures);
static bool others_follow(const TriggerData *trigdata);
static void record(const TriggerData *trigdata, TaskapiTable *table, uint64 stamp);
static uint64 row_stamp(HeapTuple row, TupleDesc desc);
static HeapTuple original_row(const TriggerData *trigdata, TaskapiTable *table, TupleDesc *desc);
static SPIPlanPtr original_plan(TaskapiTable *table);
static SPIPlanPtr insert_plan(TaskapiTable *table);
static bool was_deleted(TaskapiTable *table, HeapTuple row, TupleDesc desc);
static void fill(TaskapiTable *table, HeapTuple row, TupleDesc desc, Datum *values, char *nulls);

static AttrNumber
column_number(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped && strcmp(NameStr(att->attname), name) == 0)
			return i + 1;
	}
	return InvalidAttrNumber;
}

static AttrNumber
stamp_column(TupleDesc desc)
{
	AttrNumber	attno = column_number(desc, TASKAPI_STAMP_COLUMN);

	return attno > 0 && TupleDescAttr(desc, attno - 1)->atttypid == XID8OID ? attno : InvalidAttrNumber;
}

/*
 * change_stamp() -> trigger: BEFORE INSERT OR UPDATE OR DELETE
 */
PG_FUNCTION_INFO_V1(taskapi_change_stamp);
Datum
taskapi_change_stamp(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = taskapi_require_trigger(fcinfo, TASKAPI_TRIGGER_BEFORE | TASKAPI_TRIGGER_ROW |
													TASKAPI_TRIGGER_INSERT | TASKAPI_TRIGGER_UPDATE |
													TASKAPI_TRIGGER_DELETE, "change_stamp");
	TupleDesc	desc = RelationGetDescr(trigdata->tg_relation);
	Oid			root = taskapi_resource_root(RelationGetRelid(trigdata->tg_relation));
	uint64		xid = U64FromFullTransactionId(GetTopFullTransactionId());
	bool		known = taskapi_resource_with_changes(root) != NULL;
	uint64		stamp = TASKAPI_STAMP(known ? taskapi_feed_incarnation(root) : 0, xid);

	if (known && !TRIGGER_FIRED_BY_INSERT(trigdata->tg_event))
	{
		TaskapiTable *table = taskapi_resource_table(root);
		struct TaskapiDepartures *departures = table_departures(table);

		if (departures != NULL && (TRIGGER_FIRED_BY_DELETE(trigdata->tg_event) || departs(trigdata, departures)))
			record(trigdata, table, stamp);
	}
	if (TRIGGER_FIRED_BY_DELETE(trigdata->tg_event))
		return PointerGetDatum(trigdata->tg_trigtuple);
	if (known)
		require_stamp(trigdata->tg_relation);
	return PointerGetDatum(set_stamp(desc, TRIGGER_FIRED_BY_INSERT(trigdata->tg_event) ? trigdata->tg_trigtuple :
									 trigdata->tg_newtuple, stamp));
}

/*
 * A row that is written without a stamp would be told to nobody, and nobody would know.
 */
static void
require_stamp(Relation rel)
{
	if (stamp_column(RelationGetDescr(rel)) == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" lacks column \"%s\" of type xid8, by which its changes are told",
						RelationGetRelationName(rel), TASKAPI_STAMP_COLUMN),
				 errhint("Call taskapi.expose() again.")));
}

static HeapTuple
set_stamp(TupleDesc desc, HeapTuple row, uint64 stamp)
{
	int			column = stamp_column(desc);
	Datum		value = FullTransactionIdGetDatum(FullTransactionIdFromU64(stamp));
	bool		isnull = false;

	return column > 0 ? heap_modify_tuple_by_cols(row, desc, 1, &column, &value, &isnull) : row;
}

/*
 * Built when it is first needed; the entry goes if the table of departures changes.  NULL if there is none.
 */
static struct TaskapiDepartures *
table_departures(TaskapiTable *table)
{
	struct TaskapiDepartures *departures;
	MemoryContext oldcontext;
	Relation	rel;
	TupleDesc	desc;

	if (table->departures != NULL || !OidIsValid(table->departed))
		return table->departures;
	rel = try_table_open(table->departed, AccessShareLock);
	if (rel == NULL)
		return NULL;
	oldcontext = MemoryContextSwitchTo(table->entry.context);
	desc = RelationGetDescr(rel);
	departures = palloc0(sizeof(struct TaskapiDepartures));
	departures->names = palloc(sizeof(char *) * Max(desc->natts, 1));
	departures->types = palloc(sizeof(Oid) * (desc->natts + 1));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped || strncmp(NameStr(att->attname), "taskapi_", 8) == 0)
			continue;
		departures->names[departures->n] = pstrdup(NameStr(att->attname));
		departures->types[departures->n++] = att->atttypid;
	}
	MemoryContextSwitchTo(oldcontext);
	table_close(rel, NoLock);
	table->departures = departures;
	return departures;
}

/*
 * Generated columns are made later, and other triggers may change the row again: then it is recorded in any case.
 */
static bool
departs(const TriggerData *trigdata, const struct TaskapiDepartures *departures)
{
	TupleDesc	desc = RelationGetDescr(trigdata->tg_relation);

	if (others_follow(trigdata))
		return true;
	for (int i = 0; i < departures->n; i++)
	{
		AttrNumber	attno = column_number(desc, departures->names[i]);
		Form_pg_attribute att;
		bool		nulls[2];
		Datum		values[2];

		if (attno <= 0)
			return true;
		att = TupleDescAttr(desc, attno - 1);
		values[0] = heap_getattr(trigdata->tg_trigtuple, attno, desc, &nulls[0]);
		values[1] = heap_getattr(trigdata->tg_newtuple, attno, desc, &nulls[1]);
		if (att->attgenerated != '\0' || strcmp(departures->names[i], "version") == 0 ||
			strcmp(departures->names[i], "updated_at") == 0 || nulls[0] != nulls[1] ||
			(!nulls[0] && !datum_image_eq(values[0], values[1], att->attbyval, att->attlen)))
			return true;
	}
	return false;
}

/*
 * Will another trigger see the row after this one, and maybe change it?  Not counting our own, which sets version and
 * updated_at.
 */
static bool
others_follow(const TriggerData *trigdata)
{
	const TriggerDesc *triggers = trigdata->tg_relation->trigdesc;
	bool		found = false;

	/* they fire in the order of this array */
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (trigger->tgoid == trigdata->tg_trigger->tgoid)
			found = true;
		else if (found && trigger->tgenabled != TRIGGER_DISABLED &&
				 TRIGGER_TYPE_MATCHES(trigger->tgtype, TRIGGER_TYPE_ROW, TRIGGER_TYPE_BEFORE, TRIGGER_TYPE_UPDATE) &&
				 get_func_namespace(trigger->tgfoid) != taskapi_schema_oid())
			return true;
	}
	return false;
}

/*
 * As the owner of the table, to whom the departures belong.
 *
 * What others may have seen is the row as it was before this transaction.  If that has changed it already, it is looked up:
 * there may be none.
 */
static void
record(const TriggerData *trigdata, TaskapiTable *table, uint64 stamp)
{
	struct TaskapiDepartures *departures = table->departures;
	HeapTuple	row = trigdata->tg_trigtuple;
	TupleDesc	desc = RelationGetDescr(trigdata->tg_relation);
	int			n = departures->n;
	Datum	   *values = palloc(sizeof(Datum) * (n + 1));
	char	   *nulls = palloc(n + 1);
	TaskapiRole saved;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	saved = taskapi_become(table->owner, AS_OWNER);
	if (row_stamp(row, desc) == stamp)
		row = original_row(trigdata, table, &desc);
	if (row != NULL)
	{
		if (was_deleted(table, row, desc))
			stamp = row_stamp(row, desc);
		fill(table, row, desc, values, nulls);
		values[n] = FullTransactionIdGetDatum(FullTransactionIdFromU64(stamp));
		nulls[n] = ' ';
		if (departures->plan == NULL)
			departures->plan = insert_plan(table);
		if (SPI_execute_plan(departures->plan, values, nulls, false, 0) != SPI_OK_INSERT || SPI_processed != 1)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("a trigger or rule keeps the departures of table %s from being recorded", table->name)));
	}
	taskapi_role_restore(saved);
	SPI_finish();
}

/* 0 if it has none. */
static uint64
row_stamp(HeapTuple row, TupleDesc desc)
{
	AttrNumber	attno = stamp_column(desc);
	bool		isnull = true;
	Datum		value = attno > 0 ? heap_getattr(row, attno, desc, &isnull) : (Datum) 0;

	return isnull ? 0 : U64FromFullTransactionId(DatumGetFullTransactionId(value));
}

/*
 * The row by that key as all others see it: with a snapshot in which this transaction has done nothing yet.  NULL if there
 * is none.
 */
static HeapTuple
original_row(const TriggerData *trigdata, TaskapiTable *table, TupleDesc *desc)
{
	struct TaskapiDepartures *departures = table->departures;
	Datum		keys[INDEX_MAX_KEYS];
	char		nulls[INDEX_MAX_KEYS];
	Snapshot	snapshot;
	int			rc;

	for (int i = 0; i < table->nkeys; i++)
	{
		bool		isnull;

		keys[i] = heap_getattr(trigdata->tg_trigtuple,
							   taskapi_resource_table_attno(table, table->keys[i], trigdata->tg_relation),
							   RelationGetDescr(trigdata->tg_relation), &isnull);
		nulls[i] = isnull ? 'n' : ' ';
	}
	if (departures->original == NULL)
		departures->original = original_plan(table);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	snapshot->curcid = FirstCommandId;
	rc = SPI_execute_snapshot(departures->original, keys, nulls, snapshot, InvalidSnapshot, true, false, 1);
	UnregisterSnapshot(snapshot);
	if (rc != SPI_OK_SELECT)
		elog(ERROR, "the row was not looked up: %s", SPI_result_code_string(rc));
	if (SPI_processed == 0)
		return NULL;
	*desc = SPI_tuptable->tupdesc;
	return SPI_tuptable->vals[0];
}

static SPIPlanPtr
original_plan(TaskapiTable *table)
{
	const TaskapiRegistration *registration = taskapi_resource_of_table(table->entry.relid, true);
	Oid			types[INDEX_MAX_KEYS];
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "SELECT t." TASKAPI_STAMP_COLUMN);
	if (registration != NULL)
		appendStringInfo(&buf, ", t.%s", quote_identifier(NameStr(registration->deleted_at_column)));
	for (int i = 0; i < table->departures->n; i++)
		appendStringInfo(&buf, ", t.%s", quote_identifier(table->departures->names[i]));
	appendStringInfo(&buf, " FROM %s AS t WHERE %s", table->name, table->key_condition);
	for (int i = 0; i < table->nkeys; i++)
		types[i] = table->columns[table->keys[i]].type;
	return taskapi_resource_prepare(&table->entry, table->owner, buf.data, table->nkeys, types);
}

static SPIPlanPtr
insert_plan(TaskapiTable *table)
{
	struct TaskapiDepartures *departures = table->departures;
	int			n = departures->n;
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "INSERT INTO %s (",
					 quote_qualified_identifier(get_namespace_name(get_rel_namespace(table->departed)),
												get_rel_name(table->departed)));
	for (int i = 0; i < n; i++)
		appendStringInfo(&buf, "%s, ", quote_identifier(departures->names[i]));
	appendStringInfoString(&buf, "taskapi_stamp) VALUES (");
	for (int i = 0; i < n + 1; i++)
		appendStringInfo(&buf, "%s$%d", i > 0 ? ", " : "", i + 1);
	appendStringInfoChar(&buf, ')');
	departures->types[n] = XID8OID;
	return taskapi_resource_prepare(&table->entry, table->owner, buf.data, n + 1, departures->types);
}

/*
 * Was the row gone already for all who follow the table?  A resource without soft deletion shows deleted rows as any others.
 */
static bool
was_deleted(TaskapiTable *table, HeapTuple row, TupleDesc desc)
{
	const TaskapiRegistration *registration = taskapi_resource_of_table(table->entry.relid, true);
	AttrNumber	deleted_at = registration != NULL ? column_number(desc, NameStr(registration->deleted_at_column)) : 0;
	ListCell   *lc;

	if (deleted_at <= 0 || heap_attisnull(row, deleted_at, desc))
		return false;
	foreach(lc, taskapi_registrations())
	{
		const TaskapiRegistration *r = lfirst(lc);

		if (r->source == table->entry.relid && r->changes && !r->soft_delete)
			return false;
	}
	return true;
}

/*
 * The columns of a departure.
 */
static void
fill(TaskapiTable *table, HeapTuple row, TupleDesc desc, Datum *values, char *nulls)
{
	const struct TaskapiDepartures *departures = table->departures;

	for (int i = 0; i < departures->n; i++)
	{
		AttrNumber	attno = column_number(desc, departures->names[i]);
		bool		isnull;

		if (attno <= 0 || TupleDescAttr(desc, attno - 1)->atttypid != departures->types[i])
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("departures of table %s no longer fit the table", table->name),
					 errhint("Call taskapi.expose() again.")));
		values[i] = heap_getattr(row, attno, desc, &isnull);
		nulls[i] = isnull ? 'n' : ' ';
	}
}
