/*-------------------------------------------------------------------------
 *
 * sha256.c
 *	  SHA-256 in one call (sha256.h).
 *
 * The context lives as long as the backend (crypto_context.h).  Both
 * implementations overwrite what they were given when they end.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/cryptohash.h"

#include "base/compat.h"
#include "base/crypto_context.h"
#include "base/sha256.h"

static pg_cryptohash_ctx *context = NULL;

static void *create(void);

void
taskapi_sha256(const void *data, size_t len, uint8 digest[PG_SHA256_DIGEST_LENGTH])
{
	TaskapiHashPiece piece = {data, len};

	taskapi_sha256_pieces(&piece, 1, digest);
}

void
taskapi_sha256_pieces(const TaskapiHashPiece *pieces, int npieces, uint8 digest[PG_SHA256_DIGEST_LENGTH])
{
	bool		ok;

	if (context == NULL)
		context = taskapi_lasting_context(create, "taskapi SHA-256");
	ok = pg_cryptohash_init(context) >= 0;
	for (int i = 0; ok && i < npieces; i++)
		ok = pg_cryptohash_update(context, pieces[i].data, pieces[i].len) >= 0;
	if (!ok || pg_cryptohash_final(context, digest, PG_SHA256_DIGEST_LENGTH) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not compute %s hash: %s", "SHA-256", pg_cryptohash_error(context))));
}

static void *
create(void)
{
	return pg_cryptohash_create(PG_SHA256);
}
