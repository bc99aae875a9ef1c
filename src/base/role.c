/*-------------------------------------------------------------------------
 *
 * role.c
 *	  Acting as another role for a while (role.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/compat.h"
#include "base/role.h"

TaskapiRole
taskapi_become(Oid role, int flags)
{
	TaskapiRole saved;

	GetUserIdAndSecContext(&saved.userid, &saved.sec_context);
	SetUserIdAndSecContext(role, saved.sec_context | flags);
	return saved;
}

void
taskapi_role_restore(TaskapiRole saved)
{
	SetUserIdAndSecContext(saved.userid, saved.sec_context);
}
