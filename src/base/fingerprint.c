/*-------------------------------------------------------------------------
 *
 * fingerprint.c
 *	  Canonical digest of a jsonb value.
 *
 * The value is walked once with the jsonb iterator and fed to SHA-256 as a
 * self-delimiting sequence of items, so that no two different values give the
 * same bytes:
 *
 *		object		'O' <pairs: uint32> (<key as string> <value>)*
 *		array		'A' <elements: uint32> <value>*
 *		string		's' <bytes: uint32> <UTF-8>
 *		number		'd' <digits: int16> <weight: int16> <sign: int16> <base-10000 digits: int16>*
 *		others		't', 'f', 'n'
 *
 * Integers are in network byte order.  jsonb keeps the pairs of an object
 * sorted by key and without duplicates, so its own order is canonical.  A
 * number is taken from numeric's digits without the display scale, which makes
 * 1.0 and 1e0 the same as 1; writing it out in decimal would let a few bytes
 * such as 1e100000 cost a hundred thousand.
 *
 * Memory is constant but for the iterator's one level a nesting, and time
 * linear in the size of the value.  The iterator keeps its stack in memory, so
 * depth is bounded by what the JSON parser let in.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/cryptohash.h"
#include "common/sha2.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "base/compat.h"
#include "base/fingerprint.h"

StaticAssertDecl(TASKAPI_FINGERPRINT_LEN == PG_SHA256_DIGEST_LENGTH, "a fingerprint is a SHA-256");

/* Each call of the hash costs more than the few bytes of an item, so items are gathered. */
#define BUFFER_SIZE 4096

typedef struct Digest
{
	pg_cryptohash_ctx *hash;
	int			used;
	uint8		buffer[BUFFER_SIZE];
} Digest;

static void digest_flush(Digest *digest);
static void digest_bytes(Digest *digest, const void *bytes, Size len);
static void digest_tag(Digest *digest, char tag);
static void digest_count(Digest *digest, char tag, uint32 count);
static void digest_string(Digest *digest, const char *str, int len);
static void digest_number(Digest *digest, Numeric number);
static void digest_scalar(Digest *digest, const JsonbValue *value);
pg_noreturn static void hash_failed(pg_cryptohash_ctx *hash);

void
taskapi_fingerprint_jsonb(Jsonb *jb, uint8 result[TASKAPI_FINGERPRINT_LEN])
{
	Digest		digest;
	JsonbIterator *it;
	JsonbValue	value;
	JsonbIteratorToken token;
	bool		raw_scalar = JB_ROOT_IS_SCALAR(jb);

	digest.used = 0;
	digest.hash = pg_cryptohash_create(PG_SHA256);
	if (digest.hash == NULL || pg_cryptohash_init(digest.hash) < 0)
		hash_failed(digest.hash);

	it = JsonbIteratorInit(&jb->root);
	while ((token = JsonbIteratorNext(&it, &value, false)) != WJB_DONE)
	{
		CHECK_FOR_INTERRUPTS();
		switch (token)
		{
			case WJB_BEGIN_OBJECT:
				digest_count(&digest, 'O', value.val.object.nPairs);
				break;
			case WJB_BEGIN_ARRAY:
				/* A scalar at the root is stored as an array of one. */
				if (!raw_scalar)
					digest_count(&digest, 'A', value.val.array.nElems);
				break;
			case WJB_KEY:
			case WJB_VALUE:
			case WJB_ELEM:
				digest_scalar(&digest, &value);
				break;
			case WJB_END_OBJECT:
			case WJB_END_ARRAY:
				break;
			default:
				elog(ERROR, "unexpected jsonb token: %d", (int) token);
		}
	}

	digest_flush(&digest);
	if (pg_cryptohash_final(digest.hash, result, TASKAPI_FINGERPRINT_LEN) < 0)
		hash_failed(digest.hash);
	pg_cryptohash_free(digest.hash);
}

static void
digest_flush(Digest *digest)
{
	if (digest->used > 0 &&
		pg_cryptohash_update(digest->hash, digest->buffer, digest->used) < 0)
		hash_failed(digest->hash);
	digest->used = 0;
}

static void
digest_bytes(Digest *digest, const void *bytes, Size len)
{
	if (len > BUFFER_SIZE - digest->used)
	{
		digest_flush(digest);
		if (len > BUFFER_SIZE)
		{
			if (pg_cryptohash_update(digest->hash, bytes, len) < 0)
				hash_failed(digest->hash);
			return;
		}
	}
	memcpy(digest->buffer + digest->used, bytes, len);
	digest->used += len;
}

static void
digest_tag(Digest *digest, char tag)
{
	digest_bytes(digest, &tag, 1);
}

static void
digest_count(Digest *digest, char tag, uint32 count)
{
	uint32		n = pg_hton32(count);

	digest_tag(digest, tag);
	digest_bytes(digest, &n, sizeof(n));
}

static void
digest_string(Digest *digest, const char *str, int len)
{
	char	   *utf8 = (char *) str;

	if (len > 0 && GetDatabaseEncoding() != PG_UTF8)
	{
		utf8 = pg_server_to_any(str, len, PG_UTF8);
		if (utf8 != str)
			len = strlen(utf8);
	}
	digest_count(digest, 's', len);
	digest_bytes(digest, utf8, len);
	if (utf8 != str)
		pfree(utf8);
}

static void
digest_number(Digest *digest, Numeric number)
{
	/* numeric_send's form: digits, weight, sign and display scale, 2 bytes each, then the digits */
	bytea	   *sent = DatumGetByteaP(DirectFunctionCall1(numeric_send, NumericGetDatum(number)));
	char	   *bytes = VARDATA(sent);
	int			len = VARSIZE(sent) - VARHDRSZ;

	digest_tag(digest, 'd');
	digest_bytes(digest, bytes, 6);
	digest_bytes(digest, bytes + 8, len - 8);
	pfree(sent);
}

static void
digest_scalar(Digest *digest, const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
			digest_tag(digest, 'n');
			break;
		case jbvBool:
			digest_tag(digest, value->val.boolean ? 't' : 'f');
			break;
		case jbvString:
			digest_string(digest, value->val.string.val, value->val.string.len);
			break;
		case jbvNumeric:
			digest_number(digest, value->val.numeric);
			break;
		default:
			elog(ERROR, "unexpected jsonb value type: %d", (int) value->type);
	}
}

static void
hash_failed(pg_cryptohash_ctx *hash)
{
	const char *reason = pg_cryptohash_error(hash);

	ereport(ERROR,
			(errcode(ERRCODE_INTERNAL_ERROR),
			 errmsg("could not compute a %s hash: %s", "SHA-256", reason)));
}

/*
 * fingerprint(jsonb) -> bytea
 */
PG_FUNCTION_INFO_V1(taskapi_fingerprint);
Datum
taskapi_fingerprint(PG_FUNCTION_ARGS)
{
	bytea	   *result = palloc(VARHDRSZ + TASKAPI_FINGERPRINT_LEN);

	SET_VARSIZE(result, VARHDRSZ + TASKAPI_FINGERPRINT_LEN);
	taskapi_fingerprint_jsonb(PG_GETARG_JSONB_P(0), (uint8 *) VARDATA(result));
	PG_RETURN_BYTEA_P(result);
}
