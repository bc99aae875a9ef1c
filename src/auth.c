/*-------------------------------------------------------------------------
 *
 * auth.c
 *	  Settings of authentication (auth.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "auth.h"
#include "compat.h"
#include "taskapi.h"

void
taskapi_auth_init(void)
{
	taskapi_client_address_init();
	taskapi_origin_init();
}
