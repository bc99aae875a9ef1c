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
#include "resource/resource_idempotency.h"
#include "cursor/cursor_token.h"
#include "http/origin.h"
#include "http/client_address.h"
#include "base/modules.h"

TASKAPI_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	taskapi_catalog_init();
	taskapi_cursor_token_init();
	taskapi_client_address_init();
	taskapi_origin_init();
	taskapi_idempotency_init();
	taskapi_jwt_init();
	taskapi_page_init();
	taskapi_ratelimit_init();
	taskapi_resource_init();
	taskapi_resource_idempotency_init();

	MarkGUCPrefixReserved("taskapi");
}
