/*-------------------------------------------------------------------------
 *
 * cursor_codec_bytes.c
 *	  The codecs of values whose length varies (cursor_codec.h).
 *
 * The binary form of these is preceded by its length.  Numeric and the types without an encoding travel as their own
 * send functions write them; text, bytea and name are written here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tupmacs.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "base/compat.h"
#include "cursor/cursor_codec_bytes.h"
#include "cursor/cursor_wire.h"
#include "http/problem.h"

static int	begin_server_encoding(void);
static void end_server_encoding(int client);
static bytea *send_value(TaskapiCursorKeyType *type, Datum value);
static Datum receive_value(TaskapiCursorKeyType *type, StringInfo buf);

/* The tail keeps the display scale. */
static void
encode_numeric(const TaskapiCursorKeyType *type, Datum value, TaskapiBytes *key, TaskapiCursorKeyTail *tail)
{
	int			dscale = -1;

	taskapi_encode_numeric(key, DatumGetNumeric(value), &dscale);
	if (dscale >= 0)
	{
		taskapi_cursor_tail_begin(tail);
		taskapi_bytes_append_varint(tail->bytes, dscale);
	}
}

static bool
decode_numeric(const TaskapiCursorKeyType *type, TaskapiCursorKeyReader *in, Datum *value)
{
	int			dscale = in->has_tail ? (int) taskapi_cursor_read_tail(in) : -1;

	*value = taskapi_decode_numeric(&in->pos, in->flip, dscale);
	return true;
}

static void
skip_numeric(const TaskapiCursorKeyType *type, TaskapiCursorKeyReader *in)
{
	in->pos = taskapi_skip_numeric(in->pos, in->flip);
}

/* Strings: the tail of a bpchar keeps how many blanks are behind it. */
static void
encode_bytea(const TaskapiCursorKeyType *type, Datum value, TaskapiBytes *key, TaskapiCursorKeyTail *tail)
{
	bytea	   *b = DatumGetByteaPP(value);

	taskapi_encode_bytea(key, (uint8 *) VARDATA_ANY(b), VARSIZE_ANY_EXHDR(b));
}

static bool
decode_bytea(const TaskapiCursorKeyType *type, TaskapiCursorKeyReader *in, Datum *value)
{
	int			len;
	uint8	   *copy = taskapi_decode_bytea(&in->pos, in->flip, &len);

	SET_VARSIZE(copy, VARHDRSZ + len);
	*value = PointerGetDatum(copy);
	return true;
}

static void
skip_bytea(const TaskapiCursorKeyType *type, TaskapiCursorKeyReader *in)
{
	for (in->pos++;; in->pos += 2)
	{
		in->pos = memchr(in->pos, in->flip, in->end - in->pos);
		if ((in->pos[1] ^ in->flip) == 0x00)
			break;
	}
	in->pos += 2;
}

static void
encode_text(const TaskapiCursorKeyType *type, Datum value, TaskapiBytes *key, TaskapiCursorKeyTail *tail)
{
	text	   *t = DatumGetTextPP(value);

	taskapi_encode_text(key, VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t));
}

static void
encode_bpchar(const TaskapiCursorKeyType *type, Datum value, TaskapiBytes *key, TaskapiCursorKeyTail *tail)
{
	BpChar	   *t = DatumGetBpCharPP(value);
	int			len = VARSIZE_ANY_EXHDR(t);
	int			trimmed = bpchartruelen(VARDATA_ANY(t), len);

	taskapi_encode_text(key, VARDATA_ANY(t), trimmed);
	if (trimmed < len)
	{
		taskapi_cursor_tail_begin(tail);
		taskapi_bytes_append_varint(tail->bytes, len - trimmed);
	}
}

static bool
decode_text(const TaskapiCursorKeyType *type, TaskapiCursorKeyReader *in, Datum *value)
{
	int			len;
	uint8	   *copy = taskapi_decode_text(&in->pos, in->flip, VARHDRSZ, &len);

	if (in->has_tail)
	{
		uint64		blanks = taskapi_cursor_read_tail(in);

		copy = repalloc(copy, VARHDRSZ + len + blanks);
		memset(copy + VARHDRSZ + len, ' ', blanks);
		len += blanks;
	}
	SET_VARSIZE(copy, VARHDRSZ + len);
	*value = PointerGetDatum(copy);
	return true;
}

static void
encode_name(const TaskapiCursorKeyType *type, Datum value, TaskapiBytes *key, TaskapiCursorKeyTail *tail)
{
	Name		name = DatumGetName(value);

	taskapi_encode_text(key, NameStr(*name), strlen(NameStr(*name)));
}

static bool
decode_name(const TaskapiCursorKeyType *type, TaskapiCursorKeyReader *in, Datum *value)
{
	int			len;
	uint8	   *copy = taskapi_decode_text(&in->pos, in->flip, 0, &len);
	Name		name = palloc0(sizeof(NameData));

	memcpy(NameStr(*name), copy, Min(len, NAMEDATALEN - 1));
	pfree(copy);
	*value = NameGetDatum(name);
	return true;
}

static void
skip_text(const TaskapiCursorKeyType *type, TaskapiCursorKeyReader *in)
{
	in->pos = (const uint8 *) memchr(in->pos + 1, in->flip, in->end - in->pos - 1) + 1;
}

/* Anything else is never inverted, and compared by its type. */
static void
encode_raw(const TaskapiCursorKeyType *type, Datum value, TaskapiBytes *buf, TaskapiCursorKeyTail *tail)
{
	taskapi_bytes_append_byte(buf, CURSOR_TAG_VALUE);
	if (type->typbyval)
	{
		Datum		aligned;

		store_att_byval(&aligned, value, type->typlen);
		taskapi_bytes_append_varint(buf, type->typlen);
		taskapi_bytes_append(buf, &aligned, type->typlen);
	}
	else if (type->typlen > 0)
	{
		taskapi_bytes_append_varint(buf, type->typlen);
		taskapi_bytes_append(buf, DatumGetPointer(value), type->typlen);
	}
	else
	{
		struct varlena *v = PG_DETOAST_DATUM_PACKED(value);

		taskapi_bytes_append_varint(buf, VARSIZE_ANY_EXHDR(v));
		taskapi_bytes_append(buf, VARDATA_ANY(v), VARSIZE_ANY_EXHDR(v));
	}
}

static bool
decode_raw(const TaskapiCursorKeyType *type, TaskapiCursorKeyReader *in, Datum *value)
{
	*value = taskapi_cursor_decode_raw(type, &in->pos, in->end);
	return true;
}

static void
skip_raw(const TaskapiCursorKeyType *type, TaskapiCursorKeyReader *in)
{
	uint64		len = 0;

	in->pos++;
	taskapi_read_varint(&in->pos, in->end, &len);
	in->pos += len;
}

Datum
taskapi_cursor_decode_raw(const TaskapiCursorKeyType *type, const uint8 **pos, const uint8 *end)
{
	const uint8 *p = *pos + 1;
	uint64		len = 0;
	Datum		result;

	taskapi_read_varint(&p, end, &len);
	if (type->typbyval)
	{
		Datum		aligned = 0;

		memcpy(&aligned, p, Min(len, sizeof(Datum)));
		result = fetch_att(&aligned, true, type->typlen);
	}
	else
	{
		int			header = type->typlen == -1 ? VARHDRSZ : 0;
		uint8	   *copy = palloc(header + len);

		memcpy(copy + header, p, len);
		if (header)
			SET_VARSIZE(copy, header + len);
		result = PointerGetDatum(copy);
	}
	*pos = p + len;
	return result;
}

/*
 * The binary forms.
 */
static void
append_with_length(TaskapiBytes *buf, const void *data, int len)
{
	taskapi_bytes_append_varint(buf, len);
	taskapi_bytes_append(buf, data, len);
}

static void
write_varlena(TaskapiCursorKeyType *type, Datum value, TaskapiBytes *buf)
{
	struct varlena *v = (struct varlena *) DatumGetPointer(value);

	append_with_length(buf, VARDATA_ANY(v), VARSIZE_ANY_EXHDR(v));
}

static bool
read_bytea(TaskapiCursorKeyType *type, const uint8 *p, int len, Datum *value)
{
	*value = PointerGetDatum(cstring_to_text_with_len((const char *) p, len));
	return true;
}

static bool
read_text(TaskapiCursorKeyType *type, const uint8 *p, int len, Datum *value)
{
	return pg_verify_mbstr(GetDatabaseEncoding(), (const char *) p, len, true) &&
		read_bytea(type, p, len, value);
}

static void
write_name(TaskapiCursorKeyType *type, Datum value, TaskapiBytes *buf)
{
	const char *name = NameStr(*DatumGetName(value));

	append_with_length(buf, name, strlen(name));
}

static bool
read_name(TaskapiCursorKeyType *type, const uint8 *p, int len, Datum *value)
{
	Name		name = palloc0(sizeof(NameData));

	if (len >= NAMEDATALEN || !pg_verify_mbstr(GetDatabaseEncoding(), (const char *) p, len, true))
		return false;
	memcpy(NameStr(*name), p, len);
	*value = NameGetDatum(name);
	return true;
}

static void
write_sent(TaskapiCursorKeyType *type, Datum value, TaskapiBytes *buf)
{
	bytea	   *sent;

	if (type->kind == CURSOR_KEY_NUMERIC)
		sent = DatumGetByteaP(DirectFunctionCall1(numeric_send, value));
	else
		sent = send_value(type, value);
	append_with_length(buf, VARDATA_ANY(sent), VARSIZE_ANY_EXHDR(sent));
}

static bool
read_sent(TaskapiCursorKeyType *type, const uint8 *p, int len, Datum *value)
{
	StringInfoData buf;

	/* a copy, since some receive functions write behind an element while they read it */
	initStringInfo(&buf);
	appendBinaryStringInfo(&buf, (const char *) p, len);
	*value = receive_value(type, &buf);
	return buf.cursor == buf.len;
}

/*
 * Text in a type's binary form is converted to and from the client's encoding.  A token is one byte string
 * whoever asks for it, so the client's is the server's for the time of the call.  Returns what to restore.
 */
static int
begin_server_encoding(void)
{
	int			client = pg_get_client_encoding();

	if (client != GetDatabaseEncoding())
		SetClientEncoding(GetDatabaseEncoding());
	return client;
}

static void
end_server_encoding(int client)
{
	if (client != pg_get_client_encoding())
		SetClientEncoding(client);
}

static bytea *
send_value(TaskapiCursorKeyType *type, Datum value)
{
	bytea	   *volatile result = NULL;
	int			client = begin_server_encoding();

	PG_TRY();
	{
		result = SendFunctionCall(&type->send, value);
	}
	PG_FINALLY();
	{
		end_server_encoding(client);
	}
	PG_END_TRY();
	return result;
}

/*
 * A value that its type no longer takes (a label of an enum that was renamed, a composite type that got a
 * column) makes an invalid cursor, not an error of that type's own.
 */
static Datum
receive_value(TaskapiCursorKeyType *type, StringInfo buf)
{
	volatile Datum result = (Datum) 0;
	MemoryContext context = CurrentMemoryContext;
	int			client = begin_server_encoding();

	PG_TRY();
	{
		if (type->kind == CURSOR_KEY_NUMERIC)
			result = DirectFunctionCall3(numeric_recv, PointerGetDatum(buf),
										 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
		else
			result = ReceiveFunctionCall(&type->recv, buf, type->ioparam, -1);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		end_server_encoding(client);
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
		{
			case ERRCODE_CONNECTION_EXCEPTION:	/* protocol violation */
			case ERRCODE_DATA_EXCEPTION:
			case ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION:
			case ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION:
			case ERRCODE_PROGRAM_LIMIT_EXCEEDED:
				FlushErrorState();
				taskapi_problem(PROBLEM_INVALID_CURSOR, NIL, NULL, TASKAPI_CURSOR_UNREADABLE);
			default:
				PG_RE_THROW();
		}
	}
	PG_END_TRY();
	end_server_encoding(client);
	return result;
}

const TaskapiCursorCodec taskapi_cursor_codec_numeric = {encode_numeric, decode_numeric, skip_numeric, 0, write_sent, read_sent};
const TaskapiCursorCodec taskapi_cursor_codec_bytea = {encode_bytea, decode_bytea, skip_bytea, 0, write_varlena, read_bytea};
const TaskapiCursorCodec taskapi_cursor_codec_text = {encode_text, decode_text, skip_text, 0, write_varlena, read_text};
const TaskapiCursorCodec taskapi_cursor_codec_name = {encode_name, decode_name, skip_text, 0, write_name, read_name};
const TaskapiCursorCodec taskapi_cursor_codec_bpchar = {encode_bpchar, decode_text, skip_text, 0, write_varlena, read_text};
const TaskapiCursorCodec taskapi_cursor_codec_raw = {encode_raw, decode_raw, skip_raw, 0, write_sent, read_sent};
