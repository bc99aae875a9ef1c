/*-------------------------------------------------------------------------
 *
 * request.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "taskapi.h"

void
taskapi_request_init(void)
{
}
