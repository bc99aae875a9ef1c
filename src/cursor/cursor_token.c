/*-------------------------------------------------------------------------
 *
 * cursor_token.c
 *	  Sealing and opening tokens (cursor_token.h).
 *
 * Purpose (with its terminator, which is the zero byte between), header and payload stand in one buffer, so that the MAC
 * takes them at once.  The key is looked up for each token, since another session may have rotated or retired keys,
 * and when the payload is there, which may have been written by code that changed them.
 *
 * RFC 2104 and RFC 4231 for the MAC; truncation to 128 bits is that of RFC 4868.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/sha2.h"
#include "port/pg_bswap.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "base/base64url.h"
#include "base/clock.h"
#include "base/compat.h"
#include "base/counters.h"
#include "base/hmac.h"
#include "base/secret.h"
#include "cursor/cursor_token.h"
#include "http/problem.h"

#define TOKEN_VERSION	1
#define SECRET_PURPOSE	"cursor"

/* version, the longest key id, issue time */
#define MAX_HEADER		(1 + 5 + 4)

/* Longer tokens are not ours to make: a cursor is at most what fits an index page and a little more */
#define MAX_TOKEN_LENGTH	(64 * 1024 * 1024)

#define NOT_OURS	"It is not a token of this database."

static const struct
{
	const char *purpose;
	const char *misplaced;
}			purposes[] = {
	{TASKAPI_CURSOR_PURPOSE, "It is the cursor of a row, which is compared with cursors, as in cursor=gt.TOKEN."},
	{TASKAPI_PAGE_PURPOSE, "It is a page token: give it as page_token to the function that returned it."},
	{TASKAPI_FEED_PURPOSE, "It is a token of the change feed: give it as page_token to the function that returned it."}
};

int			taskapi_cursor_ttl = 0;

static const char *misplaced(const TaskapiSecret *key, const uint8 *data, const uint8 *end);
static int64 token_time(void);
static uint8 *refuse(Node *escontext, const char *details);

void
taskapi_cursor_token_init(void)
{
	DefineCustomIntVariable("taskapi.cursor_ttl",
							"Sets how long cursors and page tokens can be used.",
							"0 means no limit. Tokens made without a limit hold no time, and expire once a limit is set.",
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
	uint32		issued = taskapi_cursor_ttl > 0 ? pg_hton32((uint32) token_time()) : 0;
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
	taskapi_hmac_sha256(key->bytes, key->len, true, buf->data + start, buf->len - start, mac);
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
		return refuse(escontext, NOT_OURS);
	signed_data = palloc(purpose_len + TASKAPI_BASE64URL_DECODED_LEN(token_len) + 1);
	memcpy(signed_data, purpose, purpose_len);
	data = signed_data + purpose_len;
	*len = taskapi_base64url_decode(token, token_len, data);
	if (*len < 1 + TASKAPI_TOKEN_MAC_LENGTH || data[0] != TOKEN_VERSION)
		return refuse(escontext, NOT_OURS);
	end = data + *len - TASKAPI_TOKEN_MAC_LENGTH;
	pos = data + 1;
	if (!taskapi_read_varint(&pos, end, &key_id) || key_id > PG_INT32_MAX ||
		end - pos < sizeof(issued) ||
		(key = taskapi_secret_find(SECRET_PURPOSE, (int) key_id)) == NULL)
		return refuse(escontext, NOT_OURS);

	taskapi_hmac_sha256(key->bytes, key->len, true, signed_data, end - signed_data, mac);
	if (timingsafe_bcmp(mac, end, TASKAPI_TOKEN_MAC_LENGTH) != 0)
		return refuse(escontext, misplaced(key, data, end));

	memcpy(&issued, pos, sizeof(issued));
	pos += sizeof(issued);
	if (taskapi_cursor_ttl > 0 && token_time() - (int64) pg_ntoh32(issued) > taskapi_cursor_ttl)
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

/*
 * What to say of a token that is none of the wanted purpose: where it belongs, if its MAC is right for another one.
 */
static const char *
misplaced(const TaskapiSecret *key, const uint8 *data, const uint8 *end)
{
	const char *result = NOT_OURS;

	for (int i = 0; i < lengthof(purposes); i++)
	{
		int			purpose_len = strlen(purposes[i].purpose) + 1;
		uint8	   *signed_data = palloc(purpose_len + (end - data));
		uint8		mac[PG_SHA256_DIGEST_LENGTH];

		memcpy(signed_data, purposes[i].purpose, purpose_len);
		memcpy(signed_data + purpose_len, data, end - data);
		taskapi_hmac_sha256(key->bytes, key->len, true, signed_data, purpose_len + (end - data), mac);
		if (timingsafe_bcmp(mac, end, TASKAPI_TOKEN_MAC_LENGTH) == 0)
			result = purposes[i].misplaced;
		pfree(signed_data);
	}
	return result;
}

static uint8 *
refuse(Node *escontext, const char *details)
{
	taskapi_count(TASKAPI_COUNTER_CURSORS_REFUSED, 1);
	taskapi_problem_soft(escontext, PROBLEM_INVALID_CURSOR, "%s", details);
	return NULL;
}

/* The same throughout a statement */
static int64
token_time(void)
{
	return taskapi_timestamptz_to_token_time(GetCurrentStatementStartTimestamp());
}
