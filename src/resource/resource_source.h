/*-------------------------------------------------------------------------
 *
 * resource_source.h
 *	  The triggers of a table that is exposed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_SOURCE_H
#define TASKAPI_RESOURCE_SOURCE_H

#include "resource/resource_rows.h"

/*
 * The row that a restore is bringing back: the restore itself asks about its parents, when all rows are back.
 */
extern const TaskapiRow *taskapi_restoring;

/* A column of that name, from 1; 0 if there is none. */
extern int	taskapi_column_number(TupleDesc desc, const char *name);

extern bool taskapi_is_version_type(Oid type);

/* Does an UPDATE change anything else than these two columns?  0 is none. */
extern bool taskapi_row_changed(TupleDesc desc, HeapTuple old, HeapTuple new, int version, int updated_at);

#endif							/* TASKAPI_RESOURCE_SOURCE_H */
