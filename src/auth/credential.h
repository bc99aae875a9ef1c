/*-------------------------------------------------------------------------
 *
 * credential.h
 *	  API keys and session tokens.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_CREDENTIAL_H
#define TASKAPI_CREDENTIAL_H

#include "common/sha2.h"
#include "datatype/timestamp.h"
#include "utils/uuid.h"

typedef enum TaskapiCredentialKind
{
	CREDENTIAL_API_KEY,
	CREDENTIAL_SESSION
} TaskapiCredentialKind;

#define TASKAPI_SCOPE_READ	0x01
#define TASKAPI_SCOPE_WRITE 0x02

/* A credential that was good when it was looked up. */
typedef struct TaskapiCredential
{
	uint8		hash[PG_SHA256_DIGEST_LENGTH];	/* of the secret; the key of the cache */
	pg_uuid_t	id;
	char	   *subject;
	int			scopes;			/* TASKAPI_SCOPE_...; both for a session */
	TimestampTz expires_at;		/* DT_NOEND for one that does not */
	TimestampTz used_at;		/* last time that this backend found it */
} TaskapiCredential;

/*
 * credential.c: the credential of that secret, or NULL for anything that is not
 * one of ours, live and unexpired at this moment: a revocation that is committed
 * counts, whatever the transaction's isolation.  What was found is cached until
 * the table changes.  An API key's use is reported.  The result is valid until
 * the next call.
 */
extern const TaskapiCredential *taskapi_credential_find(TaskapiCredentialKind kind, const char *secret);

#endif							/* TASKAPI_CREDENTIAL_H */
