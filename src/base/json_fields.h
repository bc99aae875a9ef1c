/*-------------------------------------------------------------------------
 *
 * json_fields.h
 *	  The top-level fields of a JSON object, in order and with duplicates.
 *
 * jsonb keeps the last of two equal keys and json functions keep the first; where
 * the difference matters (two headers of one name, a JWT with two "exp") the
 * text itself has to be read.  Nothing here throws on bad input: not for what is
 * no JSON, nor for \u escapes of what no text of this database can hold (a
 * character that its encoding lacks, a half of a surrogate pair, a zero), nor for
 * values within values that would take more than the stack.
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
	/* "lenient" only: a string that cannot be held here has JSON_TOKEN_INVALID and no value */
} TaskapiJsonField;

#define TASKAPI_JSON_MAX_DEPTH	512

/*
 * Read "len" bytes of text in the server encoding.  False if it is not a JSON
 * object or nests deeper than TASKAPI_JSON_MAX_DEPTH; else *fields are *nfields fields, palloc'd in the current context.
 * An object with a string that cannot be held here is none, unless "lenient":
 * then only the top-level fields concerned are without a value.
 */
extern bool taskapi_json_fields(const char *text, int len, bool lenient, TaskapiJsonField **fields, int *nfields);

#endif							/* TASKAPI_JSON_FIELDS_H */
