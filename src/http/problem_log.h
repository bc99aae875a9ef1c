/*-------------------------------------------------------------------------
 *
 * problem_log.h
 *	  What the server's log has of a request that was refused.
 *
 * PostgreSQL writes an error with its detail, the statement and the context: a
 * kilobyte for a version that was stale.  A problem whose status is below 500 is the
 * client's, and no fault of the server's.  taskapi.log_refusals says what becomes
 * of it: off, short (one line, as LOG) or full.  All other errors are logged as
 * ever, and so is what is caught before it reaches the client: not at all.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_PROBLEM_LOG_H
#define TASKAPI_PROBLEM_LOG_H

/* Defines the setting and installs the hook; it calls the hook that was there before it. */
extern void taskapi_problem_log_init(void);

#endif							/* TASKAPI_PROBLEM_LOG_H */
