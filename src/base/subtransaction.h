/*-------------------------------------------------------------------------
 *
 * subtransaction.h
 *	  Work on what belongs to others, whose trouble is to stay theirs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_SUBTRANSACTION_H
#define TASKAPI_SUBTRANSACTION_H

typedef void (*TaskapiSubtransactionBody) (void *arg);

/*
 * Runs it in a subtransaction.  Returns NULL, or the error that took it back, palloc'd; memory context and resource owner are
 * the caller's again.  A cancel is for the whole run and raised on; one of the same code that a trigger raises is not.
 */
extern ErrorData *taskapi_in_subtransaction(TaskapiSubtransactionBody body, void *arg);

#endif							/* TASKAPI_SUBTRANSACTION_H */
