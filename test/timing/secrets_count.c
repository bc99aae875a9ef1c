/*-------------------------------------------------------------------------
 *
 * secrets_count.c
 *	  How many instructions it takes to refuse a forged token, without a server.
 *
 * A token is sealed, some bits of it are changed as the arguments say, and it is
 * opened in measured(), which callgrind counts the instructions of.
 *
 *		secrets_count jwt|cursor BYTE MASK
 *
 * changes byte number BYTE of the MAC by MASK (as decoded; 0 leaves the token as it
 * is).  bench/secrets_timing.sh builds and runs it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "auth/jwt_token.h"
#include "base/base64url.h"
#include "base/compat.h"
#include "common/sha2.h"
#include "cursor/cursor_token.h"
#include "nodes/nodes.h"
#include "server.h"
#include "tokens.h"

static Node soft;

static bool is_jwt;
static const char *token;

extern bool measured(void);

static bool opens(void);
static char *forge(const char *sealed, int mac_len, int byte, int mask);
static void body(const uint8 *data, size_t size);

static bool
opens(void)
{
	const char *reason;
	TaskapiJwtTimes times;
	int			len = strlen(token);

	if (is_jwt)
		return taskapi_jwt_open(token, len, &fuzz_key, 1, &times, &reason) != NULL;
	return taskapi_token_open("cursor", token, len, &len, &soft) != NULL;
}

pg_noinline bool
measured(void)
{
	return opens();
}

/* The token with one byte of its MAC changed. */
static char *
forge(const char *sealed, int mac_len, int byte, int mask)
{
	const char *last = is_jwt ? strrchr(sealed, '.') + 1 : sealed;
	uint8	   *bytes = palloc(strlen(sealed) + 1);
	int			len = taskapi_base64url_decode(last, strlen(last), bytes);
	char	   *forged = palloc(strlen(sealed) + 3);
	int			n = last - sealed;

	memcpy(forged, sealed, n);
	bytes[len - mac_len + byte] ^= mask;
	n += taskapi_base64url_encode(bytes, len, forged + n);
	forged[n] = '\0';
	return forged;
}

static void
body(const uint8 *data, size_t size)
{
	const char *const *argv = (const char *const *) data;
	const char *reason;
	const char *sealed;
	int			byte = atoi(argv[2]);
	int			mask = atoi(argv[3]);

	is_jwt = strcmp(argv[1], "jwt") == 0;
	sealed = is_jwt ? taskapi_jwt_seal("{\"sub\": \"somebody\", \"exp\": 4000000000}", &fuzz_key, &reason) :
		taskapi_token_seal("cursor", (const uint8 *) "a payload of some bytes", 23);

	/* what is set up once, is set up here */
	token = sealed;
	PROPERTY(opens());
	token = forge(sealed, is_jwt ? PG_SHA256_DIGEST_LENGTH : TASKAPI_TOKEN_MAC_LENGTH, byte, mask);
	PROPERTY(measured() == (mask == 0));
}

int
main(int argc, char **argv)
{
	if (argc != 4)
		return 1;
	return run_protected(body, (const uint8 *) argv, 0) ? 0 : 1;
}
