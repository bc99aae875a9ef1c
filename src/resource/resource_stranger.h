/*-------------------------------------------------------------------------
 *
 * resource_stranger.h
 *	  Whose code a DELETE that is done with the owner's rights would run.
 *
 * Referential integrity deletes and changes the rows of other tables.  Their
 * AFTER triggers are queued into the outer statement and run as its user: that is
 * the owner of the table whose row is purged, not the owner of theirs.  To refer
 * to a table takes the right REFERENCES only, so a purge must not go where that
 * would run the code of a role that has not the owner's rights anyway.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_STRANGER_H
#define TASKAPI_RESOURCE_STRANGER_H

#include "resource/resource_table.h"

/*
 * What runs within a purge may make a trigger: a BEFORE trigger of a table that refers to the row, which runs as its own owner,
 * and then another statement queues it.  So the tables are kept, and asked again if any relation has changed: before the next
 * row, and whenever a statement starts while the purge is watched.
 */
typedef struct TaskapiStrangers
{
	Oid			fired_by;		/* whose rights AFTER triggers have */
	List	   *relids;			/* tables of which rows are deleted */
	uint64		generation;		/* taskapi_relation_generation() when it was asked last; 0 if it was refused */
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

/* A statement starts, whoever's. */
extern void taskapi_strangers_check(void);

#endif							/* TASKAPI_RESOURCE_STRANGER_H */
