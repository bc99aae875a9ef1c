/*-------------------------------------------------------------------------
 *
 * resource_purge_many.h
 *	  A purge of many rows that nothing refers to, in three statements.
 *
 * Of a statement's batch (resource_ahead.h) those rows go together that would go
 * each by itself: the caller may delete them, they are deleted ones still when they
 * are locked, and nothing refers to them.  One statement asks and locks, with the
 * table's DELETE policies; one for each foreign key looks what refers to them; one
 * deletes.  All others of the batch are left to resource_purge.h, row by row.
 *
 * What the table's own triggers could tell apart is left out: no batch is made of a
 * table with a BEFORE DELETE trigger, which may keep rows, or with a trigger for
 * statements, which would see one instead of many, or with rules or partitions.
 * AFTER triggers see the rows of a batch gone together, as those of a statement on
 * the table do.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_PURGE_MANY_H
#define TASKAPI_RESOURCE_PURGE_MANY_H

#include "resource/resource_statement.h"

/* Purge what can go with its batch, and so maybe the row that is being written; did that go?  SPI is connected. */
extern bool taskapi_purge_many(const TaskapiWrite *write);

#endif							/* TASKAPI_RESOURCE_PURGE_MANY_H */
