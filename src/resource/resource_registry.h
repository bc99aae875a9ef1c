/*-------------------------------------------------------------------------
 *
 * resource_registry.h
 *	  The registry of resources, table taskapi.resource, cached.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_REGISTRY_H
#define TASKAPI_RESOURCE_REGISTRY_H

#include "nodes/pg_list.h"

/* A row of taskapi.resource.  All resources made of a table have the same deleted_at_column. */
typedef struct TaskapiRegistration
{
	Oid			resource;		/* the view of the live rows */
	Oid			source;			/* the table */
	Oid			deleted;		/* the view of the deleted rows, or InvalidOid */
	bool		soft_delete;
	bool		versioned;
	bool		idempotent;
	NameData	deleted_at_column;	/* of the table: when a row was deleted */
	bool		changes;		/* clients can ask what changed since */
	char	   *scope;			/* what a reader may see of it, as an expression; NULL: all that policies let */
	char	   *publish;		/* the topic under which writes are published; NULL: they are not */
	Oid			departures;		/* the table of the rows that left the table; InvalidOid without changes */
} TaskapiRegistration;

/*
 * Bring the registry, and all that is cached with it, up to date.  An entry whose view or table is gone counts for
 * nothing, whether or not anybody has deleted it yet.  False if this database has no registry.
 */
extern bool taskapi_registry_load(void);

/*
 * The registration of a view, of either kind, or of a table that is the source of one; NULL if there is none.  For a
 * table that is exposed more than once, the first; "soft" looks for one with soft_delete.  Valid until the next call
 * that may process invalidations: copy it, and its strings too.
 */
extern const TaskapiRegistration *taskapi_resource_find(Oid view);
extern const TaskapiRegistration *taskapi_resource_of_table(Oid table, bool soft);
/* The same: a resource made of the table whose changes clients can ask for. */
extern const TaskapiRegistration *taskapi_resource_with_changes(Oid table);

/* All of them, TaskapiRegistration; valid as long as one of them. */
extern const List *taskapi_registrations(void);

/* Subscribes to changes of relations; for _PG_init. */
extern void taskapi_registry_init(void);

#endif							/* TASKAPI_RESOURCE_REGISTRY_H */
