/*-------------------------------------------------------------------------
 *
 * resource_table.h
 *	  A table, its key and the foreign keys around it, for soft deletion.
 *
 * A partitioned table is one table here: the foreign keys of its partitions, and
 * those that refer to a partition, are its own, for the rows that stand there.
 * So there is no TaskapiTable of a partition; taskapi_resource_table() gives the
 * one of the table at the root.
 *
 * Whoever owns the table may change it at any time.  What the code relies on, the
 * types of the two columns of deletion above all, is compared with the catalog
 * when an entry is built.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_TABLE_H
#define TASKAPI_RESOURCE_TABLE_H

#include "access/attnum.h"
#include "catalog/pg_type.h"
#include "utils/relcache.h"

#include "resource/resource_cache.h"

/* The plans that belong to a foreign key, with the key's values as the first parameters. */
typedef enum TaskapiForeignKeyPlan
{
	TASKAPI_FK_PLAN_LOCK_LIVE,	/* incoming: lock and count the live rows that refer to the key */
	TASKAPI_FK_PLAN_DELETE,		/* mark them; then deleted_at, deletion_id.  Returns rows */
	TASKAPI_FK_PLAN_HAS_LIVE,	/* is there one? */
	TASKAPI_FK_PLAN_HAS_ANY,	/* is there any row that refers to the key? */
	TASKAPI_FK_PLAN_LOCK_DELETION,	/* rows of a deletion; then deletion_id.  Returns rows */
	TASKAPI_FK_PLAN_LOCK_ALL,	/* all rows that refer to the key.  Returns rows */
	TASKAPI_FK_PLAN_PARENT,		/* outgoing: is the row referred to live, its deletion_id and deleted_at?  Locks it
								 * FOR KEY SHARE */
	TASKAPI_FK_PLAN_COUNT
} TaskapiForeignKeyPlan;

/* The plans that belong to a table, with the primary key's values as the first parameters. */
typedef enum TaskapiTablePlan
{
	TASKAPI_TABLE_PLAN_LOCK,	/* returns a row */
	TASKAPI_TABLE_PLAN_LOCK_FREE,	/* unless another transaction has locked it */
	TASKAPI_TABLE_PLAN_EXISTS,
	TASKAPI_TABLE_PLAN_PLACE,	/* where the row is that the active snapshot shows */
	TASKAPI_TABLE_PLAN_DELETE,	/* mark the row; then deleted_at, deletion_id */
	TASKAPI_TABLE_PLAN_RESTORE,
	TASKAPI_TABLE_PLAN_HAND_OVER,	/* to another deletion; then its deleted_at, deletion_id */
	TASKAPI_TABLE_PLAN_PURGE,
	TASKAPI_TABLE_PLAN_PURGE_AT,	/* the row if it is where it was; then ctid, tableoid */
	TASKAPI_TABLE_PLAN_OLD,		/* xmin, deletion_id and key of rows deleted before $1, oldest first */
	TASKAPI_TABLE_PLAN_OLD_LAST,	/* the same, newest first */
	TASKAPI_TABLE_PLAN_COUNT
} TaskapiTablePlan;

/* How the row is looked up that a foreign key refers to (resource_parent.h).  Keys are in the order of the foreign key. */
typedef struct TaskapiParentKey
{
	AttrNumber	attno;			/* in the table referred to */
	Oid			type;			/* of that column, as the index compares it */
	Oid			value_type;		/* what it is compared with */
	RegProcedure equal;
} TaskapiParentKey;

typedef struct TaskapiParentIndex
{
	Oid			index;
	AttrNumber	deleted_at;		/* in the table referred to */
	TaskapiParentKey keys[FLEXIBLE_ARRAY_MEMBER];
} TaskapiParentIndex;

/* A foreign key, seen from one of its two tables. */
typedef struct TaskapiForeignKey
{
	char	   *name;
	char		on_delete;		/* FKCONSTR_ACTION_... */
	char		on_update;
	Oid			other;			/* the table at the other end, or the root above it */
	Oid			other_owner;
	char	   *other_name;		/* quoted, with its schema */
	char	   *other_relname;	/* for messages */
	bool		other_soft;		/* exposed with soft_delete; then */
	char	   *other_deleted_at;	/* the column that says when a row was deleted, quoted */
	List	   *only_in;		/* OIDs of the partitions whose rows it is about; NIL: all rows */
	int			nkeys;
	int		   *columns;		/* indexes into this table's columns */
	char	   *condition;		/* on the other table as o, by $1 ... of this one's values */
	TaskapiParentIndex *parent; /* outgoing: how to look the other row up; NULL: by a statement */
	SPIPlanPtr	plans[TASKAPI_FK_PLAN_COUNT];
} TaskapiForeignKey;

/* Columns are those that some statement here needs: the key's, and what foreign keys are made of. */
typedef struct TaskapiTableColumn
{
	AttrNumber	attno;			/* in the table at the root */
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
	bool		soft;			/* exposed with soft_delete; then */
	char	   *deleted_at;		/* the column that says when a row was deleted, quoted */
	AttrNumber	deleted_at_attno;	/* in the table at the root */
	AttrNumber	deletion_id_attno;
	int			ncolumns;
	TaskapiTableColumn *columns;
	int			nkeys;			/* 0: no primary key that names one row */
	int		   *keys;			/* indexes into columns */
	char	   *key_condition;	/* on the table as t, by $1 ... of the key's values */
	List	   *incoming;		/* of TaskapiForeignKey: who refers to it */
	List	   *outgoing;		/* to which table with soft_delete it refers */
	Oid			departed;		/* the table of the rows that left it; InvalidOid if changes are not told */
	struct TaskapiDepartures *departures;	/* feed_stamp.c's, or NULL */
	bool		plain_delete;	/* a DELETE is of its rows, and runs nothing: no key refers to it, and no trigger fires */
	bool		touches[2];		/* does zz_taskapi_touch fire for each of its rows?  By session_replication_role: */
	bool		references[2];	/* [1] if it is replica, else [0].  The same for zz_taskapi_reference and */
	bool		publishes[2];	/* 00_taskapi_publish */
	SPIPlanPtr	plans[TASKAPI_TABLE_PLAN_COUNT];
} TaskapiTable;

/* The root above a partition; of any other table itself. */
extern Oid	taskapi_resource_root(Oid relid);

/*
 * The table, or the root above a partition.  An error if it is exposed with soft_delete and no longer fits that, or has
 * a foreign key that soft deletion cannot follow.
 */
extern TaskapiTable *taskapi_resource_table(Oid table);

/* The same for one that was looked up before in this statement, so that it is locked; the table that it is by now. */
extern TaskapiTable *taskapi_resource_table_again(TaskapiTable *table);

/*
 * An error if a trigger is missing or disabled without which a write of a row would be of harm: one that sets the
 * version, if the resource has versions; one that looks whether what the row refers to is live.
 */
extern void taskapi_resource_require_triggers(const TaskapiTable *table, bool versioned);

/*
 * What a source lacks that its resources need, as a sentence; NULL if nothing.  deleted_at is the name of the column that
 * says when a row was deleted, or NULL without soft deletion.
 */
extern const char *taskapi_resource_table_fault(Relation rel, const char *deleted_at, bool versioned);

/* A version is a smallint, an int or a bigint. */
static inline int64
taskapi_version_number(Datum version, Oid type)
{
	return type == INT8OID ? DatumGetInt64(version) : type == INT4OID ? DatumGetInt32(version) : DatumGetInt16(version);
}

/* Where one of the table's columns stands in a row type of it or of a partition; an error if it is not that column. */
extern AttrNumber taskapi_resource_table_attno(const TaskapiTable *table, int column, Relation rel);

#endif							/* TASKAPI_RESOURCE_TABLE_H */
