/*-------------------------------------------------------------------------
 *
 * keyset.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(taskapi_cursor_keyset_support);
Datum
taskapi_cursor_keyset_support(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(NULL);
}
