/*-------------------------------------------------------------------------
 *
 * jsonb_parse.c
 *	  JSON text as jsonb, without an error (jsonb_parse.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "base/compat.h"
#include "base/jsonb_parse.h"

Jsonb *
taskapi_jsonb_parse(const char *text)
{
	Datum		result;

	if (!taskapi_input_soft(jsonb_in, unconstify(char *, text), &result))
		return NULL;
	return DatumGetJsonbP(result);
}
