/*-------------------------------------------------------------------------
 *
 * cursor_compare.h
 *	  Page order.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_CURSOR_COMPARE_H
#define TASKAPI_CURSOR_COMPARE_H

#include "cursor/cursor_shape.h"

/*
 * Two positions of one shape, which need not be of types that SQL sees in cursors.  Calls the types' own comparisons, which may
 * raise.
 */
extern int	taskapi_cursor_compare_positions(TaskapiCursorShape *shape, const struct varlena *a, const struct varlena *b);

#endif							/* TASKAPI_CURSOR_COMPARE_H */
