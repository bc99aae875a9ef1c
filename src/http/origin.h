/*-------------------------------------------------------------------------
 *
 * origin.h
 *	  Where a request with a cookie comes from.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_ORIGIN_H
#define TASKAPI_ORIGIN_H

/* origin.c: does the request come from our own pages, as the browser has it? */
typedef enum TaskapiOrigin
{
	ORIGIN_SAME,
	ORIGIN_OTHER,
	ORIGIN_UNKNOWN				/* no browser, or an old one */
} TaskapiOrigin;

extern TaskapiOrigin taskapi_request_origin(void);

/* origin.c: the session cookie's name, and the value of Set-Cookie; seconds 0 deletes it.  Palloc'd. */
extern char *taskapi_session_cookie_name;
extern char *taskapi_session_cookie(const char *token, int seconds);

extern void taskapi_origin_init(void);

#endif							/* TASKAPI_ORIGIN_H */
