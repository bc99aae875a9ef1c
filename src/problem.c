/*-------------------------------------------------------------------------
 *
 * problem.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "taskapi.h"

void
taskapi_problem_init(void)
{
}
