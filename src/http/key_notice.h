/*-------------------------------------------------------------------------
 *
 * key_notice.h
 *	  Telling a client that its Idempotency-Key was not honoured.
 *
 * A client that sends a key where nothing heeds it would repeat the request in the
 * belief that it has its effect once.  So pre_request() answers every key with
 * "Idempotency-Key: ignored", and whatever takes the key, removes that.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_KEY_NOTICE_H
#define TASKAPI_KEY_NOTICE_H

/* At the start of a request: its key, if it has one, is ignored so far. */
extern void taskapi_key_announce(void);

/* A key was taken. */
extern void taskapi_key_honoured(void);

#endif							/* TASKAPI_KEY_NOTICE_H */
