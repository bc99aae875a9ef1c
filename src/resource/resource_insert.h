/*-------------------------------------------------------------------------
 *
 * resource_insert.h
 *	  INSERT of one row of a resource.
 *
 * The INSERT on the table names the columns that the client gave, and no others:
 * privileges on columns work as on the table, and what was left out gets the
 * table's default, identity or generated value as they are at that moment.
 *
 * It always returns the row as the view shows it, since an answer needs its
 * version and the ledger all of it.  But only for columns that the client's
 * statement returns does it ask for the right to read, which brings the SELECT
 * policies with it, as on the table.  Without such a column the row must be
 * shown to nobody: it may be one that its creator cannot see.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_INSERT_H
#define TASKAPI_RESOURCE_INSERT_H

#include "resource/resource_conflict.h"

/* As the caller, with SPI connected.  NULL if a trigger of the table vetoed it. */
extern HeapTuple taskapi_resource_insert(const TaskapiWrite *write);

/* The same with a clause ON CONFLICT: NULL also if that kept the row from being written. */
extern HeapTuple taskapi_resource_insert_on_conflict(const TaskapiWrite *write, const TaskapiConflict *conflict);

#endif							/* TASKAPI_RESOURCE_INSERT_H */
