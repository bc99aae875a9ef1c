/*-------------------------------------------------------------------------
 *
 * idempotency_key.h
 *	  What is a key, and whose is it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_IDEMPOTENCY_KEY_H
#define TASKAPI_IDEMPOTENCY_KEY_H

#include "datatype/timestamp.h"

/*
 * Which key: scope and key as stored, and what the lock is taken on.  "id" is
 * both with a zero byte between, "idlen" bytes long.
 */
typedef struct TaskapiIdempotencyKey
{
	const char *scope;
	const char *key;
	const char *id;
	int			idlen;
	uint64		hash;
} TaskapiIdempotencyKey;

/*
 * Apply the key rules to what the client sent (NULL: idempotency_key_missing), and find the scope: the one given, or
 * with NULL the request's subject, method and path (idempotency_scope_missing without a subject).
 */
extern TaskapiIdempotencyKey *taskapi_idempotency_key(const char *scope, const char *key);

/*
 * The scope of a request: subject, method and path, and schema and name of the resource that it writes to unless those
 * are NULL.  No setting of the session plays a part.
 */
extern char *taskapi_idempotency_request_scope(const char *schema, const char *resource);

/* The end of a period that begins at "from": an error where ttl is not within (0, 1 year]. */
extern TimestampTz taskapi_idempotency_deadline(TimestampTz from, const Interval *length, const char *argname);

#endif							/* TASKAPI_IDEMPOTENCY_KEY_H */
