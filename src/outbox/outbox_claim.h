/*-------------------------------------------------------------------------
 *
 * outbox_claim.h
 *	  Which slot a worker gets: the one that was served longest ago of those that are free and have something.
 *
 * The slot's row is locked to the end of the transaction, and those that somebody else has locked are passed by.  Nothing is
 * written: whoever claims a slot writes the lease, or that nothing of it was for the group.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_OUTBOX_CLAIM_H
#define TASKAPI_OUTBOX_CLAIM_H

#include "outbox/outbox_consumer.h"
#include "outbox/outbox_messages.h"

/* What one receive() works with */
typedef struct TaskapiReceiver
{
	const TaskapiOutbox *outbox;
	Datum		group;
	int64		bound;			/* outbox_bound.h */
	bool		bound_is_fresh;

	/* Are the tables read and written without statements?  They are open then. */
	bool		direct;
	TaskapiOutboxTable consumer;
	TaskapiOutboxTable consumer_group;
	TaskapiOutboxTable parked;
	TaskapiMessages messages;
} TaskapiReceiver;

/* A slot that was claimed, and what of it */
typedef struct TaskapiClaim
{
	int32		slot;
	int64		position;
	int64		missed;			/* the last number that was dropped unread; 0 is none */
	bool		has_parked;
	bool		all_topics;
	Datum		topics;
	int64		last_token;		/* of the lease before */
	int64		fencing_token;
	int64		window_end;		/* all up to here is handed out, parked or of other topics */
} TaskapiClaim;

/* Finds a bound, and opens the tables if they are plain. */
extern void taskapi_receiver_begin(TaskapiReceiver *receiver, const TaskapiOutbox *outbox, Datum group);
extern void taskapi_receiver_end(TaskapiReceiver *receiver);

/* Looks for the bound again; all that comes later has to be read with a new snapshot. */
extern void taskapi_receiver_refresh(TaskapiReceiver *receiver);

/* false: no slot is free and has something below the bound. */
extern bool taskapi_outbox_claim(TaskapiReceiver *receiver, TaskapiClaim *claim);

#endif							/* TASKAPI_OUTBOX_CLAIM_H */
