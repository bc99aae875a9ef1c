/*-------------------------------------------------------------------------
 *
 * header.c
 *	  Headers of an answer (header.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "http/grammar.h"
#include "http/header.h"

List *
taskapi_headers_add(List *headers, const char *name, const char *value)
{
	TaskapiHeader *header = palloc(sizeof(TaskapiHeader));

	header->name = pstrdup(name);
	header->value = pstrdup(value);
	return lappend(headers, header);
}

void
taskapi_check_header(const char *name, const char *value)
{
	if (!taskapi_is_token(name))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid header name: \"%s\"", name)));
	if (!taskapi_is_field_value(value))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value of header \"%s\"", name),
				 errdetail("A header value has no control characters.")));
}

List *
taskapi_headers_from_jsonb(Jsonb *object, const char *argument)
{
	JsonbIterator *it = JsonbIteratorInit(&object->root);
	JsonbIteratorToken tok;
	JsonbValue	v;
	char	   *name = NULL;
	char	   *value;
	List	   *headers = NIL;
	bool		valid = JB_ROOT_IS_OBJECT(object);

	while (valid && (tok = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		if (tok == WJB_KEY)
			name = pnstrdup(v.val.string.val, v.val.string.len);
		else if (tok == WJB_VALUE && v.type == jbvString)
		{
			value = pnstrdup(v.val.string.val, v.val.string.len);
			taskapi_check_header(name, value);
			headers = taskapi_headers_add(headers, name, value);
		}
		else if (tok == WJB_VALUE)
			valid = false;
	}
	if (!valid)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be a JSON object of strings", argument)));
	return headers;
}
