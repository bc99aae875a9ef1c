/*-------------------------------------------------------------------------
 *
 * cursor.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "taskapi.h"

void
taskapi_cursor_init(void)
{
}
