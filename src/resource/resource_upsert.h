/*-------------------------------------------------------------------------
 *
 * resource_upsert.h
 *	  INSERT ... ON CONFLICT of one row of a resource.
 *
 * What it does is what the table's ON CONFLICT does: as the caller, with the
 * privileges, the policies and the checks of both INSERT and UPDATE.  A row that
 * is in the way counts as changed by PATCH does: If-Match, If-None-Match, the
 * version in the body and taskapi.require_if_match hold for it.  A deleted row in
 * the way is a problem that says so.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_UPSERT_H
#define TASKAPI_RESOURCE_UPSERT_H

#include "resource/resource_conflict.h"

/* As the caller, with SPI connected.  NULL if nothing was written: the row is left out of the answer. */
extern HeapTuple taskapi_resource_upsert(const TaskapiWrite *write, const TaskapiConflict *conflict);

/*
 * For a PUT: create the row, with a clause of TaskapiConflict.create.  NULL and "met" if there is one in the way, which is left as
 * it is; NULL and not "met" if a trigger vetoed it.
 */
extern HeapTuple taskapi_resource_insert_unless_there(const TaskapiWrite *write, const TaskapiConflict *clause, bool *met);

/* Raise already_exists if the row with this row's key is a deleted one that the caller sees. */
extern void taskapi_resource_refuse_deleted(const TaskapiWrite *write, HeapTuple row);

#endif							/* TASKAPI_RESOURCE_UPSERT_H */
