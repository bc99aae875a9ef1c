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

extern int	taskapi_cursor_compare(TaskapiCursorShapeCache *cache, const struct varlena *a, const struct varlena *b);

#endif							/* TASKAPI_CURSOR_COMPARE_H */
