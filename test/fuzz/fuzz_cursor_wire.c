/*
 * The wire form of a cursor, which stands behind the MAC of its token, with a key that has leaked: any bytes are refused, or
 * are a cursor that says where it ends, whose values can be read, and which written and read again is the same one.
 * Sources: src/cursor/cursor_wire.c src/cursor/cursor_shape.c src/cursor/cursor_descriptor.c src/cursor/cursor_key.c src/cursor/cursor_codec.c src/cursor/cursor_codec_bytes.c src/cursor/cursor_encoding.c src/base/base64url.c test/fuzz/catalog.c
 */
#include "postgres.h"

#include "nodes/nodes.h"

#include "base/compat.h"
#include "cursor/cursor_shape.h"
#include "cursor/cursor_wire.h"
#include "server.h"

#define WIRE_DIGEST 0x40

/* Any node will do: refusals are returned, not thrown. */
static Node soft;

/* NULL where it is refused, in whichever way */
static struct varlena *
read_wire(const uint8 **pos, const uint8 *end)
{
	TaskapiCursorShapeCache cache = {.parent = CurrentMemoryContext};
	struct varlena *volatile cursor = NULL;

	PG_TRY();
	{
		cursor = taskapi_cursor_read_wire(&cache, pos, end, false, &soft);
	}
	PG_CATCH();
	{
		cursor = NULL;
	}
	PG_END_TRY();
	return cursor;
}

static TaskapiBytes
write_wire(const struct varlena *cursor, TaskapiCursorView *view)
{
	TaskapiCursorShapeCache cache = {.parent = CurrentMemoryContext};
	TaskapiCursorShape *shape;
	TaskapiBytes wire;
	const uint8 *pos;

	taskapi_cursor_view(cursor, view);
	shape = taskapi_cursor_shape_of_cursor(&cache, view);
	pos = view->keys;
	for (int i = 0; i < shape->nterms; i++)
		pos = taskapi_cursor_key_skip(&shape->keys[i], pos, view->keys_end);
	PROPERTY(pos == view->keys_end);
	taskapi_bytes_init(&wire, 128);
	taskapi_cursor_write_wire(shape, view, &wire);
	return wire;
}

static void
body(const uint8 *data, size_t size)
{
	const uint8 *pos = data;
	const uint8 *whole;
	struct varlena *cursor = read_wire(&pos, data + size);
	struct varlena *again;
	TaskapiCursorView view;
	TaskapiCursorView view_again;
	TaskapiBytes wire;
	TaskapiBytes wire_again;

	if (cursor == NULL)
		return;
	PROPERTY(pos > data && pos <= data + size);

	/* what stands behind it counts for nothing, and no part of it is a whole */
	whole = data;
	again = read_wire(&whole, pos);
	PROPERTY(again != NULL && whole == pos);
	PROPERTY(VARSIZE(again) == VARSIZE(cursor) && memcmp(again, cursor, VARSIZE(cursor)) == 0);
	whole = data;
	PROPERTY(read_wire(&whole, pos - 1) == NULL);

	wire = write_wire(cursor, &view);
	whole = wire.data;
	again = read_wire(&whole, wire.data + wire.len);
	PROPERTY(again != NULL && whole == wire.data + wire.len);
	wire_again = write_wire(again, &view_again);
	PROPERTY(wire_again.len == wire.len && memcmp(wire_again.data, wire.data, wire.len) == 0);
	PROPERTY(taskapi_cursor_descriptor_match(view.descriptor, view.descriptor_len, view_again.descriptor, view_again.descriptor_len) == CURSOR_MATCHES);
	PROPERTY(view.keys_end - view.keys == view_again.keys_end - view_again.keys &&
			 memcmp(view.keys, view_again.keys, view.keys_end - view.keys) == 0);
	/* names may have become their digest */
	if ((wire.data[0] & WIRE_DIGEST) == (data[0] & WIRE_DIGEST))
		PROPERTY(VARSIZE(again) == VARSIZE(cursor) && memcmp(again, cursor, VARSIZE(cursor)) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	run_protected(body, data, size);
	return 0;
}
