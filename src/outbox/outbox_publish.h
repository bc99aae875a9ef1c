/*-------------------------------------------------------------------------
 *
 * outbox_publish.h
 *	  publish(): a message in the transaction of its effect.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_OUTBOX_PUBLISH_H
#define TASKAPI_OUTBOX_PUBLISH_H

/* Defines taskapi.max_message_size. */
extern void taskapi_outbox_publish_init(void);

#endif							/* TASKAPI_OUTBOX_PUBLISH_H */
