/*-------------------------------------------------------------------------
 *
 * resource_source.h
 *	  The triggers of a table that is exposed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_SOURCE_H
#define TASKAPI_RESOURCE_SOURCE_H

#include "resource/resource_table.h"

/*
 * While it is set, rows come alive that a restore asks about their parents itself, when all of them are back.
 */
extern bool taskapi_restoring;

#endif							/* TASKAPI_RESOURCE_SOURCE_H */
