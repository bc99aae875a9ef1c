/*
 * JWT: what is opened was sealed with the key. The input is taken as a token, and as the header and payload of a token
 * that is signed properly, so that the parsers behind the signature are reached.
 * Sources: src/auth/jwt_token.c src/base/hmac.c src/base/crypto_context.c src/base/base64url.c src/base/json_fields.c src/base/encoding.c
 */
#include "postgres.h"

#include "base/base64url.h"
#include "common/hmac.h"
#include "common/sha2.h"
#include "base/compat.h"
#include "auth/jwt_token.h"
#include "server.h"

static const uint8 key_bytes[32] = "0123456789abcdef0123456789abcde";
static const TaskapiSecret key = {1, sizeof(key_bytes), key_bytes};

/* "header.payload" of arbitrary bytes, signed: header is what precedes the first line feed. */
static char *
sign(const uint8 *data, size_t size)
{
	const uint8 *split = memchr(data, '\n', size);
	size_t		header = split ? split - data : 0;
	const uint8 *payload = split ? split + 1 : data;
	size_t		payload_len = size - (payload - data);
	static const char standard[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
	char	   *token = palloc(2 * size + 200);
	uint8		mac[PG_SHA256_DIGEST_LENGTH];
	pg_hmac_ctx *ctx = pg_hmac_create(PG_SHA256);
	int			len;

	if (header > 0)
		len = taskapi_base64url_encode(data, header, token);
	else
		len = taskapi_base64url_encode((const uint8 *) standard, strlen(standard), token);
	token[len++] = '.';
	len += taskapi_base64url_encode(payload, payload_len, token + len);
	if (pg_hmac_init(ctx, key_bytes, sizeof(key_bytes)) < 0 || pg_hmac_update(ctx, (uint8 *) token, len) < 0 ||
		pg_hmac_final(ctx, mac, sizeof(mac)) < 0)
		abort();
	pg_hmac_free(ctx);
	token[len++] = '.';
	len += taskapi_base64url_encode(mac, sizeof(mac), token + len);
	token[len] = '\0';
	return token;
}

static void
body(const uint8 *data, size_t size)
{
	const char *reason = NULL;
	TaskapiJwtTimes times;
	char	   *payload;
	char	   *token;

	/* No fuzzer finds a signature: nothing that it made up is opened. */
	payload = taskapi_jwt_open((const char *) data, size, &key, 1, &times, &reason);
	PROPERTY(payload == NULL && reason != NULL);

	token = sign(data, size);
	reason = NULL;
	payload = taskapi_jwt_open(token, strlen(token), &key, 1, &times, &reason);
	PROPERTY(payload != NULL || reason != NULL);
	if (payload)
	{
		char	   *sealed = taskapi_jwt_seal(payload, &key, &reason);

		/* NaN would compare with nothing */
		PROPERTY(times.expires == times.expires && times.not_before == times.not_before);
		PROPERTY(sealed != NULL);
		/* and any one bit that differs is refused */
		token[size % strlen(token)] ^= 1 << (size % 7);
		PROPERTY(taskapi_jwt_open(token, strlen(token), &key, 1, &times, &reason) == NULL);
	}
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	run_protected(body, data, size);
	return 0;
}
