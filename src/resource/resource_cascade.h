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
 * Mark a row, locked already, and all that goes along with it as deleted.  Live rows that still refer to it when the
 * statement ends, which may delete them too, are has_dependents.
 */
extern void taskapi_cascade_delete(TaskapiResourceStatement *statement, TaskapiRow *row);

/* The statement ends: has_dependents if a row that it deleted is still referred to; parent_deleted, see below. */
extern void taskapi_cascade_end_statement(TaskapiResourceStatement *statement);

/*
 * Undo it.  What belongs to another deletion by now is handed over to that.  If something restored still refers to a
 * deleted row when the statement ends, that is parent_deleted.
 */
extern void taskapi_cascade_restore(TaskapiResourceStatement *statement, TaskapiRow *row);

/* Does the reference have to hold between live rows? */
extern bool taskapi_cascade_is_strict(const TaskapiForeignKey *fk);

/* Do rows at the other end go along, or take along, softly? */
extern bool taskapi_cascade_goes_along(const TaskapiForeignKey *fk);

#endif							/* TASKAPI_RESOURCE_CASCADE_H */
