/*-------------------------------------------------------------------------
 *
 * precondition.h
 *	  If-Match, If-None-Match and ETag (RFC 9110, sections 8.8.3 and 13.1).
 *
 * The entity tag of a resource's row is its version in double quotes.  If-Match
 * compares strongly, so a weak tag (W/"3") never matches; If-None-Match compares
 * weakly.  If-Match is evaluated first (section 13.2.2).
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_PRECONDITION_H
#define TASKAPI_PRECONDITION_H

#include "base/compat.h"

/* GUC taskapi.require_if_match */
extern bool taskapi_require_if_match;

/*
 * Versions here are those of a row that is there; -1 is a row that has none.
 *
 * May the request go on, by If-Match and by If-None-Match?  A malformed list matches nothing after the fault in If-Match,
 * and does not hold in If-None-Match.
 */
extern bool taskapi_if_match(const char *field, int64 version);
extern bool taskapi_if_none_match(const char *field, int64 version);

/* Is the field "*", which any row that is there matches? */
extern bool taskapi_any_tag(const char *field);

/* Raise version_conflict; "current", the version that is there, goes into an ETag header.  -1 is a row that is not there. */
pg_noreturn extern void taskapi_version_conflict(int64 current);

/* The same, saying what is wrong with the field. */
pg_noreturn extern void taskapi_if_match_failed(const char *field, int64 current);
pg_noreturn extern void taskapi_if_none_match_failed(const char *field, int64 current);

/* Raise precondition_required. */
pg_noreturn extern void taskapi_precondition_required(void);

/*
 * Answer a single-row write with the row's tag, unless the row has no version (-1), and with Read-After (read_after.h),
 * unless that is NULL: to set both at once costs half as much.  A second row takes the tag back.
 */
extern void taskapi_answer_write(int64 version, const char *read_after);
extern void taskapi_unset_etag(void);

#endif							/* TASKAPI_PRECONDITION_H */
