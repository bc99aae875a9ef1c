/*-------------------------------------------------------------------------
 *
 * resource_stranger.h
 *	  Whose code a DELETE that is done with the owner's rights would run.
 *
 * Referential integrity deletes and changes the rows of other tables.  Their
 * AFTER triggers are queued into the outer statement and run as its user: that is
 * the owner of the table whose row is purged, not the owner of theirs.  So do those
 * of the tables that a rule of theirs writes to, those for INSERT of the partition
 * that a changed row moves to, and the check of a constraint of theirs that can be
 * deferred, with the expressions of its index.  To refer to a table takes the right
 * REFERENCES only, so a purge must not go where that would run the code of a role
 * that has not the owner's rights anyway.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_STRANGER_H
#define TASKAPI_RESOURCE_STRANGER_H

#include "resource/resource_table.h"

/*
 * What runs within a purge may make a trigger: a BEFORE trigger of a table that refers to the row, which runs as its own owner,
 * and then another statement queues it; or put its function into the place of one of ours that is queued.  So the tables are
 * kept, and asked again if any relation has changed: before the next row, when the purge ends, and whenever a query starts or a
 * command has been run while the purge is watched.  What is refused once is refused to its end, since the code that made the
 * trigger may catch that.
 */
typedef struct TaskapiStrangers
{
	Oid			fired_by;		/* whose rights AFTER triggers have */
	List	   *relids;			/* tables of which rows are deleted */
	uint64		generation;		/* taskapi_relation_generation() when it was asked last */
	bool		refused;		/* or being asked */
	bool		asking;			/* which may start statements */
	struct TaskapiStrangers *outer;
} TaskapiStrangers;

/*
 * Forbidden if a DELETE from the tables, as their owners, could run a trigger of such a role.  Asks it of one more table, or NULL,
 * and if anything has changed of all again.  All tables that the DELETE reaches are locked as it locks them, so no trigger of
 * another session comes until the transaction ends.
 */
extern void taskapi_strangers_refuse(TaskapiStrangers *strangers, const TaskapiTable *table);

/* Ask it of a table whose rows are deleted next, by statements whose AFTER triggers run as its owner. */
extern void taskapi_strangers_fire(TaskapiStrangers *strangers, const TaskapiTable *table);

/* Between them, the purge is watched.  The second has to come after an error, too. */
extern void taskapi_strangers_watch(TaskapiStrangers *strangers);
extern void taskapi_strangers_unwatch(TaskapiStrangers *strangers);

/* A query starts, whoever's. */
extern void taskapi_strangers_check(void);

extern void taskapi_strangers_init(void);

#endif							/* TASKAPI_RESOURCE_STRANGER_H */
