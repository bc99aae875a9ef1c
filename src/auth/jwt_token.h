/*-------------------------------------------------------------------------
 *
 * jwt_token.h
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
#ifndef TASKAPI_JWT_TOKEN_H
#define TASKAPI_JWT_TOKEN_H

#include "base/secret.h"

#define TASKAPI_JWT_MAX_LENGTH 8192

/* RFC 7518, section 3.2: a key at least as long as the hash. */
#define TASKAPI_JWT_MIN_SECRET 32

/* When a token is valid, in seconds since 1970: before "expires", and not before "not_before" (nbf and iat). */
typedef struct TaskapiJwtTimes
{
	double		expires;		/* infinity where there is no exp */
	double		not_before;		/* the later of nbf and iat; -infinity where there is neither */
} TaskapiJwtTimes;

/*
 * Verify a token of "len" bytes with any of the keys.  Returns its payload, palloc'd
 * JSON text in the server encoding, and its times; or NULL and in *reason a sentence
 * that says why.  Neither the token nor a key is in it.  The caller checks the
 * times, and aud, which depends on who he is.
 */
extern char *taskapi_jwt_open(const char *token, int len, const TaskapiSecret *keys, int nkeys,
							  TaskapiJwtTimes *times, const char **reason);

/* NULL where it is valid at "now", give or take "leeway" seconds; else why not. */
extern const char *taskapi_jwt_check_times(const TaskapiJwtTimes *times, double now, double leeway);

/*
 * Sign a payload, JSON text in the server encoding.  Returns the token, palloc'd, or
 * NULL and a reason for a payload that taskapi_jwt_open would not take.
 */
extern char *taskapi_jwt_seal(const char *payload, const TaskapiSecret *key, const char **reason);

#endif							/* TASKAPI_JWT_TOKEN_H */
