/*-------------------------------------------------------------------------
 *
 * resource_meta.h
 *	  What is kept per relation for resource writes: shapes, keys, foreign keys
 *	  and prepared plans.
 *
 * TaskapiView describes a resource's view, TaskapiTable a table and the foreign
 * keys around it.  Both are built on first use and thrown away by relcache
 * invalidation of any relation they were built from.  A pointer to one stays
 * valid until the end of the transaction, though what it says may be outdated
 * by then: look it up anew in every trigger call.
 *
 * Statements name the table as written at the time of building, and everything
 * else with its schema, so no search_path leads them astray.  The plans of a
 * view run as the caller, those of a table as the table's owner: see
 * taskapi_run_as_owner().
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_META_H
#define TASKAPI_RESOURCE_META_H

#include "access/attnum.h"
#include "executor/spi.h"

#include "resource/resource.h"

/* What TaskapiView and TaskapiTable begin with. */
typedef struct TaskapiCacheEntry
{
	Oid			relid;
	MemoryContext context;		/* holds the entry and all that belongs to it, but for plans */
	bool		valid;
	uint64		outdated_in;	/* in which transaction it was found to be invalid */
	List	   *depends;		/* OIDs of the relations it was built from */
	List	   *plans;			/* of SPIPlanPtr */
} TaskapiCacheEntry;

typedef enum TaskapiViewPlanKind
{
	VIEW_PLAN_INSERT,
	VIEW_PLAN_INSERT_ONLY,		/* for callers who may not read the row */
	VIEW_PLAN_UPDATE_VERSION,	/* where the version is the one given */
	VIEW_PLAN_UPDATE_IMAGE,		/* where the columns to change are as given */
	VIEW_PLAN_DELETE,
	VIEW_PLAN_DELETE_VERSION,
	VIEW_PLAN_SELECT,			/* the row as the view shows it, whether deleted or not */
	VIEW_PLAN_PROBE,			/* is it live, and its version */
	VIEW_PLAN_LOCK,				/* may the caller change it? */
	VIEW_PLAN_LOCK_IMAGE
} TaskapiViewPlanKind;

typedef struct TaskapiViewColumn
{
	AttrNumber	source_attno;	/* 0: computed */
	char	   *name;			/* in the table, quoted */
	Oid			type;
	int16		typlen;
	bool		typbyval;
	bool		written;		/* may be written by the client */
	bool		by_server;		/* identity or generated: written only where a value is given */
} TaskapiViewColumn;

/* How a column's values become bytes and text, and text becomes values. */
typedef struct TaskapiColumnIO
{
	Oid			basetype;		/* of a domain; else the type itself */
	bool		scalar;			/* neither an array, a row nor JSON */
	bool		binary;			/* the type has a binary form, */
	FmgrInfo	send;			/* which this makes, or else the text */
	FmgrInfo	input;
	Oid			ioparam;
} TaskapiColumnIO;

typedef struct TaskapiViewKey
{
	int			column;			/* index into columns */
	Oid			eq_operator;
} TaskapiViewKey;

typedef struct TaskapiViewPlan
{
	TaskapiViewPlanKind kind;
	Bitmapset  *columns;
	SPIPlanPtr	plan;
} TaskapiViewPlan;

typedef struct TaskapiView
{
	TaskapiCacheEntry entry;
	TaskapiRegistration registration;
	bool		deleted_rows;
	int			ncolumns;
	TaskapiViewColumn *columns;
	int			nkeys;
	TaskapiViewKey *keys;
	int			version;		/* index of the column version, or -1 */
	int			deleted_at;		/* index of the column deleted_at, or -1 */
	Bitmapset  *insert_always;	/* written and not by_server */
	Bitmapset  *by_server;
	char	   *source_name;	/* quoted, with its schema */
	char	   *returning;		/* the view's row in terms of the table, as t */
	List	   *view_plans;		/* of TaskapiViewPlan */
	TaskapiColumnIO *io;		/* NULL until it is asked for */
} TaskapiView;

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

/* An error where the view is no resource. */
extern TaskapiView *taskapi_view(Oid view);

/* May the caller read all that the view shows of a row? */
extern bool taskapi_may_read(TaskapiView *view);
extern TaskapiTable *taskapi_table(Oid table);

extern SPIPlanPtr taskapi_foreign_key_plan(TaskapiTable *table, TaskapiForeignKey *fk, TaskapiForeignKeyPlan kind);
extern SPIPlanPtr taskapi_table_plan(TaskapiTable *table, TaskapiTablePlan kind);

/* One for each column. */
extern TaskapiColumnIO *taskapi_view_io(TaskapiView *view);

/* The plan of a kind for a set of columns (indexes), made where it is missing; see view_plan_text() for parameters. */
extern SPIPlanPtr taskapi_view_plan(TaskapiView *view, TaskapiViewPlanKind kind, const Bitmapset *columns);

/* Prepare and keep a plan as a role; it belongs to the entry. */
extern SPIPlanPtr taskapi_prepare_as(TaskapiCacheEntry *entry, Oid role, const char *query, int nargs, Oid *argtypes);

/*
 * Run a plan with a role's rights and, as referential integrity does, no row-level security and in every isolation
 * level with the newest state in view: a row that this transaction's snapshot does not show is a serialization failure
 * where it would be changed.
 */
extern int	taskapi_run_as_owner(Oid owner, SPIPlanPtr plan, Datum *values, const char *nulls, long limit);

/* ---------- the cache itself: resource_cache.c ---------- */

typedef enum TaskapiCacheKind
{
	CACHE_VIEW,
	CACHE_TABLE
} TaskapiCacheKind;

/* A valid entry, or NULL. */
extern TaskapiCacheEntry *taskapi_resource_cache_get(TaskapiCacheKind kind, Oid relid);

/*
 * Take over an entry.  "generation" is taskapi_resource_cache_generation() from before it was built: what was
 * invalidated meanwhile is not found again.
 */
extern void taskapi_resource_cache_put(TaskapiCacheKind kind, TaskapiCacheEntry *entry, uint64 generation);
extern uint64 taskapi_resource_cache_generation(void);

/* All entries are invalid: the registry has changed. */
extern void taskapi_resource_cache_reset(void);

extern void taskapi_resource_cache_init(void);

#endif							/* TASKAPI_RESOURCE_META_H */
