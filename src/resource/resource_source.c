/*-------------------------------------------------------------------------
 *
 * resource_source.c
 *	  The triggers of a table that is a resource's source.  They count for
 *	  everybody who writes to the table, also round the resource.
 *
 * They find columns by name, so that they work on partitions too, whose columns
 * may stand elsewhere.  Their names sort last, so that they see what the table's
 * other BEFORE triggers have made of the row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/partition.h"
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
#include "resource/resource_source.h"

TaskapiDeleteRequest *taskapi_delete_request = NULL;

static int	find_column(TupleDesc desc, const char *name);
static bool is_requested_row(const TaskapiDeleteRequest *request, Relation rel, HeapTuple row);

static int
find_column(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped && strcmp(NameStr(att->attname), name) == 0)
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
	bool		changed = false;
	int			columns[2];
	Datum		values[2];
	bool		nulls[2];
	int			n = 0;

	trigdata = taskapi_require_trigger(fcinfo, TASKAPI_TRIGGER_BEFORE | TASKAPI_TRIGGER_ROW | TASKAPI_TRIGGER_UPDATE,
									   "resource_touch");
	desc = RelationGetDescr(trigdata->tg_relation);
	old = trigdata->tg_trigtuple;
	new = trigdata->tg_newtuple;
	version = find_column(desc, "version");
	updated_at = find_column(desc, "updated_at");
	for (int i = 1; i <= desc->natts && !changed; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i - 1);
		bool		old_null;
		bool		new_null;
		Datum		old_value;
		Datum		new_value;

		/* generated columns follow from the others, and are made later */
		if (att->attisdropped || att->attgenerated != '\0' || i == version || i == updated_at)
			continue;
		old_value = heap_getattr(old, i, desc, &old_null);
		new_value = heap_getattr(new, i, desc, &new_null);
		changed = (old_null != new_null) ||
			(!old_null && !datum_image_eq(old_value, new_value, att->attbyval, att->attlen));
	}

	if (version > 0)
	{
		Oid			type = TupleDescAttr(desc, version - 1)->atttypid;
		Datum		value = heap_getattr(old, version, desc, &nulls[n]);

		if (type == INT4OID || type == INT8OID)
		{
			int64		number = nulls[n] ? 0 : type == INT8OID ? DatumGetInt64(value) : DatumGetInt32(value);

			if (changed)
				number = number >= (type == INT8OID ? PG_INT64_MAX : PG_INT32_MAX) || number < 0 ? 1 : number + 1;
			columns[n] = version;
			nulls[n] = nulls[n] && !changed;
			values[n++] = type == INT8OID ? Int64GetDatum(number) : Int32GetDatum((int32) number);
		}
	}
	if (updated_at > 0 && TupleDescAttr(desc, updated_at - 1)->atttypid == TIMESTAMPTZOID)
	{
		columns[n] = updated_at;
		if (changed)
		{
			nulls[n] = false;
			values[n] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
		}
		else
			values[n] = heap_getattr(old, updated_at, desc, &nulls[n]);
		n++;
	}
	if (n > 0)
		new = heap_modify_tuple_by_cols(new, desc, n, columns, values, nulls);
	return PointerGetDatum(new);
}

static bool
is_requested_row(const TaskapiDeleteRequest *request, Relation rel, HeapTuple row)
{
	const TaskapiTable *table = request->meta;

	if (RelationGetRelid(rel) != table->entry.relid &&
		!(rel->rd_rel->relispartition &&
		  list_member_oid(get_partition_ancestors(RelationGetRelid(rel)), table->entry.relid)))
		return false;

	for (int i = 0; i < table->nkeys; i++)
	{
		const TaskapiTableColumn *column = &table->columns[table->keys[i]];
		AttrNumber	attno = column->attno;
		bool		isnull;
		Datum		value;

		if (RelationGetRelid(rel) != table->entry.relid)
			attno = find_column(RelationGetDescr(rel), get_attname(table->entry.relid, attno, false));
		value = heap_getattr(row, attno, RelationGetDescr(rel), &isnull);
		if (isnull || !datum_image_eq(value, request->key[i], column->typbyval, column->typlen))
			return false;
	}
	return true;
}

/*
 * resource_soft_delete() -> trigger: BEFORE DELETE, the last of them
 *
 * A DELETE stays one, except the one that a resource has announced.
 */
PG_FUNCTION_INFO_V1(taskapi_resource_soft_delete);
Datum
taskapi_resource_soft_delete(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata;

	trigdata = taskapi_require_trigger(fcinfo, TASKAPI_TRIGGER_BEFORE | TASKAPI_TRIGGER_ROW | TASKAPI_TRIGGER_DELETE,
									   "resource_soft_delete");
	if (taskapi_delete_request != NULL && !taskapi_delete_request->passed &&
		is_requested_row(taskapi_delete_request, trigdata->tg_relation, trigdata->tg_trigtuple))
	{
		taskapi_delete_request->passed = true;
		return PointerGetDatum(NULL);
	}
	return PointerGetDatum(trigdata->tg_trigtuple);
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
	TaskapiTable *table;
	TupleDesc	desc;
	HeapTuple	old = NULL;
	HeapTuple	new;
	int			deleted_at;
	bool		connected = false;
	ListCell   *lc;

	trigdata = taskapi_require_trigger(fcinfo, TASKAPI_TRIGGER_AFTER | TASKAPI_TRIGGER_ROW |
									   TASKAPI_TRIGGER_INSERT | TASKAPI_TRIGGER_UPDATE, "resource_reference");
	table = taskapi_table(RelationGetRelid(trigdata->tg_relation));
	if (table->outgoing == NIL)
		return PointerGetDatum(NULL);

	desc = RelationGetDescr(trigdata->tg_relation);
	if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
	{
		old = trigdata->tg_trigtuple;
		new = trigdata->tg_newtuple;
	}
	else
		new = trigdata->tg_trigtuple;
	deleted_at = find_column(desc, "deleted_at");
	if (deleted_at > 0 && !heap_attisnull(new, deleted_at, desc))
		return PointerGetDatum(NULL);

	foreach(lc, table->outgoing)
	{
		TaskapiForeignKey *fk = lfirst(lc);
		Datum		values[INDEX_MAX_KEYS];
		bool		changed = (old == NULL);
		bool		isnull = false;

		for (int i = 0; i < fk->nkeys && !isnull; i++)
		{
			TaskapiTableColumn *column = &table->columns[fk->columns[i]];

			values[i] = heap_getattr(new, column->attno, desc, &isnull);
			if (!changed && !isnull)
			{
				bool		old_null;
				Datum		value = heap_getattr(old, column->attno, desc, &old_null);

				changed = old_null || !datum_image_eq(value, values[i], column->typbyval, column->typlen);
			}
		}
		if (isnull || !changed)
			continue;

		if (!connected)
		{
			if (SPI_connect() != SPI_OK_CONNECT)
				elog(ERROR, "SPI_connect failed");
			connected = true;
		}
		taskapi_run_as_owner(fk->other_owner, taskapi_foreign_key_plan(table, fk, FK_PLAN_PARENT), values, NULL, 1);
		if (SPI_processed > 0 &&
			!DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull)))
			taskapi_problem(PROBLEM_INVALID_REFERENCE, NIL, NULL,
							"The row of %s that it refers to by \"%s\" is deleted.", fk->other_relname, fk->name);
	}
	if (connected)
		SPI_finish();
	return PointerGetDatum(NULL);
}
