/*-------------------------------------------------------------------------
 *
 * catalog.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "taskapi.h"

void
taskapi_catalog_init(void)
{
}
