/*-------------------------------------------------------------------------
 *
 * auth.c
 *	  Settings of authentication (auth.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "auth/auth.h"
#include "base/compat.h"
#include "base/modules.h"

void
taskapi_auth_init(void)
{
	taskapi_client_address_init();
	taskapi_origin_init();
}
