/*-------------------------------------------------------------------------
 *
 * request_digest.c
 *	  What a request was, as a digest of its values (request_digest.h).
 *
 * A name is followed by a zero byte; a value is "n" for NULL, or "v" and a
 * fingerprint (jsonb, and json up to MAX_JSON bytes) or a length in network order
 * and the bytes of the binary form.  A type without a binary form gives its text.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "base/jsonb_parse.h"
#include "base/sha256.h"
#include "resource/request_digest.h"
#include "resource/resource_answer.h"

/* Above this, a json is known by its text: as jsonb it takes several times its size. */
#define MAX_JSON	(16 * 1024 * 1024)

/* What is longer is not copied into the buffer. */
#define MAX_COPIED	8192

struct TaskapiLongValue
{
	int			position;		/* in the buffer, behind which it stands */
	const char *bytes;
	uint32		len;
};

static bool has_binary_form(Oid type);
static bool row_has_binary_form(Oid type);
static bool add_json(TaskapiRequestDigest *digest, text *json);
static void add_bytes(TaskapiRequestDigest *digest, const char *bytes, uint32 len);

void
taskapi_value_io(TaskapiValueIO *io, Oid type)
{
	Oid			function;
	Oid			ioparam;
	bool		is_varlena;
	int16		len;
	bool		byval;
	char		align;
	char		delim;

	io->basetype = getBaseType(type);
	io->binary = has_binary_form(type);
	if (io->binary)
		get_type_io_data(type, IOFunc_send, &len, &byval, &align, &delim, &ioparam, &function);
	else
		getTypeOutputInfo(type, &function, &is_varlena);
	fmgr_info(function, &io->send);
}

/*
 * That of an array, a row or a range needs those of its elements.
 */
static bool
has_binary_form(Oid type)
{
	Oid			function;
	Oid			ioparam;
	int16		len;
	bool		byval;
	char		align;
	char		delim;

	check_stack_depth();
	get_type_io_data(type, IOFunc_send, &len, &byval, &align, &delim, &ioparam, &function);
	if (!OidIsValid(function))
		return false;
	type = getBaseType(type);
	if (OidIsValid(get_element_type(type)))
		return has_binary_form(get_element_type(type));
	if (type_is_rowtype(type))
		return row_has_binary_form(type);
	if (type_is_multirange(type))
		type = get_multirange_range(type);
	return !type_is_range(type) || has_binary_form(get_range_subtype(type));
}

static bool
row_has_binary_form(Oid type)
{
	TupleDesc	desc = lookup_rowtype_tupdesc_noerror(type, -1, true);
	bool		result = (desc != NULL);

	for (int i = 0; result && i < desc->natts; i++)
		result = TupleDescAttr(desc, i)->attisdropped || has_binary_form(TupleDescAttr(desc, i)->atttypid);
	if (desc)
		ReleaseTupleDesc(desc);
	return result;
}

void
taskapi_digest_begin(TaskapiRequestDigest *digest)
{
	initStringInfo(&digest->buf);
	digest->values = NULL;
	digest->nvalues = 0;
}

void
taskapi_digest_name(TaskapiRequestDigest *digest, const char *name)
{
	appendBinaryStringInfo(&digest->buf, name, strlen(name) + 1);
}

void
taskapi_digest_value(TaskapiRequestDigest *digest, TaskapiValueIO *io, Datum value, bool isnull)
{
	StringInfo	buf = &digest->buf;

	appendStringInfoCharMacro(buf, isnull ? 'n' : 'v');
	if (isnull)
		return;
	switch (io->basetype)
	{
		case JSONBOID:
			{
				uint8		canonical[TASKAPI_FINGERPRINT_LEN];

				taskapi_fingerprint_jsonb(DatumGetJsonbP(value), canonical);
				appendBinaryStringInfo(buf, (const char *) canonical, sizeof(canonical));
				return;
			}
		case JSONOID:
			if (add_json(digest, DatumGetTextPP(value)))
				return;
			pg_fallthrough;
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
			{
				/* their binary form in the server's encoding */
				text	   *bytes = DatumGetTextPP(value);

				add_bytes(digest, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
				return;
			}
		default:
			break;
	}
	if (io->binary)
	{
		bytea	   *sent = SendFunctionCall(&io->send, value);

		add_bytes(digest, VARDATA_ANY(sent), VARSIZE_ANY_EXHDR(sent));

		/* 1.5 and 1.50 are one number: the third field is the display scale */
		if (io->basetype == NUMERICOID && VARSIZE_ANY_EXHDR(sent) >= 8 && VARSIZE_ANY_EXHDR(sent) <= MAX_COPIED)
			memset(buf->data + buf->len - VARSIZE_ANY_EXHDR(sent) + 6, 0, 2);
	}
	else
	{
		int			level = taskapi_answer_pin_settings(true);
		const char *text = OutputFunctionCall(&io->send, value);

		AtEOXact_GUC(true, level);
		add_bytes(digest, text, strlen(text));
	}
}

static bool
add_json(TaskapiRequestDigest *digest, text *json)
{
	uint8		canonical[TASKAPI_FINGERPRINT_LEN];
	Jsonb	   *jb;

	if (VARSIZE_ANY_EXHDR(json) > MAX_JSON)
		return false;
	jb = taskapi_jsonb_parse(text_to_cstring(json));
	if (jb == NULL)
		return false;
	taskapi_fingerprint_jsonb(jb, canonical);
	appendBinaryStringInfo(&digest->buf, (const char *) canonical, sizeof(canonical));
	return true;
}

static void
add_bytes(TaskapiRequestDigest *digest, const char *bytes, uint32 len)
{
	uint32		len_on_disk = pg_hton32(len);	/* the ledger may move to another machine */

	appendBinaryStringInfo(&digest->buf, (const char *) &len_on_disk, sizeof(len_on_disk));
	if (len <= MAX_COPIED)
		appendBinaryStringInfo(&digest->buf, bytes, len);
	else
	{
		struct TaskapiLongValue *value;

		if (digest->values == NULL)
			digest->values = palloc(sizeof(*value));
		else
			digest->values = repalloc(digest->values, sizeof(*value) * (digest->nvalues + 1));
		value = &digest->values[digest->nvalues++];
		value->position = digest->buf.len;
		value->bytes = bytes;
		value->len = len;
	}
}

void
taskapi_digest_end(TaskapiRequestDigest *digest, uint8 result[TASKAPI_FINGERPRINT_LEN])
{
	TaskapiHashPiece *pieces = palloc(sizeof(TaskapiHashPiece) * (2 * digest->nvalues + 1));
	int			npieces = 0;
	int			position = 0;

	for (int i = 0; i < digest->nvalues; i++)
	{
		struct TaskapiLongValue *value = &digest->values[i];

		pieces[npieces++] = (TaskapiHashPiece) {digest->buf.data + position, value->position - position};
		pieces[npieces++] = (TaskapiHashPiece) {value->bytes, value->len};
		position = value->position;
	}
	pieces[npieces++] = (TaskapiHashPiece) {digest->buf.data + position, digest->buf.len - position};
	taskapi_sha256_pieces(pieces, npieces, result);
	pfree(pieces);
	pfree(digest->buf.data);
	if (digest->values)
		pfree(digest->values);
}
