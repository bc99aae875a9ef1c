/*
 * Headers, cookies and claims: any bytes are either a JSON object, whose fields are whole strings, or refused; leniently
 * taken, the same fields are there, and more objects are.
 * Sources: src/base/json_fields.c src/base/encoding.c
 */
#include "postgres.h"

#include "base/compat.h"
#include "base/json_fields.h"
#include "server.h"

static void
body(const uint8 *data, size_t size)
{
	TaskapiJsonField *fields;
	int			nfields;
	char	   *text = input_text(data, size);

	TaskapiJsonField *lenient;
	int			nlenient;
	bool		is_object = taskapi_json_fields(text, strlen(text), true, &lenient, &nlenient);

	if (!taskapi_json_fields(text, strlen(text), false, &fields, &nfields))
		return;
	PROPERTY(is_object && nlenient == nfields);
	for (int i = 0; i < nfields; i++)
	{
		PROPERTY(strlen(fields[i].name) <= size);
		PROPERTY(strcmp(fields[i].name, lenient[i].name) == 0 && fields[i].type == lenient[i].type);
		PROPERTY(fields[i].type != JSON_TOKEN_INVALID);
		PROPERTY(fields[i].value == NULL || strlen(fields[i].value) <= size);
		PROPERTY((fields[i].value == NULL) ==
				 (fields[i].type == JSON_TOKEN_OBJECT_START || fields[i].type == JSON_TOKEN_ARRAY_START));
	}
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	run_protected(body, data, size);
	return 0;
}
