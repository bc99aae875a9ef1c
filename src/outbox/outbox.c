/*-------------------------------------------------------------------------
 *
 * outbox.c
 *	  Where this database's outbox is, and the statements on its tables.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_sequence.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/own_objects.h"
#include "base/table_cache.h"
#include "http/problem.h"
#include "outbox/outbox.h"

static TaskapiTableCache registry = {.relname = "outbox"};
static Oid	registered = InvalidOid;
static int64 registered_partition_size = 0;

/* What the plans are for; "epoch" grows whenever they have to be made again. */
static TaskapiOutbox current;
static char *quoted_schema = NULL;
static uint64 epoch = 0;
static uint64 names_generation = 0;

#define OWNER_SEARCH_PATH "pg_catalog, pg_temp"

static void load_registry(void);
static bool describe(TaskapiOutbox *outbox);
static void require_sequence(Oid sequence);
static Oid	type_of(char letter);
static void prepare(TaskapiOutboxStatement *statement);
static void require_result(const TaskapiOutboxStatement *statement);

const TaskapiOutbox *
taskapi_outbox_open(void)
{
	const TaskapiOutbox *outbox = taskapi_outbox_find();

	if (outbox == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("there is no outbox in this database"),
				 errhint("Call taskapi.create_outbox().")));
	return outbox;
}

const TaskapiOutbox *
taskapi_outbox_find(void)
{
	TaskapiOutbox found = {0};
	char	   *schema;

	load_registry();
	if (!OidIsValid(registered) || !describe(&found))
		return NULL;

	schema = get_namespace_name(get_rel_namespace(found.message));
	if (schema == NULL)
		return NULL;
	schema = pstrdup(quote_identifier(schema));
	if (quoted_schema == NULL || strcmp(schema, quoted_schema) != 0 || found.message != current.message ||
		found.owner != current.owner || names_generation != taskapi_names_generation())
	{
		char	   *kept = MemoryContextStrdup(TopMemoryContext, schema);

		if (quoted_schema)
			pfree(quoted_schema);
		quoted_schema = kept;
		names_generation = taskapi_names_generation();
		epoch++;
	}
	pfree(schema);
	current = found;
	current.schema = quoted_schema;
	return &current;
}

static void
load_registry(void)
{
	static const Oid types[] = {REGCLASSOID, INT8OID};
	uint64		generation;
	Relation	rel;
	SysScanDesc scan;
	Snapshot	snapshot;
	HeapTuple	tuple;

	if (taskapi_table_cache_valid(&registry))
		return;
	generation = taskapi_relation_generation();
	registered = InvalidOid;
	rel = table_open(taskapi_relation_oid(registry.relname), AccessShareLock);
	for (int i = 0; i < lengthof(types); i++)
		if (rel->rd_rel->relkind != RELKIND_RELATION || i >= RelationGetDescr(rel)->natts ||
			TupleDescAttr(RelationGetDescr(rel), i)->attisdropped ||
			TupleDescAttr(RelationGetDescr(rel), i)->atttypid != types[i])
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("table \"%s.%s\" is not the one that the extension created", TASKAPI_SCHEMA, registry.relname)));
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Oid			relid = DatumGetObjectId(heap_getattr(tuple, 1, RelationGetDescr(rel), &isnull));

		if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)))
		{
			registered = relid;
			registered_partition_size = DatumGetInt64(heap_getattr(tuple, 2, RelationGetDescr(rel), &isnull));
		}
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
	taskapi_table_cache_filled(&registry, generation);
}

/*
 * false: the table was dropped, or has become something else.
 */
static bool
describe(TaskapiOutbox *outbox)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(registered));
	Form_pg_class form;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_class) GETSTRUCT(tuple);
	outbox->message = registered;
	outbox->owner = form->relowner;
	outbox->partition_size = registered_partition_size;
	outbox->message_seq = get_relname_relid("message_seq", form->relnamespace);
	outbox->fencing_token = get_relname_relid("fencing_token", form->relnamespace);
	ReleaseSysCache(tuple);
	if (registered_partition_size <= 0 || !OidIsValid(outbox->message_seq) || !OidIsValid(outbox->fencing_token))
		return false;
	require_sequence(outbox->message_seq);
	require_sequence(outbox->fencing_token);
	return true;
}

/*
 * A session would hand out numbers that it has cached long after larger ones, and every reader is beyond them by then.
 */
static void
require_sequence(Oid sequence)
{
	HeapTuple	tuple = SearchSysCache1(SEQRELID, ObjectIdGetDatum(sequence));
	bool		fits = false;

	if (HeapTupleIsValid(tuple))
	{
		Form_pg_sequence form = (Form_pg_sequence) GETSTRUCT(tuple);

		fits = form->seqincrement == 1 && form->seqcache == 1 && !form->seqcycle;
		ReleaseSysCache(tuple);
	}
	if (!fits)
	{
		const char *name = quote_qualified_identifier(get_namespace_name(get_rel_namespace(sequence)), get_rel_name(sequence));

		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s is not the sequence that create_outbox() created", name),
				 errdetail("Its increment must be 1, without a cache or a cycle."),
				 errhint("ALTER SEQUENCE %s INCREMENT 1 CACHE 1 NO CYCLE.", name)));
	}
}

TaskapiOutboxOwner
taskapi_outbox_as_owner(void)
{
	TaskapiOutboxOwner saved;

	saved.role = taskapi_become(current.owner, SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	saved.settings = NewGUCNestLevel();
	if (strcmp(namespace_search_path, OWNER_SEARCH_PATH) != 0)
		(void) set_config_option("search_path", OWNER_SEARCH_PATH, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	return saved;
}

void
taskapi_outbox_end_as_owner(TaskapiOutboxOwner saved)
{
	AtEOXact_GUC(false, saved.settings);
	taskapi_role_restore(saved.role);
}

static Oid
type_of(char letter)
{
	switch (letter)
	{
		case 'i':
			return INT4OID;
		case 'b':
			return INT8OID;
		case 't':
			return TEXTOID;
		case 'j':
			return JSONBOID;
		case 'z':
			return TIMESTAMPTZOID;
		case 'v':
			return INTERVALOID;
		case 'B':
			return INT8ARRAYOID;
		case 'T':
			return TEXTARRAYOID;
		case 'r':
			return REGCLASSOID;
		case 'n':
			return BOOLOID;
	}
	elog(ERROR, "unknown type of an argument: %c", letter);
	return InvalidOid;
}

static void
prepare(TaskapiOutboxStatement *statement)
{
	Oid			types[OUTBOX_MAX_VALUES];
	int			ntypes = strlen(statement->arguments);
	StringInfoData text;
	SPIPlanPtr	plan;

	for (int i = 0; i < ntypes; i++)
		types[i] = type_of(statement->arguments[i]);
	initStringInfo(&text);
	for (const char *p = statement->text; *p; p++)
	{
		if (*p == '@' && !statement->literal)
			appendStringInfoString(&text, current.schema);
		else
			appendStringInfoChar(&text, *p);
	}
	plan = SPI_prepare(text.data, ntypes, types);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare returned %s for %s", SPI_result_code_string(SPI_result), text.data);
	SPI_keepplan(plan);
	if (statement->plan && statement->running == 0)
		SPI_freeplan(statement->plan);
	statement->plan = plan;
	statement->epoch = epoch;
}

bool
taskapi_outbox_is_prepared(const TaskapiOutboxStatement *statement)
{
	return statement->plan != NULL && statement->epoch == epoch;
}

uint64
taskapi_outbox_run(TaskapiOutboxStatement *statement, Datum *values, const char *nulls)
{
	TaskapiOutboxOwner saved = taskapi_outbox_as_owner();
	volatile int result = 0;

	if (!taskapi_outbox_is_prepared(statement))
		prepare(statement);
	statement->running++;
	PG_TRY();
	{
		result = SPI_execute_plan(statement->plan, values, nulls, false, 0);
	}
	PG_FINALLY();
	{
		statement->running--;
	}
	PG_END_TRY();
	taskapi_outbox_end_as_owner(saved);
	if (result < 0)
		elog(ERROR, "SPI_execute_plan returned %s", SPI_result_code_string(result));
	require_result(statement);
	return SPI_processed;
}

void
taskapi_outbox_write(TaskapiOutboxStatement *statement, Datum *values, const char *nulls, uint64 rows)
{
	if (taskapi_outbox_run(statement, values, nulls) != rows)
		taskapi_outbox_not_written();
}

void
taskapi_outbox_not_written(void)
{
	/* A plan of which a rule has made nothing depends on no table: the server would not make it again when the rule is gone. */
	epoch++;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("a trigger or rule keeps rows from being written to the outbox")));
}

static void
require_result(const TaskapiOutboxStatement *statement)
{
	for (int i = 0; statement->result[i]; i++)
	{
		TupleDesc	desc = SPI_tuptable ? SPI_tuptable->tupdesc : NULL;

		if (desc == NULL || i >= desc->natts || TupleDescAttr(desc, i)->atttypid != type_of(statement->result[i]))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("columns of a table of the outbox are not those that create_outbox() created")));
	}
}

Datum
taskapi_outbox_value(uint64 row, int column, bool *isnull)
{
	if (row >= SPI_processed)
		taskapi_outbox_not_written();
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column + 1, isnull);
}

int64
taskapi_outbox_int64(uint64 row, int column)
{
	bool		isnull;
	Datum		value = taskapi_outbox_value(row, column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

void
taskapi_outbox_command(const char *command)
{
	TaskapiOutboxOwner saved = taskapi_outbox_as_owner();
	int			result = SPI_execute(command, false, 0);

	taskapi_outbox_end_as_owner(saved);
	if (result < 0)
		elog(ERROR, "SPI_execute returned %s for %s", SPI_result_code_string(result), command);
}

int64
taskapi_outbox_last_number(const TaskapiOutbox *outbox)
{
	TaskapiRole saved = taskapi_become(outbox->owner, SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	LOCAL_FCINFO(fcinfo, 1);
	Datum		last;

	InitFunctionCallInfoData(*fcinfo, NULL, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = ObjectIdGetDatum(outbox->message_seq);
	fcinfo->args[0].isnull = false;
	last = pg_sequence_last_value(fcinfo);
	taskapi_role_restore(saved);
	return fcinfo->isnull ? 0 : DatumGetInt64(last);
}

int64
taskapi_outbox_next_number(const TaskapiOutbox *outbox)
{
	TaskapiRole saved = taskapi_become(outbox->owner, SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	int64		next = DatumGetInt64(DirectFunctionCall1(nextval_oid, ObjectIdGetDatum(outbox->message_seq)));

	taskapi_role_restore(saved);
	return next;
}

void
taskapi_outbox_no_group(const char *group)
{
	taskapi_problem(PROBLEM_NOT_FOUND, NIL, "Call taskapi.create_consumer_group() first.",
					"There is no consumer group \"%s\".", group);
}
