/*-------------------------------------------------------------------------
 *
 * idempotency.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "taskapi.h"

void
taskapi_idempotency_init(void)
{
}
