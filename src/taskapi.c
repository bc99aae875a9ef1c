/*-------------------------------------------------------------------------
 *
 * taskapi.c
 *	  Module entry point.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/guc.h"

#include "auth/jwt.h"
#include "base/client_query.h"
#include "base/compat.h"
#include "base/heap_margin.h"
#include "base/table_cache.h"
#include "cursor/cursor_check.h"
#include "cursor/cursor_token.h"
#include "feed/feed_changes.h"
#include "guard/guard.h"
#include "http/client_address.h"
#include "http/origin.h"
#include "http/problem_log.h"
#include "http/read_after.h"
#include "idempotency/idempotency_claim.h"
#include "metrics/request_observe.h"
#include "metrics/trace_context.h"
#include "outbox/outbox_bound.h"
#include "outbox/outbox_partition.h"
#include "outbox/outbox_publish.h"
#include "page/page.h"
#include "ratelimit/ratelimit.h"
#include "ratelimit/ratelimit_plan.h"
#include "resource/idempotent_function.h"
#include "resource/resource.h"
#include "resource/resource_idempotency.h"
#include "resource/resource_insert_portal.h"

TASKAPI_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

/* The order does not matter: no init function calls another module. */
void
_PG_init(void)
{
	taskapi_heap_margin_init();
	taskapi_table_cache_init();
	taskapi_client_query_init();
	taskapi_cursor_token_init();
	taskapi_cursor_check_init();
	taskapi_client_address_init();
	taskapi_origin_init();
	taskapi_guard_init();
	taskapi_problem_log_init();
	taskapi_read_after_init();
	taskapi_idempotency_init();
	taskapi_jwt_init();
	taskapi_page_init();
	taskapi_request_observe_init();
	taskapi_trace_init();
	taskapi_feed_init();
	taskapi_ratelimit_init();
	taskapi_outbox_bound_init();
	taskapi_outbox_partition_init();
	taskapi_outbox_publish_init();
	taskapi_rate_limit_plan_init();
	taskapi_resource_init();
	taskapi_insert_portal_init();
	taskapi_resource_idempotency_init();
	taskapi_idempotent_function_init();

	MarkGUCPrefixReserved("taskapi");
}
