/*-------------------------------------------------------------------------
 *
 * resource_table_plan.h
 *	  The statements of soft deletion, restore and purge, and the rows that they
 *	  return.
 *
 * They run with the rights of the owner of the table that they are about.  Every
 * function here needs SPI connected, frees the result of its statement, and
 * leaves what it returns in the current memory context.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_TABLE_PLAN_H
#define TASKAPI_RESOURCE_TABLE_PLAN_H

#include "datatype/timestamp.h"
#include "storage/itemptr.h"
#include "utils/uuid.h"

#include "resource/resource_table.h"

/* A deletion: its id, and when. */
typedef struct TaskapiDeletion
{
	pg_uuid_t	id;
	TimestampTz at;
} TaskapiDeletion;

/*
 * A row of a table: where it is, and the values of TaskapiTable.columns.  A row that was deleted round the resource has
 * no deletion id.  One allocation, but for values that are passed by reference.
 */
typedef struct TaskapiRow
{
	TaskapiTable *table;
	Oid			tableoid;
	ItemPointerData tid;
	bool		live;
	bool		in_deletion;	/* deletion.id is set */
	bool		below;			/* for the purge: goes when another row does */
	TaskapiDeletion deletion;
	bool	   *nulls;
	Datum		values[FLEXIBLE_ARRAY_MEMBER];
} TaskapiRow;

/* The row of a key, locked FOR UPDATE; NULL if there is none, or with "skip_locked" another transaction has locked it. */
extern TaskapiRow *taskapi_resource_lock_row(TaskapiTable *table, const Datum *key, bool skip_locked);

/* Run a plan of the row's own table on it, with a deletion if the plan takes one; was it there? */
extern bool taskapi_resource_run_row(const TaskapiRow *row, TaskapiTablePlan kind, const TaskapiDeletion *deletion);

/* The values that a foreign key has in a row; false if one is null, or the key is not about it, so that it is no reference. */
extern bool taskapi_resource_reference_of(const TaskapiRow *row, const TaskapiForeignKey *fk, Datum *values);

/*
 * Run a plan of a foreign key, with a row's values and with a deletion if it takes one.  _run() is the number of rows
 * found or locked, _rows() appends the rows that it returns to a list.
 */
extern int64 taskapi_resource_run_key(const TaskapiRow *row, TaskapiForeignKey *fk, TaskapiForeignKeyPlan kind,
									  const Datum *values);
extern List *taskapi_resource_key_rows(List *rows, const TaskapiRow *row, TaskapiForeignKey *fk,
									   TaskapiForeignKeyPlan kind, const Datum *values,
									   const TaskapiDeletion *deletion);

/* What the row is that a foreign key refers to, locked FOR KEY SHARE; false if there is none. */
typedef struct TaskapiParent
{
	bool		live;
	bool		in_deletion;
	TaskapiDeletion deletion;
} TaskapiParent;

extern bool taskapi_resource_parent(TaskapiTable *table, TaskapiForeignKey *fk, const Datum *values,
									TaskapiParent *parent);

/* The plan of old rows, for a cursor; its result begins with these columns, and the key follows. */
extern SPIPlanPtr taskapi_resource_old_rows_plan(TaskapiTable *table);
extern void taskapi_resource_require_old_rows(const TaskapiTable *table);

#endif							/* TASKAPI_RESOURCE_TABLE_PLAN_H */
