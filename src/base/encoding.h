/*-------------------------------------------------------------------------
 *
 * encoding.h
 *	  From Unicode to the encoding of the database, without an error.
 *
 * The server's own conversions throw for a character that the encoding lacks,
 * which a client can send at any time in JSON's \u or in a token's UTF-8.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_ENCODING_H
#define TASKAPI_ENCODING_H

#include "mb/pg_wchar.h"

/* Does the database's encoding have that character?  SQL_ASCII has none beyond ASCII. */
extern bool taskapi_encoding_has(pg_wchar c);

/*
 * "len" bytes of valid UTF-8 with a terminator, in the database's encoding: the
 * same pointer or a palloc'd string; NULL if it lacks one of the characters.
 * SQL_ASCII takes the bytes as they are.
 */
extern char *taskapi_utf8_to_server(char *text, int len);

#endif							/* TASKAPI_ENCODING_H */
