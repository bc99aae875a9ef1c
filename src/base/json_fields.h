/*-------------------------------------------------------------------------
 *
 * json_fields.h
 *	  The top-level fields of a JSON object, in order and with duplicates.
 *
 * jsonb keeps the last of two equal keys and json functions keep the first; where
 * the difference matters (two headers of one name, a JWT with two "exp") the
 * text itself has to be read.  Nothing here throws on bad input.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_JSON_FIELDS_H
#define TASKAPI_JSON_FIELDS_H

#include "common/jsonapi.h"

typedef struct TaskapiJsonField
{
	char	   *name;
	JsonTokenType type;			/* of the value; JSON_TOKEN_OBJECT_START or _ARRAY_START for those */
	char	   *value;			/* a scalar's text, a string's without quotes and escapes; else NULL */
} TaskapiJsonField;

/*
 * Read "len" bytes of text in the server encoding.  False where it is not a JSON
 * object; else *fields are *nfields fields, palloc'd in the current context.
 */
extern bool taskapi_json_fields(const char *text, int len, TaskapiJsonField **fields, int *nfields);

#endif							/* TASKAPI_JSON_FIELDS_H */
