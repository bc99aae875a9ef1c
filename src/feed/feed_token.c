/*-------------------------------------------------------------------------
 *
 * feed_token.c
 *	  Page tokens of the change feed (feed_token.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "cursor/cursor_token.h"
#include "cursor/cursor_wire.h"
#include "feed/feed_token.h"
#include "http/problem.h"

#define FEED_TOKEN		0x10
#define FEED_WALKING	0x01
#define FEED_POSITION	0x02
#define FEED_FLAGS		(FEED_TOKEN | FEED_WALKING | FEED_POSITION)

static void append_snapshot(TaskapiBytes *buf, const TaskapiFeedSnapshot *snapshot);
static bool read_snapshot(const uint8 **pos, const uint8 *end, TaskapiFeedSnapshot *snapshot);
static bool read_digest(const uint8 **pos, const uint8 *end, uint8 *digest);
static bool read_payload(const uint8 *pos, const uint8 *end, TaskapiFeedToken *token);

char *
taskapi_feed_token_seal(const TaskapiFeedToken *token)
{
	TaskapiBytes payload;

	taskapi_bytes_init(&payload, 128);
	taskapi_bytes_append_byte(&payload, FEED_TOKEN | (token->walking ? FEED_WALKING : 0) |
							  (token->walking && token->positioned ? FEED_POSITION : 0));
	taskapi_bytes_append(&payload, token->binding, TASKAPI_FEED_DIGEST);
	taskapi_bytes_append(&payload, token->history, TASKAPI_FEED_DIGEST);
	taskapi_bytes_append(&payload, token->scope, TASKAPI_FEED_DIGEST);
	append_snapshot(&payload, &token->base);
	if (token->walking)
		append_snapshot(&payload, &token->target);
	if (token->walking && token->positioned)
	{
		taskapi_bytes_append_varint(&payload, token->stamp);
		taskapi_bytes_append(&payload, token->key, token->key_length);
	}
	return taskapi_token_seal(TASKAPI_FEED_PURPOSE, payload.data, payload.len);
}

static void
append_snapshot(TaskapiBytes *buf, const TaskapiFeedSnapshot *snapshot)
{
	uint64		above = snapshot->xmax;

	taskapi_bytes_append_varint(buf, snapshot->xmax);
	taskapi_bytes_append_varint(buf, snapshot->n);
	for (int i = snapshot->n - 1; i >= 0; i--)
	{
		taskapi_bytes_append_varint(buf, above - snapshot->running[i]);
		above = snapshot->running[i];
	}
}

void
taskapi_feed_token_open(const char *text, int len, TaskapiFeedToken *token)
{
	int			payload_len;
	const uint8 *payload = taskapi_token_open(TASKAPI_FEED_PURPOSE, text, len, &payload_len, NULL);

	memset(token, 0, sizeof(TaskapiFeedToken));
	if (!read_payload(payload, payload + payload_len, token))
		taskapi_problem(PROBLEM_INVALID_CURSOR, NIL, NULL, TASKAPI_CURSOR_UNREADABLE);
}

/*
 * What is not as it was sealed is none of ours, but of a version to come.
 */
static bool
read_payload(const uint8 *pos, const uint8 *end, TaskapiFeedToken *token)
{
	uint8		flags;

	if (pos == end)
		return false;
	flags = *pos++;
	if ((flags & FEED_TOKEN) == 0 || (flags & ~FEED_FLAGS) != 0)
		return false;
	token->walking = (flags & FEED_WALKING) != 0;
	token->positioned = (flags & FEED_POSITION) != 0;
	if (!read_digest(&pos, end, token->binding) || !read_digest(&pos, end, token->history) ||
		!read_digest(&pos, end, token->scope) || !read_snapshot(&pos, end, &token->base))
		return false;
	if (token->walking && !read_snapshot(&pos, end, &token->target))
		return false;
	if (!token->positioned)
		return pos == end;
	if (!token->walking || !taskapi_read_varint(&pos, end, &token->stamp))
		return false;
	token->key = pos;
	token->key_length = end - pos;
	return true;
}

static bool
read_digest(const uint8 **pos, const uint8 *end, uint8 *digest)
{
	if (end - *pos < TASKAPI_FEED_DIGEST)
		return false;
	memcpy(digest, *pos, TASKAPI_FEED_DIGEST);
	*pos += TASKAPI_FEED_DIGEST;
	return true;
}

static bool
read_snapshot(const uint8 **pos, const uint8 *end, TaskapiFeedSnapshot *snapshot)
{
	uint64		n;
	uint64		above;

	if (!taskapi_read_varint(pos, end, &snapshot->xmax) || !taskapi_read_varint(pos, end, &n) || n > TASKAPI_FEED_RUNNING)
		return false;
	above = snapshot->xmax;
	snapshot->n = (int) n;
	for (int i = snapshot->n - 1; i >= 0; i--)
	{
		uint64		below;

		if (!taskapi_read_varint(pos, end, &below) || below == 0 || below > above)
			return false;
		above = snapshot->running[i] = above - below;
	}
	return true;
}
