/*-------------------------------------------------------------------------
 *
 * resource_parent.h
 *	  The common case of a reference: to a live row, by the index of its key.
 *
 * Referential integrity has just found that row, so the statement of
 * resource_table_plan.h that asks whether it is live costs many times what there is
 * to do.  Here the row is looked up in the index and locked, without a plan and an
 * executor.  Whatever is out of the ordinary is left to that statement, so that
 * there is one answer to each question.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_PARENT_H
#define TASKAPI_RESOURCE_PARENT_H

#include "access/htup.h"

#include "resource/resource_table.h"

/*
 * Find out how the row that an outgoing key refers to can be looked up, if it can: "constraint" is the key's, "other" the
 * table referred to.  In the current memory context.
 */
extern void taskapi_resource_parent_prepare(const TaskapiTable *table, TaskapiForeignKey *fk, HeapTuple constraint,
											Relation other, const char *deleted_at);

/*
 * Is the row live that has these values as its key?  If it is, it is locked FOR KEY SHARE in its newest version.  False is
 * no answer: it may be deleted, or not be there, or have to be looked for in another way.
 */
extern bool taskapi_resource_parent_is_live(const TaskapiTable *table, const TaskapiForeignKey *fk, const Datum *values);

#endif							/* TASKAPI_RESOURCE_PARENT_H */
