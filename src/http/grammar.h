/*-------------------------------------------------------------------------
 *
 * grammar.h
 *	  Pieces of grammar that several headers share: tokens and field values
 *	  (RFC 9110), strings of Structured Fields (RFC 9651).
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_GRAMMAR_H
#define TASKAPI_GRAMMAR_H

#include "lib/stringinfo.h"

/* RFC 9110, section 5.6.2: a header's or a cookie's name. */
extern bool taskapi_is_token(const char *text);

/* A header value without control characters, the tab excepted (RFC 9110, section 5.5) */
extern bool taskapi_is_field_value(const char *value);

/*
 * The content of a Structured Field string, palloc'd; a text without the double
 * quotes as it stands.  NULL if quotes and backslashes do not form one.
 */
extern char *taskapi_sf_unquote(const char *text);

/* Appends one; what the format cannot express becomes '?'. */
extern void taskapi_sf_append_string(StringInfo buf, const char *text);

#endif							/* TASKAPI_GRAMMAR_H */
