/*-------------------------------------------------------------------------
 *
 * resource_source.c
 *	  The triggers of a table that is a resource's source.  They count for
 *	  everybody who writes to the table, also round the resource.
 *
 * They find columns by name, so that they work on partitions too, whose columns
 * may stand elsewhere.  Their names sort last, so that they see what the table's
 * other BEFORE triggers have made of the row; if one sorts after them, every
 * UPDATE counts as a change.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "base/trigger_check.h"
#include "http/problem.h"
#include "resource/resource_parent.h"
#include "resource/resource_registry.h"
#include "resource/resource_source.h"
#include "resource/resource_table_plan.h"

const TaskapiRow *taskapi_restoring = NULL;

static Datum next_version(Datum version, bool isnull, Oid type);
static bool is_time_type(Oid type);
static Datum transaction_time(Form_pg_attribute att);
static bool others_follow(const TriggerData *trigdata);
static bool is_being_restored(Relation rel, HeapTuple row);
static bool reference_changed(TaskapiTable *table, TaskapiForeignKey *fk, Relation rel, HeapTuple old, HeapTuple new,
							  Datum *values);

/*
 * SPI_fnumber() without its calls for each column: a cascade asks for every row.
 */
int
taskapi_column_number(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (NameStr(att->attname)[0] == name[0] && strcmp(NameStr(att->attname), name) == 0 && !att->attisdropped)
			return i + 1;
	}
	return 0;
}

/*
 * resource_touch() -> trigger: BEFORE UPDATE of a versioned table
 *
 * Sets version and updated_at, whatever the statement says about them.  Where
 * nothing else changes they stay.
 */
PG_FUNCTION_INFO_V1(taskapi_resource_touch);
Datum
taskapi_resource_touch(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata;
	TupleDesc	desc;
	HeapTuple	old;
	HeapTuple	new;
	int			version;
	int			updated_at;
	bool		changed;
	int			columns[2];
	Datum		values[2];
	bool		nulls[2];
	int			n = 0;

	trigdata = taskapi_require_trigger(fcinfo, TASKAPI_TRIGGER_BEFORE | TASKAPI_TRIGGER_ROW | TASKAPI_TRIGGER_UPDATE,
									   "resource_touch");
	desc = RelationGetDescr(trigdata->tg_relation);
	old = trigdata->tg_trigtuple;
	new = trigdata->tg_newtuple;
	version = taskapi_column_number(desc, "version");
	updated_at = taskapi_column_number(desc, "updated_at");
	changed = others_follow(trigdata) || taskapi_row_changed(desc, old, new, version, updated_at);

	if (version > 0 && taskapi_is_version_type(TupleDescAttr(desc, version - 1)->atttypid))
	{
		Datum		value = heap_getattr(old, version, desc, &nulls[n]);

		columns[n] = version;
		values[n] = changed ? next_version(value, nulls[n], TupleDescAttr(desc, version - 1)->atttypid) : value;
		nulls[n] = nulls[n] && !changed;
		n++;
	}
	if (updated_at > 0 && is_time_type(TupleDescAttr(desc, updated_at - 1)->atttypid))
	{
		columns[n] = updated_at;
		values[n] = heap_getattr(old, updated_at, desc, &nulls[n]);
		if (changed)
		{
			nulls[n] = false;
			values[n] = transaction_time(TupleDescAttr(desc, updated_at - 1));
		}
		n++;
	}
	if (n > 0)
		new = heap_modify_tuple_by_cols(new, desc, n, columns, values, nulls);
	return PointerGetDatum(new);
}

bool
taskapi_is_version_type(Oid type)
{
	return type == INT4OID || type == INT8OID || type == INT2OID;
}

/* After the last number that the type holds comes 1 again. */
static Datum
next_version(Datum version, bool isnull, Oid type)
{
	int64		last = type == INT8OID ? PG_INT64_MAX : type == INT4OID ? PG_INT32_MAX : PG_INT16_MAX;
	int64		number = isnull ? 0 : taskapi_version_number(version, type);

	number = number >= last || number < 0 ? 1 : number + 1;
	return type == INT8OID ? Int64GetDatum(number) : type == INT4OID ? Int32GetDatum((int32) number) :
		Int16GetDatum((int16) number);
}

static bool
is_time_type(Oid type)
{
	return type == TIMESTAMPTZOID || type == TIMESTAMPOID;
}

/* In a column without time zone it is the time of UTC, which has the same bits.  Its precision is the column's. */
static Datum
transaction_time(Form_pg_attribute att)
{
	Datum		now = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());

	return DirectFunctionCall2(att->atttypid == TIMESTAMPOID ? timestamp_scale : timestamptz_scale, now,
							   Int32GetDatum(att->atttypmod));
}

/*
 * Will another trigger see the row after this one, and maybe change it?
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
				 TRIGGER_TYPE_MATCHES(trigger->tgtype, TRIGGER_TYPE_ROW, TRIGGER_TYPE_BEFORE, TRIGGER_TYPE_UPDATE))
			return true;
	}
	return false;
}

/*
 * Does an UPDATE change anything else than version, updated_at and the stamp for the change feed?
 */
bool
taskapi_row_changed(TupleDesc desc, HeapTuple old, HeapTuple new, int version, int updated_at)
{
	for (int i = 1; i <= desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i - 1);
		bool		old_null;
		bool		new_null;
		Datum		old_value;
		Datum		new_value;

		/* the stamp of change_stamp(), which comes before */
		if (att->atttypid == XID8OID && strcmp(NameStr(att->attname), "changed") == 0)
			continue;
		/* generated columns follow from the others, and are made later */
		if (att->attisdropped || att->attgenerated != '\0' || i == version || i == updated_at)
			continue;
		old_value = heap_getattr(old, i, desc, &old_null);
		new_value = heap_getattr(new, i, desc, &new_null);
		if (old_null != new_null ||
			(!old_null && !datum_image_eq(old_value, new_value, att->attbyval, att->attlen)))
			return true;
	}
	return false;
}

/*
 * resource_reference() -> trigger: AFTER INSERT OR UPDATE
 *
 * A live row must not begin to refer to a deleted one: invalid_reference.  The
 * row referred to is locked FOR KEY SHARE first, see resource_cascade.c.
 */
PG_FUNCTION_INFO_V1(taskapi_resource_reference);
Datum
taskapi_resource_reference(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata;
	Relation	rel;
	TaskapiTable *table;
	HeapTuple	old = NULL;
	HeapTuple	new;
	const TaskapiRegistration *registration;
	bool		connected = false;
	ListCell   *lc;

	trigdata = taskapi_require_trigger(fcinfo, TASKAPI_TRIGGER_AFTER | TASKAPI_TRIGGER_ROW |
									   TASKAPI_TRIGGER_INSERT | TASKAPI_TRIGGER_UPDATE, "resource_reference");
	rel = trigdata->tg_relation;
	new = trigdata->tg_trigtuple;
	if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
	{
		old = trigdata->tg_trigtuple;
		new = trigdata->tg_newtuple;
	}
	registration = taskapi_resource_of_table(taskapi_resource_root(RelationGetRelid(rel)), true);
	if (registration != NULL)
	{
		int			deleted_at = taskapi_column_number(RelationGetDescr(rel), NameStr(registration->deleted_at_column));

		if (deleted_at > 0 && !heap_attisnull(new, deleted_at, RelationGetDescr(rel)))
			return PointerGetDatum(NULL);
		/* a row that comes alive round the resource begins to refer to everything that it refers to */
		if (deleted_at > 0 && old != NULL && !is_being_restored(rel, old) &&
			!heap_attisnull(old, deleted_at, RelationGetDescr(rel)))
			old = NULL;
	}

	table = taskapi_resource_table(RelationGetRelid(rel));
	foreach(lc, table->outgoing)
	{
		TaskapiForeignKey *fk = lfirst(lc);
		Datum		values[INDEX_MAX_KEYS];
		TaskapiParent parent;

		if (!reference_changed(table, fk, rel, old, new, values) || taskapi_resource_parent_is_live(table, fk, values))
			continue;
		if (!connected)
		{
			if (SPI_connect() != SPI_OK_CONNECT)
				elog(ERROR, "SPI_connect failed");
			connected = true;
		}
		if (taskapi_resource_parent(table, fk, values, &parent) && !parent.live)
			taskapi_problem(PROBLEM_INVALID_REFERENCE, NIL, NULL,
							"The row of %s that it refers to by \"%s\" is deleted.", fk->other_relname, fk->name);
	}
	if (connected)
		SPI_finish();
	return PointerGetDatum(NULL);
}

static bool
is_being_restored(Relation rel, HeapTuple row)
{
	return taskapi_restoring != NULL && RelationGetRelid(rel) == taskapi_restoring->tableoid &&
		ItemPointerEquals(&row->t_self, (ItemPointer) &taskapi_restoring->tid);
}

/*
 * Does the new row refer by that key to something else than the old one did?  The key's values go into "values".
 */
static bool
reference_changed(TaskapiTable *table, TaskapiForeignKey *fk, Relation rel, HeapTuple old, HeapTuple new, Datum *values)
{
	TupleDesc	desc = RelationGetDescr(rel);
	bool		changed = (old == NULL);

	if (fk->only_in != NIL && !list_member_oid(fk->only_in, RelationGetRelid(rel)))
		return false;
	for (int i = 0; i < fk->nkeys; i++)
	{
		TaskapiTableColumn *column = &table->columns[fk->columns[i]];
		AttrNumber	attno = taskapi_resource_table_attno(table, fk->columns[i], rel);
		bool		isnull;

		values[i] = heap_getattr(new, attno, desc, &isnull);
		if (isnull)
			return false;
		if (!changed)
		{
			Datum		value = heap_getattr(old, attno, desc, &isnull);

			changed = isnull || !datum_image_eq(value, values[i], column->typbyval, column->typlen);
		}
	}
	return changed;
}
