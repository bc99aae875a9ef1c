/*
 * The envelope of cursors and page tokens: what is opened was sealed, for this purpose, under a key that is there. The
 * input is taken as a token, as a payload to seal, and as version, key id, time and payload before a MAC that is right.
 * Sources: src/cursor/cursor_token.c src/cursor/cursor_encoding.c src/base/base64url.c src/base/hmac.c src/base/crypto_context.c test/fuzz/glue.c test/fuzz/tokens.c
 */
#include "postgres.h"

#include "base/base64url.h"
#include "common/hmac.h"
#include "common/sha2.h"
#include "base/compat.h"
#include "cursor/cursor_token.h"
#include "nodes/nodes.h"
#include "server.h"
#include "tokens.h"

#define PURPOSE "cursor"

/* Any node will do: refusals are returned, not thrown. */
static Node soft;

static uint8 *
open_token(const char *purpose, const char *token, int *len)
{
	return taskapi_token_open(purpose, token, strlen(token), len, &soft);
}

static void
body(const uint8 *data, size_t size)
{
	char	   *token;
	uint8	   *payload;
	uint8	   *framed;
	uint8		mac[PG_SHA256_DIGEST_LENGTH];
	pg_hmac_ctx *ctx;
	int			len;

	taskapi_cursor_ttl = 0;
	/* no fuzzer finds a MAC */
	PROPERTY(taskapi_token_open(PURPOSE, (const char *) data, size, &len, &soft) == NULL);

	token = taskapi_token_seal(PURPOSE, data, size);
	payload = open_token(PURPOSE, token, &len);
	PROPERTY(payload != NULL && len == size && memcmp(payload, data, size) == 0);
	PROPERTY(open_token("page", token, &len) == NULL);
	/* made without a limit it holds no time, and expires once there is one; made under a limit it lives as long */
	taskapi_cursor_ttl = 1;
	PROPERTY(open_token(PURPOSE, token, &len) == NULL);
	PROPERTY(open_token(PURPOSE, taskapi_token_seal(PURPOSE, data, size), &len) != NULL);
	taskapi_cursor_ttl = 0;
	token[size * 31 % strlen(token)] ^= 1 << (size % 7);
	PROPERTY(open_token(PURPOSE, token, &len) == NULL);

	/* behind a MAC that is right */
	framed = palloc(size + TASKAPI_TOKEN_MAC_LENGTH);
	memcpy(framed, data, size);
	ctx = pg_hmac_create(PG_SHA256);
	if (pg_hmac_init(ctx, fuzz_key.bytes, fuzz_key.len) < 0 || pg_hmac_update(ctx, (const uint8 *) PURPOSE, sizeof(PURPOSE)) < 0 ||
		pg_hmac_update(ctx, data, size) < 0 || pg_hmac_final(ctx, mac, sizeof(mac)) < 0)
		abort();
	pg_hmac_free(ctx);
	memcpy(framed + size, mac, TASKAPI_TOKEN_MAC_LENGTH);
	token = palloc(TASKAPI_BASE64URL_ENCODED_LEN(size + TASKAPI_TOKEN_MAC_LENGTH) + 1);
	token[taskapi_base64url_encode(framed, size + TASKAPI_TOKEN_MAC_LENGTH, token)] = '\0';
	payload = open_token(PURPOSE, token, &len);
	if (payload != NULL)
	{
		PROPERTY(size >= 6 && data[0] == 1 && len <= size - 6);
		PROPERTY(memcmp(payload, data + size - len, len) == 0 && payload[len] == '\0');
	}
	else
		PROPERTY(size < 6 || data[0] != 1 || data[1] != 1);
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	run_protected(body, data, size);
	return 0;
}
