/*-------------------------------------------------------------------------
 *
 * outbox_publish.h
 *	  publish(): a message in the transaction of its effect.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_OUTBOX_PUBLISH_H
#define TASKAPI_OUTBOX_PUBLISH_H

/* The longest topic and key of a message, in bytes */
#define OUTBOX_MAX_NAME 1024

/*
 * What publish() does; "payload" and "headers" are jsonb, and (Datum) 0 is no headers.  Returns the message's number.  Nobody's
 * right to publish is looked at.
 */
extern int64 taskapi_outbox_publish(text *topic, text *key, Datum payload, Datum headers);

/* Defines taskapi.max_message_size. */
extern void taskapi_outbox_publish_init(void);

#endif							/* TASKAPI_OUTBOX_PUBLISH_H */
