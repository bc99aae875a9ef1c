/*-------------------------------------------------------------------------
 *
 * response.h
 *	  Headers and status of the answer.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESPONSE_H
#define TASKAPI_RESPONSE_H

#include "http/header.h"

/*
 * Set a header or the status of the answer for the rest of the transaction
 * (response.headers, response.status).  A header of the same name, in any case,
 * is replaced, except Set-Cookie, which is added; with a NULL value it is removed.
 */
extern void taskapi_set_response_header(const char *name, const char *value);
extern void taskapi_set_response_status(int status);

/* Several at once, which is cheaper. */
extern void taskapi_set_response_headers(const TaskapiHeader *headers, int n);

/* What a header was set to; NULL if it was not, or if response.headers cannot be read.  Valid until the next is set. */
extern const char *taskapi_response_header(const char *name);

/*
 * A browser shows a page of another origin only those headers of an answer that
 * Access-Control-Expose-Headers names.  Name those that are made here.  A layer's
 * own header of the name may go out as well: clients join the two.
 */
extern void taskapi_expose_response_headers(void);

/*
 * The headers of a refusal, with those that were set for the answer before and hold
 * for a refusal too: limits are charged whatever happens then.  All others, such
 * as a cookie, belong to what is rolled back.  Never raises.
 */
extern List *taskapi_refusal_headers(List *headers);

/* The headers that are set, a List of TaskapiHeader in the current context. */
extern List *taskapi_response_headers(void);

#endif							/* TASKAPI_RESPONSE_H */
