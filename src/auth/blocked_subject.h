/*-------------------------------------------------------------------------
 *
 * blocked_subject.h
 *	  Subjects that are refused, whatever credential they bring.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_BLOCKED_SUBJECT_H
#define TASKAPI_BLOCKED_SUBJECT_H

/*
 * Is the subject, in its standard spelling, blocked at this moment?  A block that
 * is committed counts, whatever the transaction's isolation.
 */
extern bool taskapi_subject_blocked(const char *subject);

#endif							/* TASKAPI_BLOCKED_SUBJECT_H */
