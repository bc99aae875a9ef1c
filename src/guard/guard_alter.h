/*-------------------------------------------------------------------------
 *
 * guard_alter.h
 *	  What the guard says of ALTER TABLE.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_GUARD_ALTER_H
#define TASKAPI_GUARD_ALTER_H

#include "nodes/parsenodes.h"

extern void taskapi_guard_alter_table(AlterTableStmt *statement);

#endif							/* TASKAPI_GUARD_ALTER_H */
