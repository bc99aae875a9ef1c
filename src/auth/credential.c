/*-------------------------------------------------------------------------
 *
 * credential.c
 *	  API keys and session tokens: made, and found again by their hash.
 *
 * The tables may be large, so neither is loaded: a secret is looked up through
 * the unique index on its hash, with the newest snapshot and no regard to the
 * caller's privileges, and what was found good is kept.  Entries are kept for as
 * long as the table does not change: the tables have statement triggers for
 * updates and deletions (an insertion makes no entry wrong, since nothing is
 * kept about secrets that were not found).  Expiry is looked at each time.
 *
 * An index look-up takes a time that depends on the hash.  That tells nothing of
 * use: nobody can choose the hash, nor get from it to the secret.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/pg_crc.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "auth/credential.h"
#include "base/compat.h"
#include "auth/key_usage.h"
#include "base/own_objects.h"
#include "base/sha256.h"
#include "base/table_cache.h"

#define PUBLIC_LEN	8			/* what stays readable of an API key */
#define CHECKSUM_LEN 6			/* base 62 digits of 32 bits */
#define MAX_SECRET_LEN 64
#define MAX_CACHED	1000

/* A key that is used all the time is reported once in a while by each backend */
#define REPORT_INTERVAL USECS_PER_SEC

static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

typedef struct CredentialTable
{
	const char *tag;
	int			public_len;
	int			random_len;
	/* columns, as sql/install/54_api_key.sql and 55_session.sql declare them; 0 is none */
	AttrNumber	id;
	AttrNumber	subject;
	AttrNumber	hash;
	AttrNumber	scopes;
	AttrNumber	expires_at;
	AttrNumber	revoked_at;
	const char *index;
	/* what was found */
	TaskapiTableCache cache;
	MemoryContext context;
	HTAB	   *entries;
	TaskapiCredential unkept;	/* one that may still be rolled back */
} CredentialTable;

static CredentialTable tables[] = {
	[CREDENTIAL_API_KEY] = {
		.tag = "tak", .public_len = PUBLIC_LEN, .random_len = 32,
		.id = 1, .subject = 2, .hash = 5, .scopes = 6, .expires_at = 8, .revoked_at = 9,
		.index = "api_key_secret_hash_key", .cache = {.relname = "api_key"}
	},
	[CREDENTIAL_SESSION] = {
		.tag = "tas", .public_len = 0, .random_len = 43,
		.id = 1, .subject = 2, .hash = 3, .scopes = 0, .expires_at = 5, .revoked_at = 6,
		.index = "session_token_hash_key", .cache = {.relname = "session"}
	}
};

static int	secret_len(const CredentialTable *table);
static void random_text(char *dst, int len);
static void checksum(const char *text, int len, char *dst);
static bool well_formed(const CredentialTable *table, const char *secret);
static void reset_cache(CredentialTable *table);
static bool look_up(CredentialTable *table, const uint8 *hash, TaskapiCredential *credential, bool *keep);
static int	scope_bits(ArrayType *scopes);

const TaskapiCredential *
taskapi_credential_find(TaskapiCredentialKind kind, const char *secret)
{
	CredentialTable *table = &tables[kind];
	TaskapiCredential *entry;
	TaskapiCredential found;
	uint8		hash[PG_SHA256_DIGEST_LENGTH];
	TimestampTz now = GetCurrentTimestamp();
	bool		keep;

	if (!well_formed(table, secret))
		return NULL;
	taskapi_sha256(secret, secret_len(table), hash);

	/* A revocation that was committed a moment ago, in a transaction that began before it */
	AcceptInvalidationMessages();
	if (table->entries == NULL || !taskapi_table_cache_valid(&table->cache) ||
		hash_get_num_entries(table->entries) >= MAX_CACHED)
		reset_cache(table);

	entry = hash_search(table->entries, hash, HASH_FIND, NULL);
	if (entry == NULL)
	{
		if (!look_up(table, hash, &found, &keep))
			return NULL;
		found.subject = MemoryContextStrdup(table->context, found.subject);
		entry = keep ? hash_search(table->entries, hash, HASH_ENTER, NULL) : &table->unkept;
		*entry = found;
	}
	if (entry->expires_at <= now)
		return NULL;
	if (kind == CREDENTIAL_API_KEY && now - entry->used_at >= REPORT_INTERVAL)
	{
		taskapi_key_used(&entry->id, now);
		entry->used_at = now;
	}
	return entry;
}

/*
 * Start over.  The generation is taken before anything is read: an entry that is
 * read while its row changes goes into a cache that is no longer valid, and is
 * thrown away before the next use.
 */
static void
reset_cache(CredentialTable *table)
{
	HASHCTL		ctl;
	uint64		generation = taskapi_relation_generation();

	table->entries = NULL;
	if (table->context == NULL)
		table->context = AllocSetContextCreate(TopMemoryContext, "taskapi credentials",
											   ALLOCSET_SMALL_SIZES);
	MemoryContextReset(table->context);

	ctl.keysize = PG_SHA256_DIGEST_LENGTH;
	ctl.entrysize = sizeof(TaskapiCredential);
	ctl.hcxt = table->context;
	table->entries = hash_create("taskapi credentials", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	taskapi_table_cache_filled(&table->cache, generation);
}

/*
 * The live row of that hash; false where there is none.  The subject is palloc'd.
 * A row that this transaction made may be rolled back, which no trigger tells, so
 * it is not to be kept.
 */
static bool
look_up(CredentialTable *table, const uint8 *hash, TaskapiCredential *credential, bool *keep)
{
	char		key_bytes[VARHDRSZ + PG_SHA256_DIGEST_LENGTH];
	Relation	rel;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	SET_VARSIZE(key_bytes, sizeof(key_bytes));
	memcpy(VARDATA(key_bytes), hash, PG_SHA256_DIGEST_LENGTH);
	ScanKeyInit(&key, table->hash, BTEqualStrategyNumber, F_BYTEAEQ, PointerGetDatum(key_bytes));

	rel = table_open(taskapi_relation_oid(table->cache.relname), AccessShareLock);
	scan = systable_beginscan(rel, taskapi_relation_oid(table->index), true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		TupleDesc	desc = RelationGetDescr(rel);
		Datum		value;
		bool		isnull;

		*keep = !TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data));
		memset(credential, 0, sizeof(TaskapiCredential));
		memcpy(credential->hash, hash, PG_SHA256_DIGEST_LENGTH);
		(void) heap_getattr(tuple, table->revoked_at, desc, &isnull);
		found = isnull;

		value = heap_getattr(tuple, table->id, desc, &isnull);
		credential->id = *DatumGetUUIDP(value);
		value = heap_getattr(tuple, table->subject, desc, &isnull);
		credential->subject = TextDatumGetCString(value);
		value = heap_getattr(tuple, table->expires_at, desc, &isnull);
		credential->expires_at = isnull ? DT_NOEND : DatumGetTimestampTz(value);
		credential->scopes = TASKAPI_SCOPE_READ | TASKAPI_SCOPE_WRITE;
		if (table->scopes != 0)
			credential->scopes = scope_bits(DatumGetArrayTypeP(heap_getattr(tuple, table->scopes, desc, &isnull)));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

static int
scope_bits(ArrayType *scopes)
{
	Datum	   *elems;
	bool	   *nulls;
	int			n;
	int			bits = 0;

	deconstruct_array(scopes, TEXTOID, -1, false, TYPALIGN_INT, &elems, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		char	   *scope = nulls[i] ? NULL : TextDatumGetCString(elems[i]);

		if (scope == NULL)
			continue;
		if (strcmp(scope, "read") == 0)
			bits |= TASKAPI_SCOPE_READ;
		else if (strcmp(scope, "write") == 0)
			bits |= TASKAPI_SCOPE_WRITE;
	}
	return bits;
}

static int
secret_len(const CredentialTable *table)
{
	return strlen(table->tag) + 1 + (table->public_len ? table->public_len + 1 : 0) +
		table->random_len + CHECKSUM_LEN;
}

/* Letters and digits, each as likely as any other. */
static void
random_text(char *dst, int len)
{
	uint8		bytes[64];
	int			have = 0;

	while (len > 0)
	{
		if (have == 0)
		{
			if (!pg_strong_random(bytes, sizeof(bytes)))
				ereport(ERROR,
						(errcode(ERRCODE_INTERNAL_ERROR),
						 errmsg("could not generate random values")));
			have = sizeof(bytes);
		}
		have--;
		/* 248 is the largest multiple of 62 that a byte holds */
		if (bytes[have] < 248)
		{
			*dst++ = alphabet[bytes[have] % 62];
			len--;
		}
	}
	explicit_bzero(bytes, sizeof(bytes));
}

static void
checksum(const char *text, int len, char *dst)
{
	pg_crc32	crc;

	INIT_TRADITIONAL_CRC32(crc);
	COMP_TRADITIONAL_CRC32(crc, text, len);
	FIN_TRADITIONAL_CRC32(crc);
	for (int i = CHECKSUM_LEN - 1; i >= 0; i--)
	{
		dst[i] = alphabet[crc % 62];
		crc /= 62;
	}
}

static bool
well_formed(const CredentialTable *table, const char *secret)
{
	int			len = secret_len(table);
	int			tag_len = strlen(table->tag);
	char		expected[CHECKSUM_LEN];

	if (strnlen(secret, len + 1) != len ||
		memcmp(secret, table->tag, tag_len) != 0 || secret[tag_len] != '_')
		return false;
	checksum(secret, len - CHECKSUM_LEN, expected);
	return memcmp(secret + len - CHECKSUM_LEN, expected, CHECKSUM_LEN) == 0;
}

/*
 * new_credential(kind text, OUT secret text, OUT prefix text, OUT secret_hash bytea)
 *
 * A fresh secret of kind api_key or session, what of it may be shown, and what
 * is stored of it.
 */
PG_FUNCTION_INFO_V1(taskapi_new_credential);
Datum
taskapi_new_credential(PG_FUNCTION_ARGS)
{
	char	   *kind = text_to_cstring(PG_GETARG_TEXT_PP(0));
	CredentialTable *table;
	TupleDesc	desc;
	Datum		values[3];
	bool		nulls[3] = {false, false, false};
	char		secret[MAX_SECRET_LEN];
	char	   *p = secret;
	bytea	   *hash = palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);

	if (strcmp(kind, "api_key") == 0)
		table = &tables[CREDENTIAL_API_KEY];
	else if (strcmp(kind, "session") == 0)
		table = &tables[CREDENTIAL_SESSION];
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown kind of credential: \"%s\"", kind)));
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("function returning record called in context that cannot accept type record")));

	StaticAssertStmt(3 + 1 + PUBLIC_LEN + 1 + 43 + CHECKSUM_LEN < MAX_SECRET_LEN, "secret does not fit");
	p += sprintf(p, "%s_", table->tag);
	if (table->public_len)
	{
		random_text(p, table->public_len);
		p += table->public_len;
		*p++ = '_';
	}
	nulls[1] = (table->public_len == 0);
	values[1] = PointerGetDatum(cstring_to_text_with_len(secret, p - secret - (table->public_len ? 1 : 0)));
	random_text(p, table->random_len);
	p += table->random_len;
	checksum(secret, p - secret, p);
	p += CHECKSUM_LEN;

	values[0] = PointerGetDatum(cstring_to_text_with_len(secret, p - secret));
	SET_VARSIZE(hash, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	taskapi_sha256(secret, p - secret, (uint8 *) VARDATA(hash));
	values[2] = PointerGetDatum(hash);
	explicit_bzero(secret, sizeof(secret));

	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
