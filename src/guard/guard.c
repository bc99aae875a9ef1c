/*-------------------------------------------------------------------------
 *
 * guard.c
 *	  The event triggers of the migration guard (guard.h).
 *
 * SQL: sql/install/85_guard.sql
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "commands/event_trigger.h"
#include "commands/extension.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "base/own_objects.h"
#include "base/table_cache.h"
#include "guard/guard.h"
#include "guard/guard_statement.h"

/* Columns of taskapi.migration_guard, as sql/install/85_guard.sql declares them */
#define Anum_migration_guard_refuses 1
#define Anum_migration_guard_bytes	2

/* What a rewrite is for, as the hint says it */
static const struct
{
	int			reason;
	const char *what;
	const char *hint;
}			rewrites[] = {
	{AT_REWRITE_COLUMN_REWRITE, "the type of a column changes",
	"Add a column of the new type, keep it up to date by a trigger, fill it in batches, and let it take the name."},
	{AT_REWRITE_DEFAULT_VAL, "a column gets a value that is computed for each row",
	"Add the column without a default, set the default, and fill the rows in batches."},
	{AT_REWRITE_ACCESS_METHOD, "the access method changes",
	"Make a table of the new access method, copy in batches, and swap the names."},
	{AT_REWRITE_ALTER_PERSISTENCE, "it becomes logged or unlogged",
	"Run it while the table is small or not in use."},
};

static bool guard_on = true;

static TaskapiTableCache cache = {.relname = "migration_guard"};
static struct
{
	bool		installed;		/* is there a row? */
	bool		refuses;
	int64		bytes;
}			settings;

static bool guards(FunctionCallInfo fcinfo, const char *function);
static void load_settings(void);

void
taskapi_guard_init(void)
{
	DefineCustomBoolVariable("taskapi.migration_guard",
							 "Enables the migration guard for statements of this session.",
							 "Turn it off for a migration that has been reviewed.",
							 &guard_on,
							 true,
							 PGC_USERSET, 0,
							 NULL, NULL, NULL);
}

/*
 * guard_ddl() -> event_trigger, at ddl_command_start
 */
PG_FUNCTION_INFO_V1(taskapi_guard_ddl);
Datum
taskapi_guard_ddl(PG_FUNCTION_ARGS)
{
	if (guards(fcinfo, "taskapi.guard_ddl()"))
		taskapi_guard_statement(((EventTriggerData *) fcinfo->context)->parsetree);
	PG_RETURN_NULL();
}

/*
 * guard_rewrite() -> event_trigger, at table_rewrite
 */
PG_FUNCTION_INFO_V1(taskapi_guard_rewrite);
Datum
taskapi_guard_rewrite(PG_FUNCTION_ARGS)
{
	TaskapiGuardTable table;
	int			reason;

	if (!guards(fcinfo, "taskapi.guard_rewrite()") ||
		strcmp(((EventTriggerData *) fcinfo->context)->event, "table_rewrite") != 0 ||
		!taskapi_guard_table_of(DatumGetObjectId(DirectFunctionCall1(pg_event_trigger_table_rewrite_oid, (Datum) 0)), &table) ||
		!taskapi_guard_is_large(&table))
		PG_RETURN_NULL();

	reason = DatumGetInt32(DirectFunctionCall1(pg_event_trigger_table_rewrite_reason, (Datum) 0));
	for (int i = 0; i < lengthof(rewrites); i++)
	{
		if (reason & rewrites[i].reason)
		{
			taskapi_guard_found(rewrites[i].hint, "table \"%s\"%s is to be rewritten while no other session may read it, since %s",
								table.name, taskapi_guard_size(&table), rewrites[i].what);
			break;
		}
	}
	PG_RETURN_NULL();
}

/*
 * Is there anything to do?
 */
static bool
guards(FunctionCallInfo fcinfo, const char *function)
{
	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("%s must be fired by an event trigger", function)));
	if (!guard_on || creating_extension || IsBinaryUpgrade)
		return false;
	load_settings();
	return settings.installed;
}

static void
load_settings(void)
{
	uint64		generation;
	Relation	rel;
	Snapshot	snapshot;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (taskapi_table_cache_valid(&cache))
		return;
	rel = table_open(taskapi_relation_oid(cache.relname), AccessShareLock);
	generation = taskapi_relation_generation();
	if (RelationGetDescr(rel)->natts < Anum_migration_guard_bytes ||
		TupleDescAttr(RelationGetDescr(rel), Anum_migration_guard_refuses - 1)->atttypid != BOOLOID ||
		TupleDescAttr(RelationGetDescr(rel), Anum_migration_guard_bytes - 1)->atttypid != INT8OID)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s.%s\" has changed", TASKAPI_SCHEMA, cache.relname)));
	settings.installed = false;
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;

		settings.installed = true;
		settings.refuses = DatumGetBool(heap_getattr(tuple, Anum_migration_guard_refuses, RelationGetDescr(rel), &isnull));
		settings.bytes = DatumGetInt64(heap_getattr(tuple, Anum_migration_guard_bytes, RelationGetDescr(rel), &isnull));
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
	taskapi_table_cache_filled(&cache, generation);
}

void
taskapi_guard_found(const char *hint, const char *fmt,...)
{
	StringInfoData message;

	initStringInfo(&message);
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, fmt);
		needed = appendStringInfoVA(&message, fmt, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&message, needed);
	}
	ereport(settings.refuses ? ERROR : WARNING,
			(errcode(settings.refuses ? ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE : ERRCODE_WARNING),
			 errmsg_internal("%s", message.data),
			 settings.refuses ?
			 errdetail("The migration guard refuses the statement. SET taskapi.migration_guard = off lets it pass.") : 0,
			 errhint("%s", hint)));
}

bool
taskapi_guard_is_large(const TaskapiGuardTable *table)
{
	return !table->own && table->bytes >= settings.bytes;
}

bool
taskapi_guard_refuses(void)
{
	return settings.refuses;
}

char *
taskapi_guard_size(const TaskapiGuardTable *table)
{
	return psprintf(" (%s)", text_to_cstring(DatumGetTextPP(DirectFunctionCall1(pg_size_pretty, Int64GetDatum(table->bytes)))));
}
