/*-------------------------------------------------------------------------
 *
 * claims.h
 *	  Who the caller is: the claims that the layer verified, or that
 *	  pre_request() set for an API key or a session.
 *
 * request.jwt.claims is parsed once per value.  Claims that are no JSON object,
 * or hold what no text of this database can, are unauthenticated, and so is a
 * "sub" that is no string of 1 to TASKAPI_MAX_SUBJECT_LEN bytes.  A subject that
 * is a uuid has one spelling in all of these (base/subject.h).
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_CLAIMS_H
#define TASKAPI_CLAIMS_H

#include "utils/jsonb.h"
#include "utils/uuid.h"

/* NULL if there are none.  Valid until the next call of anything in this file. */
extern Jsonb *taskapi_jwt_claims(void);

/* Claim "sub", a palloc'd copy; NULL is an anonymous caller. */
extern char *taskapi_current_subject(void);

/* The same as a uuid; false for an anonymous caller, "unauthenticated" for a sub that is no uuid. */
extern bool taskapi_current_subject_id(pg_uuid_t *id);

/* The claim of that name, palloc'd, if it is a string; else NULL, also if there are no claims. */
extern char *taskapi_claim_text(Jsonb *claims, const char *name);

#endif							/* TASKAPI_CLAIMS_H */
