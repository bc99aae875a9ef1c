/*-------------------------------------------------------------------------
 *
 * cursor_call.h
 *	  The functions and operators of cursors, as the planner meets them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_CURSOR_CALL_H
#define TASKAPI_CURSOR_CALL_H

#include "nodes/primnodes.h"

#include "cursor/cursor_shape.h"

/* Beside btree's strategies */
#define CURSOR_NOT_EQUAL 6

typedef struct TaskapiCursorObjects
{
	Oid			schema;
	Oid			type;
	Oid			constructor;	/* cursor(text, "any") */
	Oid			key;			/* cursor_key() */
	Oid			check;			/* cursor_check(), of a cursor and of an array of them */
	Oid			check_array;
	Oid			operators[CURSOR_NOT_EQUAL + 1];	/* by strategy */
	Oid			functions[CURSOR_NOT_EQUAL + 1];
} TaskapiCursorObjects;

/*
 * Found by their schema, never through search_path.  NULL if the extension is not created in this database; a member is InvalidOid
 * while it is being created.
 */
extern const TaskapiCursorObjects *taskapi_cursor_objects(void);

/* Its strategy, or 0 if it is no comparison of cursors. */
extern int	taskapi_cursor_strategy_of_operator(const TaskapiCursorObjects *objects, Oid opno);
extern int	taskapi_cursor_strategy_of_function(const TaskapiCursorObjects *objects, Oid funcid);

/* The node if it is taskapi.cursor('...', key, ...) with a constant order_by; else NULL. */
extern FuncExpr *taskapi_cursor_call(Node *node);

/* Its order_by; NULL if that cannot be parsed. */
extern TaskapiOrderBy *taskapi_cursor_call_order(const FuncExpr *call);

/*
 * Types and collations of the keys among the arguments of a call.  An untyped NULL stays unknown, any other untyped literal
 * is text, and a C string: "literal" says which, if it is not NULL.
 */
extern void taskapi_cursor_call_types(const List *args, Oid *types, Oid *collations, bool *literal);

/* The shape of what a call makes; NULL, and in *error why, if it makes nothing. */
extern TaskapiCursorShape *taskapi_cursor_call_shape(const FuncExpr *call, MemoryContext context, char **error);

#endif							/* TASKAPI_CURSOR_CALL_H */
