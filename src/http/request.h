/*-------------------------------------------------------------------------
 *
 * request.h
 *	  Headers and cookies of the request.
 *
 * A PostgREST-style layer sets request.headers (JSON, lower-case names) and
 * request.cookies (JSON) per transaction.  After it they are empty strings,
 * which counts as absent.  A setting that is not the JSON it should be is
 * invalid_value; a header or cookie that no text of this database can hold is
 * absent.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_REQUEST_H
#define TASKAPI_REQUEST_H

/*
 * "name" in any case for a header, as it is for a cookie (RFC 6265).  Several
 * headers of one name are one list, joined by commas (RFC 9110, section 5.3), so
 * that a header sent twice is never taken for a header sent once.  A palloc'd
 * copy; NULL if the request has none.
 */
extern char *taskapi_request_header(const char *name);
extern char *taskapi_request_cookie(const char *name);

/* Several headers, with one look at the setting, which is most of what a header costs. */
extern void taskapi_request_headers(const char *const *names, char **values, int n);

#endif							/* TASKAPI_REQUEST_H */
