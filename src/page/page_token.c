/*-------------------------------------------------------------------------
 *
 * page_token.c
 *	  Page tokens (page_token.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/base64url.h"
#include "base/compat.h"
#include "cursor/cursor_wire.h"
#include "cursor/cursor_token.h"
#include "cursor/cursor.h"
#include "base/fingerprint.h"
#include "page/page_token.h"
#include "http/problem.h"
#include "base/sha256.h"

#define PAGE_TOKEN		0xC0
#define PAGE_BACKWARD	0x01
#define PAGE_INCLUSIVE	0x02

/* The most that stands in front of the payload (16 bytes, with its first one), in whole groups of base64 */
#define HEAD_CHARACTERS 24

static bool is_page_token(const char *token, int len);

void
taskapi_page_binding(const TaskapiPageSource *source, const TaskapiPageSource *other, List *conditions, uint8 *binding)
{
	uint8		filter[TASKAPI_FINGERPRINT_LEN];
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	TaskapiBytes buf;

	taskapi_fingerprint_jsonb(taskapi_filter_canonical(conditions), filter);
	taskapi_bytes_init(&buf, 2 * NAMEDATALEN + sizeof(filter));
	taskapi_bytes_append(&buf, source->schema, strlen(source->schema) + 1);
	taskapi_bytes_append(&buf, source->name, strlen(source->name) + 1);
	taskapi_bytes_append(&buf, filter, sizeof(filter));
	if (other)
	{
		taskapi_bytes_append(&buf, other->schema, strlen(other->schema) + 1);
		taskapi_bytes_append(&buf, other->name, strlen(other->name) + 1);
	}
	taskapi_sha256(buf.data, buf.len, digest);
	pfree(buf.data);
	memcpy(binding, digest, TASKAPI_PAGE_BINDING_LENGTH);
}

char *
taskapi_page_token_seal(TaskapiPageQuery *query, const uint8 *binding, const TaskapiPagePosition *position)
{
	TaskapiCursorView view;
	TaskapiBytes payload;

	taskapi_bytes_init(&payload, 128);
	taskapi_bytes_append_byte(&payload, PAGE_TOKEN | (position->backward ? PAGE_BACKWARD : 0) |
							  (position->inclusive ? PAGE_INCLUSIVE : 0));
	taskapi_bytes_append(&payload, binding, TASKAPI_PAGE_BINDING_LENGTH);
	taskapi_cursor_view(taskapi_cursor_build(query->cursor, position->values, position->isnull), &view);
	taskapi_cursor_write_wire(query->cursor, &view, &payload);
	return taskapi_token_seal(TASKAPI_PAGE_PURPOSE, payload.data, payload.len);
}

void
taskapi_page_token_open(TaskapiPageQuery *query, const uint8 *binding, const char *token, int len,
						bool cursors, TaskapiPagePosition *position)
{
	struct varlena *cursor;

	if (cursors && !is_page_token(token, len))
	{
		cursor = taskapi_cursor_open(token, len, NULL);
		position->backward = position->inclusive = false;
	}
	else
	{
		int			payload_len;
		uint8	   *payload = taskapi_token_open(TASKAPI_PAGE_PURPOSE, token, len, &payload_len, NULL);
		const uint8 *pos = payload + 1 + TASKAPI_PAGE_BINDING_LENGTH;

		if (payload_len <= 1 + TASKAPI_PAGE_BINDING_LENGTH || (payload[0] & PAGE_TOKEN) != PAGE_TOKEN)
			taskapi_problem(PROBLEM_INVALID_CURSOR, NIL, NULL, "Its contents cannot be read.");
		if (memcmp(payload + 1, binding, TASKAPI_PAGE_BINDING_LENGTH) != 0)
			taskapi_problem(PROBLEM_CURSOR_MISMATCH, NIL, "Ask for the first page again.",
							"It is the token of another source or filter.");
		position->backward = (payload[0] & PAGE_BACKWARD) != 0;
		position->inclusive = (payload[0] & PAGE_INCLUSIVE) != 0;
		cursor = taskapi_cursor_read_wire(&query->opened, &pos, payload + payload_len, false, NULL);
	}
	taskapi_cursor_values(query->cursor, cursor, position->values, position->isnull);
}

/*
 * Which of the two kinds a token says it is.  This chooses what it is verified as, and proves nothing, so that only
 * the beginning is decoded: version, key id and issue time, then the first byte of the payload.
 */
static bool
is_page_token(const char *token, int len)
{
	uint8		data[TASKAPI_BASE64URL_DECODED_LEN(HEAD_CHARACTERS)];
	const uint8 *pos = data + 1;
	const uint8 *end = data + taskapi_base64url_decode(token, Min(len, HEAD_CHARACTERS), data);
	uint64		key_id;

	return end > pos && taskapi_read_varint(&pos, end, &key_id) && end - pos > sizeof(uint32) &&
		(pos[sizeof(uint32)] & PAGE_TOKEN) == PAGE_TOKEN;
}
