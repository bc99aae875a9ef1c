/*-------------------------------------------------------------------------
 *
 * answer_text.h
 *	  Text as JSON that is not much longer, whatever its characters.
 *
 * A string, or {"base64": "..."} if that is shorter or the bytes are no text.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_ANSWER_TEXT_H
#define TASKAPI_ANSWER_TEXT_H

#include "lib/stringinfo.h"

/* invalid_value if the body does not fit into one value. */
extern void taskapi_answer_append_text(StringInfo body, const char *text, int len);

/* Text that is being read, from where it has got to.  It need not be what was written here. */
typedef struct TaskapiAnswerReader
{
	const char *s;
	const char *end;
} TaskapiAnswerReader;

/* Step over a piece of text; false if something else stands there. */
extern bool taskapi_answer_skip(TaskapiAnswerReader *reader, const char *piece);

/* A text as it was written, or NULL for null; false if something else stands there. */
extern bool taskapi_answer_read_value(TaskapiAnswerReader *reader, char **text);

/* A string behind its first quote; NULL if it is none that is written here. */
extern char *taskapi_answer_read_string(TaskapiAnswerReader *reader);

#endif							/* TASKAPI_ANSWER_TEXT_H */
