/*
 * Headers, cookies and claims: any bytes are either a JSON object, whose fields are whole strings, or refused.
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

	if (!taskapi_json_fields(text, strlen(text), &fields, &nfields))
		return;
	for (int i = 0; i < nfields; i++)
	{
		PROPERTY(strlen(fields[i].name) <= size);
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
