/*-------------------------------------------------------------------------
 *
 * jwt.h
 *	  JSON Web Tokens: jwt_sign(), jwt_verify() and their settings.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_JWT_H
#define TASKAPI_JWT_H

#include "utils/jsonb.h"

#include "base/secret.h"

/* taskapi.verify_bearer: does pre_request() verify the bearer token of a request whose claims no layer has set? */
extern bool taskapi_verify_bearer;

/*
 * The claims of a token that is good now, and for us, by that secret, or by the keys of purpose 'jwt' if it is NULL.  NULL
 * if it is not, and "reason" says why.  In the current memory context.
 */
extern Jsonb *taskapi_jwt_claims_of(const char *token, int len, const TaskapiSecret *given, const char **reason);

/* What tells a client that its bearer token is not good (RFC 6750, section 3.1), as headers of a problem. */
extern List *taskapi_jwt_challenge(void);

/*
 * Defines the module's GUC variables.  Needs no transaction and no shared
 * memory: the library may be loaded by shared_preload_libraries, by
 * session_preload_libraries or by the first call of one of its functions.
 */
extern void taskapi_jwt_init(void);

#endif							/* TASKAPI_JWT_H */
