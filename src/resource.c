/*-------------------------------------------------------------------------
 *
 * resource.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "taskapi.h"

void
taskapi_resource_init(void)
{
}
