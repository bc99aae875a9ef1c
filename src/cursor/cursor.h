/*-------------------------------------------------------------------------
 *
 * cursor.h
 *	  Opening a cursor, as the other modules do it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_CURSOR_H
#define TASKAPI_CURSOR_H

#include "nodes/nodes.h"

#include "cursor/cursor_shape.h"

/*
 * From token to cursor.  Opening throws invalid_cursor and cursor_expired, or saves them in
 * "escontext" where that is not NULL and then returns NULL.
 */
extern struct varlena *taskapi_cursor_open(const char *token, int len, Node *escontext);

/* From cursor (detoasted) to token. */
extern text *taskapi_cursor_seal(TaskapiCursorShapeCache *cache, const struct varlena *cursor);

#endif							/* TASKAPI_CURSOR_H */
