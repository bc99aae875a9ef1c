/*-------------------------------------------------------------------------
 *
 * cursor.c
 *	  The type taskapi.cursor: input and output.
 *
 * Output is STABLE (it signs, with the time), input is STABLE (it verifies); a Datum
 * of the type is therefore a verified one.  Input takes only keys of types whose
 * comparison is leakproof (cursor_key.h), as the constructor does.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "libpq/pqformat.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "cursor/cursor_wire.h"
#include "cursor/cursor.h"
#include "cursor/cursor_shape.h"
#include "cursor/cursor_token.h"
#include "http/problem.h"

static char *seal(TaskapiCursorShapeCache *cache, const struct varlena *cursor, int before, int after, int *len);
static struct varlena *open_token(TaskapiCursorShapeCache *cache, const char *token, int len, Node *escontext);

/*
 * Input and output: the token.
 */
PG_FUNCTION_INFO_V1(taskapi_cursor_in);
Datum
taskapi_cursor_in(PG_FUNCTION_ARGS)
{
	char	   *token = PG_GETARG_CSTRING(0);
	struct varlena *cursor = open_token(taskapi_cursor_shape_cache(fcinfo->flinfo), token, strlen(token), fcinfo->context);

	if (cursor == NULL)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(cursor);
}

PG_FUNCTION_INFO_V1(taskapi_cursor_out);
Datum
taskapi_cursor_out(PG_FUNCTION_ARGS)
{
	int			len;

	PG_RETURN_CSTRING(seal(taskapi_cursor_shape_cache(fcinfo->flinfo), PG_GETARG_VARLENA_PP(0), 0, 0, &len));
}

PG_FUNCTION_INFO_V1(taskapi_cursor_recv);
Datum
taskapi_cursor_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	int			len = buf->len - buf->cursor;
	const char *token = pq_getmsgbytes(buf, len);

	PG_RETURN_POINTER(open_token(taskapi_cursor_shape_cache(fcinfo->flinfo), token, len, NULL));
}

PG_FUNCTION_INFO_V1(taskapi_cursor_send);
Datum
taskapi_cursor_send(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P((bytea *) taskapi_cursor_seal(taskapi_cursor_shape_cache(fcinfo->flinfo), PG_GETARG_VARLENA_PP(0)));
}

/*
 * cursor_json(cursor) -> json
 *
 * The token as a JSON string.  The cast by which the JSON functions write a cursor: it knows that no character of
 * a token needs to be escaped, so that they need not look.
 */
PG_FUNCTION_INFO_V1(taskapi_cursor_json);
Datum
taskapi_cursor_json(PG_FUNCTION_ARGS)
{
	int			len;
	char	   *result = seal(taskapi_cursor_shape_cache(fcinfo->flinfo), PG_GETARG_VARLENA_PP(0), VARHDRSZ + 1, 1, &len);

	SET_VARSIZE(result, VARHDRSZ + len + 2);
	result[VARHDRSZ] = '"';
	result[VARHDRSZ + 1 + len] = '"';
	PG_RETURN_TEXT_P((text *) result);
}

struct varlena *
taskapi_cursor_open(const char *token, int len, Node *escontext)
{
	TaskapiCursorShapeCache cache = {.parent = CurrentMemoryContext};
	struct varlena *cursor = open_token(&cache, token, len, escontext);

	taskapi_cursor_shape_cache_free(&cache);
	return cursor;
}

/*
 * The token, with room before and after it as for taskapi_token_finish().
 */
static char *
seal(TaskapiCursorShapeCache *cache, const struct varlena *cursor, int before, int after, int *len)
{
	TaskapiCursorView view;
	TaskapiBytes buf;

	taskapi_cursor_view(cursor, &view);
	taskapi_token_begin(&buf, TASKAPI_CURSOR_PURPOSE);
	taskapi_cursor_write_wire(taskapi_cursor_shape_of_cursor(cache, &view), &view, &buf);
	return taskapi_token_finish(&buf, TASKAPI_CURSOR_PURPOSE, before, after, len);
}

text *
taskapi_cursor_seal(TaskapiCursorShapeCache *cache, const struct varlena *cursor)
{
	int			len;
	char	   *result = seal(cache, cursor, VARHDRSZ, 0, &len);

	SET_VARSIZE(result, VARHDRSZ + len);
	return (text *) result;
}

static struct varlena *
open_token(TaskapiCursorShapeCache *cache, const char *token, int len, Node *escontext)
{
	int			payload_len;
	uint8	   *payload = taskapi_token_open(TASKAPI_CURSOR_PURPOSE, token, len, &payload_len, escontext);
	const uint8 *pos = payload;
	struct varlena *cursor;

	if (payload == NULL)
		return NULL;
	cursor = taskapi_cursor_read_wire(cache, &pos, payload + payload_len, true, escontext);
	if (cursor != NULL && pos != payload + payload_len)
	{
		taskapi_problem_soft(escontext, PROBLEM_INVALID_CURSOR, TASKAPI_CURSOR_UNREADABLE);
		return NULL;
	}
	return cursor;
}

/*
 * cursor_decode(token text) -> TABLE (position int, key text, type regtype, descending bool, nulls_first bool, value text)
 *
 * What a token says.  The key is NULL where the token has only a digest of long names.
 */
PG_FUNCTION_INFO_V1(taskapi_cursor_decode);
Datum
taskapi_cursor_decode(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	text	   *token = PG_GETARG_TEXT_PP(0);
	TaskapiCursorShapeCache cache = {.parent = CurrentMemoryContext};
	TaskapiCursorView view;
	TaskapiCursorShape *shape;
	Datum		keys[TASKAPI_MAX_ORDER_TERMS];
	bool		keynull[TASKAPI_MAX_ORDER_TERMS];
	const char *name;

	InitMaterializedSRF(fcinfo, 0);
	taskapi_cursor_view(taskapi_cursor_open(VARDATA_ANY(token), VARSIZE_ANY_EXHDR(token), NULL), &view);
	shape = taskapi_cursor_shape_of_cursor(&cache, &view);
	if (!taskapi_cursor_read_keys(shape, &view, keys, keynull))
		taskapi_cursor_mismatch(CURSOR_OTHER_TYPES);

	name = (const char *) shape->descriptor + 1 + shape->nterms;
	for (int i = 0; i < shape->nterms; i++)
	{
		int			name_len = CURSOR_TERM_NAME_LENGTH(shape->descriptor[1 + i]);
		Datum		values[6];
		bool		nulls[6] = {false};

		values[0] = Int32GetDatum(i + 1);
		nulls[1] = (name_len == 0);
		values[1] = nulls[1] ? (Datum) 0 : PointerGetDatum(cstring_to_text_with_len(name, name_len));
		values[2] = ObjectIdGetDatum(shape->keys[i].typid);
		values[3] = BoolGetDatum(shape->keys[i].descending);
		values[4] = BoolGetDatum(shape->keys[i].nulls_first);
		nulls[5] = keynull[i];
		if (!nulls[5])
		{
			Oid			output;
			bool		isvarlena;

			getTypeOutputInfo(shape->keys[i].typid, &output, &isvarlena);
			values[5] = CStringGetTextDatum(OidOutputFunctionCall(output, keys[i]));
		}
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		name += name_len;
	}
	return (Datum) 0;
}
