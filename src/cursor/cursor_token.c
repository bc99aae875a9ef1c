/*-------------------------------------------------------------------------
 *
 * cursor_token.c
 *	  Sealing and opening tokens (cursor_token.h).
 *
 * The HMAC context lives as long as the backend, under a resource owner of its own:
 * making one for every token would cost more than the hashing, and so would keying
 * it.  OpenSSL starts anew with the key that a context has when it is given
 * none; PostgreSQL's own implementation would take that for the empty key.  So a freshly
 * keyed context is tried both ways on the same bytes, and keeps its key only where
 * both MACs agree.  Which key it must be is looked up for each token, since another
 * session may have rotated or retired.
 *
 * Purpose (with its terminator, which is the zero byte between), header and payload stand in one buffer, so that the MAC
 * takes them at once.  The key is looked up when the payload is there, which may have been written by code that
 * changed the keys.
 *
 * RFC 2104 and RFC 4231 for the MAC; truncation to 128 bits is that of RFC 4868.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hmac.h"
#include "common/sha2.h"
#include "port/pg_bswap.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "base/base64url.h"
#include "base/compat.h"
#include "base/counters.h"
#include "cursor/cursor_token.h"
#include "http/problem.h"
#include "base/secret.h"

#define TOKEN_VERSION	1
#define SECRET_PURPOSE	"cursor"

/* version, the longest key id, issue time */
#define MAX_HEADER		(1 + 5 + 4)

/* 2020-01-01 00:00 UTC, in seconds since 2000-01-01 00:00 UTC */
#define ISSUE_EPOCH		INT64CONST(631152000)

/* Longer tokens are not ours to make: a cursor is at most what fits an index page and a little more */
#define MAX_TOKEN_LENGTH	(64 * 1024 * 1024)

int			taskapi_cursor_ttl = 0;

static pg_hmac_ctx *hmac = NULL;
static uint8 *hmac_key = NULL;	/* the key that the context keeps; NULL is none */
static int	hmac_key_len = 0;

static void make_hmac(void);
static void set_key(const TaskapiSecret *key);
static void forget_key(void);
static bool hmac_once(const uint8 *key, int key_len, const uint8 *data, int len, uint8 *mac);
static void compute_mac(const TaskapiSecret *key, const uint8 *data, int len, uint8 *mac);
static int64 seconds_now(void);
static uint8 *refuse(Node *escontext, const char *details);

void
taskapi_cursor_token_init(void)
{
	DefineCustomIntVariable("taskapi.cursor_ttl",
							"Sets how long cursors and page tokens can be used.",
							"Zero means without end.",
							&taskapi_cursor_ttl,
							0, 0, INT_MAX,
							PGC_USERSET,
							GUC_UNIT_S,
							NULL, NULL, NULL);
}

char *
taskapi_token_seal(const char *purpose, const uint8 *payload, int len)
{
	TaskapiBytes buf;
	int			token_len;

	taskapi_token_begin(&buf, purpose);
	taskapi_bytes_append(&buf, payload, len);
	return taskapi_token_finish(&buf, purpose, 0, 0, &token_len);
}

void
taskapi_token_begin(TaskapiBytes *buf, const char *purpose)
{
	taskapi_bytes_init(buf, 128);
	buf->len = strlen(purpose) + 1 + MAX_HEADER;
}

char *
taskapi_token_finish(TaskapiBytes *buf, const char *purpose, int before, int after, int *len)
{
	const TaskapiSecret *key = taskapi_secret_current(SECRET_PURPOSE);
	uint32		issued = pg_hton32((uint32) (seconds_now() - ISSUE_EPOCH));
	int			purpose_len = strlen(purpose) + 1;
	uint8		header_bytes[MAX_HEADER + 16];	/* so much room that it never grows */
	TaskapiBytes header = {header_bytes, 0, sizeof(header_bytes)};
	uint8		mac[PG_SHA256_DIGEST_LENGTH];
	int			start;
	char	   *result;

	taskapi_bytes_append_byte(&header, TOKEN_VERSION);
	taskapi_bytes_append_varint(&header, key->key_id);
	taskapi_bytes_append(&header, &issued, sizeof(issued));

	/* Up against the payload */
	start = MAX_HEADER - header.len;
	memcpy(buf->data + start, purpose, purpose_len);
	memcpy(buf->data + start + purpose_len, header.data, header.len);
	compute_mac(key, buf->data + start, buf->len - start, mac);
	taskapi_bytes_append(buf, mac, TASKAPI_TOKEN_MAC_LENGTH);

	start += purpose_len;
	result = palloc(before + TASKAPI_BASE64URL_ENCODED_LEN(buf->len - start) + after + 1);
	*len = taskapi_base64url_encode(buf->data + start, buf->len - start, result + before);
	result[before + *len + after] = '\0';
	pfree(buf->data);
	taskapi_count(TASKAPI_COUNTER_CURSORS_MADE, 1);
	return result;
}

uint8 *
taskapi_token_open(const char *purpose, const char *token, int token_len, int *len, Node *escontext)
{
	static const char *const not_ours = "It is not a token that was made here.";
	int			purpose_len = strlen(purpose) + 1;
	uint8	   *signed_data;
	uint8	   *data;
	const uint8 *pos;
	const uint8 *end;
	uint64		key_id;
	const TaskapiSecret *key;
	uint8		mac[PG_SHA256_DIGEST_LENGTH];
	uint32		issued;
	uint8	   *payload;

	if (token_len > MAX_TOKEN_LENGTH)
		return refuse(escontext, not_ours);
	signed_data = palloc(purpose_len + TASKAPI_BASE64URL_DECODED_LEN(token_len) + 1);
	memcpy(signed_data, purpose, purpose_len);
	data = signed_data + purpose_len;
	*len = taskapi_base64url_decode(token, token_len, data);
	if (*len < 1 + TASKAPI_TOKEN_MAC_LENGTH || data[0] != TOKEN_VERSION)
		return refuse(escontext, not_ours);
	end = data + *len - TASKAPI_TOKEN_MAC_LENGTH;
	pos = data + 1;
	if (!taskapi_read_varint(&pos, end, &key_id) || key_id > PG_INT32_MAX ||
		end - pos < sizeof(issued) ||
		(key = taskapi_secret_find(SECRET_PURPOSE, (int) key_id)) == NULL)
		return refuse(escontext, not_ours);

	compute_mac(key, signed_data, end - signed_data, mac);
	if (timingsafe_bcmp(mac, end, TASKAPI_TOKEN_MAC_LENGTH) != 0)
		return refuse(escontext, not_ours);

	memcpy(&issued, pos, sizeof(issued));
	pos += sizeof(issued);
	if (taskapi_cursor_ttl > 0 && seconds_now() - ISSUE_EPOCH - (int64) pg_ntoh32(issued) > taskapi_cursor_ttl)
	{
		taskapi_count(TASKAPI_COUNTER_CURSORS_REFUSED, 1);
		taskapi_problem_soft(escontext, PROBLEM_CURSOR_EXPIRED, "It is older than %d seconds.", taskapi_cursor_ttl);
		return NULL;
	}

	/* One byte more, so that the payload can be taken for a StringInfo's data */
	*len = end - pos;
	payload = palloc(*len + 1);
	memcpy(payload, pos, *len);
	payload[*len] = '\0';
	pfree(signed_data);
	taskapi_count(TASKAPI_COUNTER_CURSORS_OPENED, 1);
	return payload;
}

static uint8 *
refuse(Node *escontext, const char *details)
{
	taskapi_count(TASKAPI_COUNTER_CURSORS_REFUSED, 1);
	taskapi_problem_soft(escontext, PROBLEM_INVALID_CURSOR, "%s", details);
	return NULL;
}

static void
compute_mac(const TaskapiSecret *key, const uint8 *data, int len, uint8 *mac)
{
	bool		keyed = hmac_key && hmac_key_len == key->len && memcmp(hmac_key, key->bytes, key->len) == 0;

	if (hmac == NULL)
		make_hmac();
	if (!keyed)
	{
		set_key(key);
		keyed = (hmac_key != NULL);
	}
	if (keyed ? hmac_once(NULL, 0, data, len, mac) :
		hmac_once(key->bytes, key->len, data, len, mac))
		return;

	forget_key();
	ereport(ERROR,
			(errcode(ERRCODE_INTERNAL_ERROR),
			 errmsg("could not compute HMAC: %s", pg_hmac_error(hmac))));
}

static void
make_hmac(void)
{
	ResourceOwner old = CurrentResourceOwner;

	CurrentResourceOwner = ResourceOwnerCreate(NULL, "taskapi tokens");
	PG_TRY();
	{
		hmac = pg_hmac_create(PG_SHA256);
	}
	PG_FINALLY();
	{
		CurrentResourceOwner = old;
	}
	PG_END_TRY();
}

/*
 * Give the context its key, and find out whether it keeps it.
 */
static void
set_key(const TaskapiSecret *key)
{
	uint8		with_key[PG_SHA256_DIGEST_LENGTH];
	uint8		without[PG_SHA256_DIGEST_LENGTH];

	forget_key();
	if (hmac_once(key->bytes, key->len, (const uint8 *) "", 1, with_key) &&
		hmac_once(NULL, 0, (const uint8 *) "", 1, without) &&
		memcmp(with_key, without, sizeof(with_key)) == 0)
	{
		uint8	   *copy = MemoryContextAlloc(TopMemoryContext, key->len);

		memcpy(copy, key->bytes, key->len);
		hmac_key_len = key->len;
		hmac_key = copy;
	}
}

static void
forget_key(void)
{
	if (hmac_key)
	{
		explicit_bzero(hmac_key, hmac_key_len);
		pfree(hmac_key);
		hmac_key = NULL;
	}
}

static bool
hmac_once(const uint8 *key, int key_len, const uint8 *data, int len, uint8 *mac)
{
	return pg_hmac_init(hmac, key, key_len) >= 0 &&
		pg_hmac_update(hmac, data, len) >= 0 &&
		pg_hmac_final(hmac, mac, PG_SHA256_DIGEST_LENGTH) >= 0;
}

/*
 * Seconds since 2000-01-01 00:00 UTC, the same throughout a statement.
 */
static int64
seconds_now(void)
{
	return GetCurrentStatementStartTimestamp() / USECS_PER_SEC;
}
