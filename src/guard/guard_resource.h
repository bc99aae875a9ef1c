/*-------------------------------------------------------------------------
 *
 * guard_resource.h
 *	  What the guard says of names that clients use: of resources and their
 *	  columns.
 *
 * It does not depend on sizes.  expose() and unexpose() turn the guard off for
 * themselves.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_GUARD_RESOURCE_H
#define TASKAPI_GUARD_RESOURCE_H

#include "nodes/parsenodes.h"

extern void taskapi_guard_rename(RenameStmt *statement);
extern void taskapi_guard_move(AlterObjectSchemaStmt *statement);
extern void taskapi_guard_drop_column(Oid relid, const char *column);

/* relid may be InvalidOid. */
extern void taskapi_guard_drop_view(Oid relid);
extern void taskapi_guard_drop_table(Oid relid);

extern void taskapi_guard_drop_schema(const char *schema);

#endif							/* TASKAPI_GUARD_RESOURCE_H */
