/*-------------------------------------------------------------------------
 *
 * cursor_wire.h
 *	  The wire form of a cursor: what its token carries.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_CURSOR_WIRE_H
#define TASKAPI_CURSOR_WIRE_H

#include "lib/stringinfo.h"
#include "nodes/nodes.h"

#include "cursor/cursor_shape.h"

/* What an invalid_cursor says whose MAC was right */
#define TASKAPI_CURSOR_UNREADABLE "Its contents cannot be read."

/* The wire form: append it; read one from a buffer's position, which is advanced.  A damaged one is invalid_cursor. */
extern void taskapi_cursor_to_wire(const struct varlena *cursor, StringInfo buf);
extern struct varlena *taskapi_cursor_from_wire(StringInfo buf, Node *escontext);

extern void taskapi_cursor_write_wire(TaskapiCursorShape *shape, const TaskapiCursorView *view, TaskapiBytes *buf);
/* With "sql" the cursor is one that SQL sees, and types that may not stand in such a one (cursor_key.h) are invalid_cursor. */
extern struct varlena *taskapi_cursor_read_wire(TaskapiCursorShapeCache *cache, const uint8 **pos, const uint8 *end,
												bool sql, Node *escontext);

#endif							/* TASKAPI_CURSOR_WIRE_H */
