/*-------------------------------------------------------------------------
 *
 * request.h
 *	  What the HTTP layer says about the request, and what it is to answer.
 *
 * A PostgREST-style layer sets per transaction: request.method, request.path,
 * request.headers (JSON, lower-case names), request.cookies (JSON) and
 * request.jwt.claims (JSON).  After a transaction they are empty strings, which
 * counts as absent everywhere here.
 *
 * Each is parsed once per value: the parsed form is kept in a memory context of
 * its own together with the text it came from, and thrown away when the text
 * differs.  So a returned string or Jsonb is valid until the next call of
 * anything in this file; copy it to keep it.  A GUC that is not the JSON it should be is
 * "unauthenticated" (claims) or an ordinary invalid-parameter error (the others),
 * raised each time that it is looked at.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_REQUEST_H
#define TASKAPI_REQUEST_H

#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "http/layer.h"

/* "name" in any case; NULL where the request has no such header or cookie. */
extern const char *taskapi_request_header(const char *name);
extern const char *taskapi_request_cookie(const char *name);

/* NULL where there are none. */
extern Jsonb *taskapi_jwt_claims(void);

/*
 * JSON text as jsonb, palloc'd in the current context.  NULL where jsonb refuses
 * it, which goes further than the grammar: numbers out of range, for one.
 */
extern Jsonb *taskapi_jsonb_parse(const char *text);

/* Claim "sub"; NULL is an anonymous caller. */
extern const char *taskapi_current_subject(void);

/* The same as a uuid; false for an anonymous caller, "unauthenticated" for a sub that is no uuid. */
extern bool taskapi_current_subject_id(pg_uuid_t *id);

/*
 * Set a header or the status of the answer for the rest of the transaction
 * (response.headers, response.status).  A header of the same name, in any case,
 * is replaced, except Set-Cookie, which is added; with a NULL value it is removed.
 */
extern void taskapi_set_response_header(const char *name, const char *value);
extern void taskapi_set_response_status(int status);

#endif							/* TASKAPI_REQUEST_H */
