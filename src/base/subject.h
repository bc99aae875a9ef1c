/*-------------------------------------------------------------------------
 *
 * subject.h
 *	  Who a caller is, in one spelling.
 *
 * A subject is a text that the issuer of a credential chose.  Many are uuids,
 * and issuers spell those differently (capitals, no hyphens, braces), while
 * policies compare uuids and tables of credentials compare texts.  So a subject
 * that is a uuid, in any spelling that the type takes, becomes the one that the
 * type prints; it happens where a subject enters: claims, API keys, sessions,
 * rate limits, scopes of idempotency keys, the list of blocked subjects.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_SUBJECT_H
#define TASKAPI_SUBJECT_H

#include "utils/uuid.h"

/* The longest that is accepted, in bytes: what a rate limit takes as a key */
#define TASKAPI_MAX_SUBJECT_LEN 1024

#define TASKAPI_UUID_TEXT_LEN 36

/* Is "len" bytes of text a uuid, in any spelling that its input function takes?  Sets *id. */
extern bool taskapi_parse_uuid(const char *text, int len, pg_uuid_t *id);

/* Writes the standard spelling, with a terminator. */
extern void taskapi_print_uuid(const pg_uuid_t *id, char buf[TASKAPI_UUID_TEXT_LEN + 1]);

/* The standard spelling of a subject that is a uuid, palloc'd; any other as it stands, the same pointer. */
extern const char *taskapi_canonical_subject(const char *subject);

#endif							/* TASKAPI_SUBJECT_H */
