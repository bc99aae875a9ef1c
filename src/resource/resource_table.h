/*-------------------------------------------------------------------------
 *
 * resource_table.h
 *	  A table, its key and the foreign keys around it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_TABLE_H
#define TASKAPI_RESOURCE_TABLE_H

#include "access/attnum.h"

#include "resource/resource_cache.h"

/* The plans that belong to a foreign key, with the key's values as the first parameters. */
typedef enum TaskapiForeignKeyPlan
{
	FK_PLAN_LOCK_LIVE,			/* incoming: live rows that refer to the key */
	FK_PLAN_DELETE,				/* mark them; then deleted_at, deletion_id */
	FK_PLAN_HAS_LIVE,			/* is there one? */
	FK_PLAN_LOCK_DELETION,		/* rows of a deletion; then deletion_id */
	FK_PLAN_LOCK_ALL,			/* all rows that refer to the key */
	FK_PLAN_PARENT,				/* outgoing: is the row referred to live, and its deletion_id?  Locks it FOR KEY
								 * SHARE */
	FK_PLAN_COUNT
} TaskapiForeignKeyPlan;

/* The plans that belong to a table, with the primary key's values as the first parameters. */
typedef enum TaskapiTablePlan
{
	TABLE_PLAN_LOCK,
	TABLE_PLAN_LOCK_FREE,		/* unless somebody else has locked it */
	TABLE_PLAN_DELETE,			/* mark the row; then deleted_at, deletion_id */
	TABLE_PLAN_RESTORE,
	TABLE_PLAN_HAND_OVER,		/* to another deletion; then its deletion_id */
	TABLE_PLAN_PURGE,
	TABLE_PLAN_OLD,				/* rows deleted before $1; no key */
	TABLE_PLAN_COUNT
} TaskapiTablePlan;

/* A foreign key, seen from one of its two tables. */
typedef struct TaskapiForeignKey
{
	char	   *name;
	char		on_delete;		/* FKCONSTR_ACTION_... */
	Oid			other;			/* the table at the other end */
	Oid			other_owner;
	char	   *other_name;		/* quoted, with its schema */
	char	   *other_relname;	/* for messages */
	bool		other_soft;		/* exposed with soft_delete */
	int			nkeys;
	int		   *columns;		/* indexes into this table's columns */
	char	   *condition;		/* on the other table as o, by $1 ... of this one's values */
	SPIPlanPtr	plans[FK_PLAN_COUNT];
} TaskapiForeignKey;

/* Columns are those that some statement here needs: the key's, and what foreign keys are made of. */
typedef struct TaskapiTableColumn
{
	AttrNumber	attno;
	char	   *name;			/* quoted */
	Oid			type;
	int16		typlen;
	bool		typbyval;
} TaskapiTableColumn;

typedef struct TaskapiTable
{
	TaskapiCacheEntry entry;
	Oid			owner;
	char	   *name;			/* quoted, with its schema */
	bool		soft;			/* exposed with soft_delete */
	int			ncolumns;
	TaskapiTableColumn *columns;
	int			nkeys;			/* 0: no primary key */
	int		   *keys;			/* indexes into columns */
	char	   *key_condition;	/* on the table as t, by $1 ... of the key's values */
	List	   *incoming;		/* of TaskapiForeignKey: who refers to it */
	List	   *outgoing;		/* to whom it refers */
	SPIPlanPtr	plans[TABLE_PLAN_COUNT];
} TaskapiTable;

extern TaskapiTable *taskapi_table(Oid table);

extern SPIPlanPtr taskapi_foreign_key_plan(TaskapiTable *table, TaskapiForeignKey *fk, TaskapiForeignKeyPlan kind);
extern SPIPlanPtr taskapi_table_plan(TaskapiTable *table, TaskapiTablePlan kind);

#endif							/* TASKAPI_RESOURCE_TABLE_H */
