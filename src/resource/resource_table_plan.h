/*-------------------------------------------------------------------------
 *
 * resource_table_plan.h
 *	  The statements of soft deletion, restore and purge.
 *
 * They run with the rights of the owner of the table that they are about.  Every
 * function here needs SPI connected, frees the result of its statement, and
 * leaves what it returns in the current memory context.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_TABLE_PLAN_H
#define TASKAPI_RESOURCE_TABLE_PLAN_H

#include "resource/resource_rows.h"

/* The row of a key, locked FOR UPDATE; NULL if there is none, or with "skip_locked" another transaction has locked it. */
extern TaskapiRow *taskapi_resource_lock_row(TaskapiTable *table, const Datum *key, bool skip_locked);

/* Where the row of a key is that the active snapshot shows; false if there is none. */
extern bool taskapi_resource_place(TaskapiTable *table, const Datum *key, Oid *tableoid, ItemPointer tid);

/* Run a plan of the row's own table on it, with a deletion if the plan takes one; was it there? */
extern bool taskapi_resource_run_row(const TaskapiRow *row, TaskapiTablePlan kind, const TaskapiDeletion *deletion);

/* Purge it as a part of a statement of several rows, see taskapi_resource_run_part(); was it there? */
extern bool taskapi_resource_purge_part(const TaskapiRow *row);

/* The values that a foreign key has in a row; false if one is null, or the key is not about it, so that it is no reference. */
extern bool taskapi_resource_reference_of(const TaskapiRow *row, const TaskapiForeignKey *fk, Datum *values);

/* The number of rows that a plan of a foreign key finds with a row's values: 0 or 1. */
extern int64 taskapi_resource_run_key(const TaskapiRow *row, TaskapiForeignKey *fk, TaskapiForeignKeyPlan kind,
									  const Datum *values);

/* Lock the live rows that refer to a row; how many are there? */
extern int64 taskapi_resource_lock_live(const TaskapiRow *row, TaskapiForeignKey *fk, const Datum *values);

/*
 * The number of rows that a plan of a foreign key returns, which are added to a queue; with a deletion if it takes one,
 * and then of those only that are in it when they have been marked.
 * Rows that are deleted are added only if their table has keys that refer to it: nobody asks again about the others.
 */
extern int64 taskapi_resource_key_rows(TaskapiRows *rows, const TaskapiRow *row, TaskapiForeignKey *fk,
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
extern SPIPlanPtr taskapi_resource_old_rows_plan(TaskapiTable *table, bool last_first);
extern void taskapi_resource_require_old_rows(const TaskapiTable *table);

#endif							/* TASKAPI_RESOURCE_TABLE_PLAN_H */
