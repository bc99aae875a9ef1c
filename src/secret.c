/*-------------------------------------------------------------------------
 *
 * secret.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "taskapi.h"

void
taskapi_secret_init(void)
{
}
