/*-------------------------------------------------------------------------
 *
 * secret.h
 *	  Signing keys: table taskapi.secret, cached per backend.
 *
 * A purpose ('cursor', 'jwt', ...) has any number of keys, numbered from 1.  The
 * one with the highest id that is not retired signs; all that are not retired
 * verify.  Only the extension's owner may read the table, so it is read here
 * directly and not as the caller.  The cache is dropped when the table changes,
 * in every backend (see table_cache.h).  A returned pointer is valid until the next
 * call of anything in this file.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_SECRET_H
#define TASKAPI_SECRET_H

typedef struct TaskapiSecret
{
	int			key_id;
	int			len;
	const uint8 *bytes;
} TaskapiSecret;

/* The key that signs; an error where the purpose has none. */
extern const TaskapiSecret *taskapi_secret_current(const char *purpose);

/* The key of that id; NULL where it is unknown or retired. */
extern const TaskapiSecret *taskapi_secret_find(const char *purpose, int key_id);

/* All keys that verify, newest first; returns how many. */
extern int	taskapi_secret_all(const char *purpose, const TaskapiSecret **keys);

#endif							/* TASKAPI_SECRET_H */
