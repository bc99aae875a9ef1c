/*-------------------------------------------------------------------------
 *
 * operations.c
 *	  Settings of the upkeep that procedure taskapi.maintain() does.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "utils/guc.h"

#include "base/compat.h"
#include "base/modules.h"

static int	deleted_retention = 30 * 24 * 60 * 60;

void
taskapi_operations_init(void)
{
	DefineCustomIntVariable("taskapi.deleted_retention",
							"How long a soft-deleted row is kept before maintain() purges it.",
							"-1 keeps them for ever.",
							&deleted_retention,
							30 * 24 * 60 * 60, -1, INT_MAX,
							PGC_USERSET,
							GUC_UNIT_S,
							NULL, NULL, NULL);
}
