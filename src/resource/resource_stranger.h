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
 * Forbidden if a DELETE from the table, as its owner, could run a trigger of such a role.  All tables that it reaches
 * are locked as it locks them, so no trigger comes until the transaction ends.
 */
extern void taskapi_resource_refuse_strangers(const TaskapiTable *table);

/* The same for a DELETE by its owner whose AFTER triggers run as another role, "fired_by". */
extern void taskapi_resource_refuse_strangers_to(const TaskapiTable *table, Oid fired_by);

#endif							/* TASKAPI_RESOURCE_STRANGER_H */
