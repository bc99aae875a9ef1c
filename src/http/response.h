/*-------------------------------------------------------------------------
 *
 * response.h
 *	  Headers and status of the answer.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESPONSE_H
#define TASKAPI_RESPONSE_H

/*
 * Set a header or the status of the answer for the rest of the transaction
 * (response.headers, response.status).  A header of the same name, in any case,
 * is replaced, except Set-Cookie, which is added; with a NULL value it is removed.
 */
extern void taskapi_set_response_header(const char *name, const char *value);
extern void taskapi_set_response_status(int status);

#endif							/* TASKAPI_RESPONSE_H */
