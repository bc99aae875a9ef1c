/*-------------------------------------------------------------------------
 *
 * ratelimit.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "taskapi.h"

void
taskapi_ratelimit_init(void)
{
}
