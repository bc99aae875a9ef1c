/*-------------------------------------------------------------------------
 *
 * role_settings.h
 *	  What ALTER ROLE ... SET says, for a role that a request is switched to.
 *
 * SET ROLE changes the role and none of its settings; a layer that switches
 * roles for a bearer token, as PostgREST does, applies them for the transaction.
 * Here the same is done for the callers that pre_request() switches.
 *
 * The settings are read again when any invalidation message has come since, which
 * ALTER ROLE ... SET sends at its commit.  Until then a call for roles without
 * settings costs nothing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_ROLE_SETTINGS_H
#define TASKAPI_ROLE_SETTINGS_H

/*
 * Make the settings of the current role hold until the end of the transaction, in
 * the place of those of the role that the layer had switched to before.
 *
 * Those of the role come first, then those of the role in this database, which
 * win.  The role may apply only what it may set itself; the rest is passed over, as
 * is a value that is not good, since neither is the client's fault.  What the
 * layer has set for this transaction on account of the request (a time zone that
 * the client prefers, a timeout of the function that is called) stays, except for
 * search_path.  What cannot be changed within a transaction, such as its
 * isolation, is as the layer began it.
 */
extern void taskapi_role_settings_apply(Oid former_role);

#endif							/* TASKAPI_ROLE_SETTINGS_H */
