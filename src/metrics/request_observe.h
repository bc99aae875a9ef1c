/*-------------------------------------------------------------------------
 *
 * request_observe.h
 *	  A request is counted, timed and traced from pre_request() to the end of its
 *	  transaction.
 *
 * A transaction is one request: of several calls in it the first counts.  A
 * transaction callback ends it, so it ends with a commit, a rollback, an error and
 * the end of the backend.  Nothing there throws or allocates, except that an error
 * with SQLSTATE PGRST is copied.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_REQUEST_OBSERVE_H
#define TASKAPI_REQUEST_OBSERVE_H

/* The request begins now.  Nothing outside a request, when the method is NULL. */
extern void taskapi_request_observe(const char *method);

/* Who it turned out to be; NULL is an anonymous caller. */
extern void taskapi_request_observe_subject(const char *subject);

extern void taskapi_request_observe_init(void);

#endif							/* TASKAPI_REQUEST_OBSERVE_H */
