/*-------------------------------------------------------------------------
 *
 * auth.h
 *	  Who is calling: API keys, sessions, the address, and the request's origin.
 *
 * Authentication and authorization are apart.  Everything here says who somebody
 * is; what he may do is for privileges and row-level security to say, on every
 * request.
 *
 * A secret (API key or session token) is
 *
 *		tag, '_', [8 letters and digits that stay readable, '_',] random letters
 *		and digits, and the CRC-32 of all that in 6 more
 *
 * The check sum tells a mistyped key and a scanner's false alarm from one of ours
 * without asking the table; it proves nothing.  The table holds the SHA-256 of a
 * secret.  Its random part has more than 190 bits, so a plain hash is as good as
 * a slow one.
 *
 * All of this works in a read-only transaction and on a standby.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_AUTH_H
#define TASKAPI_AUTH_H

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

/*
 * client_address.c: the address that the outermost trusted proxy saw, as text; an IPv6 one by
 * its /64 ("2001:db8:1:2::/64").  NULL where there is no trusted proxy or where it
 * said nothing that is an address.  Palloc'd.
 */
extern char *taskapi_client_address(void);
extern int	taskapi_trusted_proxy_hops;

/* origin.c: does the request come from our own pages, as the browser has it? */
typedef enum TaskapiOrigin
{
	ORIGIN_SAME,
	ORIGIN_OTHER,
	ORIGIN_UNKNOWN				/* no browser, or an old one */
} TaskapiOrigin;

extern TaskapiOrigin taskapi_request_origin(void);

/* origin.c: the session cookie's name, and the value of Set-Cookie; seconds 0 deletes it.  Palloc'd. */
extern char *taskapi_session_cookie_name;
extern char *taskapi_session_cookie(const char *token, int seconds);

/* key_usage.c: report that a key is used now; see key_usage.h. */
extern void taskapi_key_used(const pg_uuid_t *id, TimestampTz at);

/* Each file's settings */
extern void taskapi_client_address_init(void);
extern void taskapi_origin_init(void);

#endif							/* TASKAPI_AUTH_H */
