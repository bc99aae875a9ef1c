/*-------------------------------------------------------------------------
 *
 * own_objects.h
 *	  Finding the extension's own objects.
 *
 * The extension's schema is fixed, so its objects are found by name in that
 * schema and never through search_path.  Only the schema's OID is cached; it is
 * forgotten when any schema changes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_OWN_OBJECTS_H
#define TASKAPI_OWN_OBJECTS_H

#include "nodes/nodes.h"

#define TASKAPI_SCHEMA "taskapi"

/* OID of schema taskapi; an error if the extension is not created. */
extern Oid	taskapi_schema_oid(void);

/* OID of a relation or a type in schema taskapi; an error if it is missing. */
extern Oid	taskapi_relation_oid(const char *relname);
extern Oid	taskapi_relation_owner(const char *relname);
extern Oid	taskapi_type_oid(const char *typname);

/* OID of a function in schema taskapi, whoever may use the schema; an error if it is missing. */
extern Oid	taskapi_function_oid(const char *name, int nargs, const Oid *types);

/* Is it a call of a function of schema taskapi, maybe with a cast to the column's length around it? */
extern bool taskapi_is_own_call(const Node *node, const char *function);

#endif							/* TASKAPI_OWN_OBJECTS_H */
