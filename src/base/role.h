/*-------------------------------------------------------------------------
 *
 * role.h
 *	  Acting as another role for a while.
 *
 *		TaskapiRole saved = taskapi_become(owner, SECURITY_LOCAL_USERID_CHANGE);
 *
 *		... statements ...
 *		taskapi_role_restore(saved);
 *
 * "flags" are added to those of the security context that is in force, so that a
 * restricted operation stays one.  An error needs no clean-up: the abort of the
 * subtransaction or transaction puts the role back.  Until then, in a PG_CATCH
 * block, GetUserId() still tells whose statement failed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_ROLE_H
#define TASKAPI_ROLE_H

typedef struct TaskapiRole
{
	Oid			userid;
	int			sec_context;
} TaskapiRole;

extern TaskapiRole taskapi_become(Oid role, int flags);
extern void taskapi_role_restore(TaskapiRole saved);

#endif							/* TASKAPI_ROLE_H */
