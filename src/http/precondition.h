/*-------------------------------------------------------------------------
 *
 * precondition.h
 *	  If-Match, If-None-Match and ETag (RFC 9110, sections 8.8.3 and 13.1).
 *
 * The entity tag of a resource's row is its version in double quotes.  If-Match
 * compares strongly, so a weak tag (W/"3") never matches.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_PRECONDITION_H
#define TASKAPI_PRECONDITION_H

#include "base/compat.h"

/* GUC taskapi.require_if_match */
extern bool taskapi_require_if_match;

/* Does the field value of If-Match list this version's tag, or "*"?  A malformed list matches nothing after the fault. */
extern bool taskapi_if_match(const char *field, int64 version);

/* Is it "*", which any row that exists matches? */
extern bool taskapi_if_match_any(const char *field);

/* Raise version_conflict; "current", the version that is there, goes into an ETag header, unless it is -1. */
pg_noreturn extern void taskapi_version_conflict(int64 current);

/* Raise precondition_required. */
pg_noreturn extern void taskapi_precondition_required(void);

/* Answer a single-row write with the row's tag; a second row takes it back. */
extern void taskapi_set_etag(int64 version);
extern void taskapi_unset_etag(void);

#endif							/* TASKAPI_PRECONDITION_H */
