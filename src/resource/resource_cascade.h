/*-------------------------------------------------------------------------
 *
 * resource_cascade.h
 *	  Soft deletion and restore along the foreign keys.
 *
 * SPI is connected.  Memory does not grow with the number of rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_CASCADE_H
#define TASKAPI_RESOURCE_CASCADE_H

#include "resource/resource_statement.h"
#include "resource/resource_table_plan.h"

/*
 * Mark a row, locked already, and all that goes along with it as deleted.  Live rows that still refer to it are
 * has_dependents: at once, or through a key ON DELETE NO ACTION when the statement ends, since the statement may delete
 * them too.
 */
extern void taskapi_cascade_delete(TaskapiResourceStatement *statement, TaskapiRow *row);

/* The statement ends: has_dependents if a row that it deleted is still referred to. */
extern void taskapi_cascade_end_statement(TaskapiResourceStatement *statement);

/*
 * Undo it.  What belongs to another deletion by now is handed over to that; parent_deleted if something restored would
 * refer to a deleted row.
 */
extern void taskapi_cascade_restore(TaskapiRow *row);

/* Does the reference have to hold between live rows? */
extern bool taskapi_cascade_is_strict(const TaskapiForeignKey *fk);

/* Do rows at the other end go along, or take along, softly? */
extern bool taskapi_cascade_goes_along(const TaskapiForeignKey *fk);

#endif							/* TASKAPI_RESOURCE_CASCADE_H */
