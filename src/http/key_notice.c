/*-------------------------------------------------------------------------
 *
 * key_notice.c
 *	  Telling a client that its Idempotency-Key was not honoured (key_notice.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "http/key_notice.h"
#include "http/layer.h"
#include "http/request.h"
#include "http/response.h"

#define HEADER "Idempotency-Key"

void
taskapi_key_announce(void)
{
	const char *method = taskapi_request_method();

	/* a safe method has its effect any number of times */
	if (method == NULL || strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 || strcmp(method, "OPTIONS") == 0)
		return;
	if (taskapi_request_header(HEADER) != NULL)
		taskapi_set_response_header(HEADER, "ignored");
}

void
taskapi_key_honoured(void)
{
	if (taskapi_in_request() && taskapi_response_header(HEADER) != NULL)
		taskapi_set_response_header(HEADER, NULL);
}
