/*-------------------------------------------------------------------------
 *
 * jsonb.h
 *	  jsonb without a server, for fuzzing: from text, through the server's own
 *	  interface for reading and building, and back to text.
 *
 * As in jsonb, keys are in order of length and bytes, and the last of several equal
 * keys counts.  Containers have the headers of jsonb, so that its macros work; what
 * stands behind them does not.  A number is its text.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_FUZZ_JSONB_H
#define TASKAPI_FUZZ_JSONB_H

#include "utils/jsonb.h"

/* NULL where the text is not JSON.  Ends the use of every one before. */
extern Jsonb *fuzz_jsonb(const char *text);

extern char *fuzz_jsonb_text(Jsonb *jsonb);

/* Append a value, as JSON. */
extern void fuzz_jsonb_append(StringInfo buf, const JsonbValue *value);
extern void fuzz_jsonb_append_string(StringInfo buf, const char *str, int len);

#endif							/* TASKAPI_FUZZ_JSONB_H */
