/*-------------------------------------------------------------------------
 *
 * jwt.h
 *	  JSON Web Tokens in compact form, signed with HMAC-SHA-256.
 *
 * One algorithm, HS256, whatever the token's header says: RFC 7515 (JWS), RFC
 * 7519 (JWT) and the practices of RFC 8725.  Nothing of a token is parsed before
 * its signature has been verified.  Refused besides a wrong signature: more than
 * TASKAPI_JWT_MAX_LENGTH bytes, any base64url but the strict one, a header with
 * another alg, with a typ that is not JWT or with crit, a payload that is not a
 * JSON object in UTF-8, a name that occurs twice in either, a registered claim of the
 * wrong type, and a token that is expired, not valid yet or issued in the future.
 *
 * jwt_token.c is pure: no catalog, no clock, no settings.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_JWT_H
#define TASKAPI_JWT_H

#include "secret.h"

#define TASKAPI_JWT_MAX_LENGTH 8192

/* RFC 7518, section 3.2: a key at least as long as the hash. */
#define TASKAPI_JWT_MIN_SECRET 32

/*
 * Verify a token of "len" bytes with any of the keys, at "now" (seconds since
 * 1970) give or take "leeway" seconds.  Returns its payload, palloc'd JSON text in the server
 * encoding, or NULL and in *reason a sentence that says why; neither the token
 * nor a key is in it.  The caller checks aud, which depends on who it is.
 */
extern char *taskapi_jwt_open(const char *token, int len, const TaskapiSecret *keys, int nkeys,
							  double now, double leeway, const char **reason);

/*
 * Sign a payload, JSON text in the server encoding.  Returns the token, palloc'd, or
 * NULL and a reason for a payload that taskapi_jwt_open would not take.
 */
extern char *taskapi_jwt_seal(const char *payload, const TaskapiSecret *key, const char **reason);

#endif							/* TASKAPI_JWT_H */
