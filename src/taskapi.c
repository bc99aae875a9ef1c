/*-------------------------------------------------------------------------
 *
 * taskapi.c
 *	  Module entry point.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/guc.h"

#include "base/compat.h"
#include "base/modules.h"

TASKAPI_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	taskapi_auth_init();
	taskapi_catalog_init();
	taskapi_cursor_init();
	taskapi_idempotency_init();
	taskapi_jwt_init();
	taskapi_operations_init();
	taskapi_page_init();
	taskapi_ratelimit_init();
	taskapi_resource_init();

	MarkGUCPrefixReserved("taskapi");
}
