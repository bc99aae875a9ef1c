/*-------------------------------------------------------------------------
 *
 * request_status.h
 *	  The HTTP status of a request whose transaction is ending.
 *
 * For a transaction callback of XACT_EVENT_COMMIT, _PREPARE or _ABORT: the
 * settings of the transaction are still there, and so is the error that ended it,
 * whether or not the server logs it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_REQUEST_STATUS_H
#define TASKAPI_REQUEST_STATUS_H

/*
 * After a commit: response.status, or 200 where the layer decides which of the 2xx it is; *exact is false then.
 */
extern int	taskapi_status_of_commit(bool *exact);

/*
 * After an abort: the status of the problem or error that ended it, as PostgREST maps SQLSTATEs to it; 500
 * if the backend ends, and 0 if the layer rolled back without an error, for a reason that the database does not know.
 */
extern int	taskapi_status_of_abort(void);

#endif							/* TASKAPI_REQUEST_STATUS_H */
