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

#endif							/* TASKAPI_RESOURCE_SOURCE_H */
