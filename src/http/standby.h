/*-------------------------------------------------------------------------
 *
 * standby.h
 *	  Refusing on a standby what only the primary can do.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_STANDBY_H
#define TASKAPI_STANDBY_H

/*
 * Raise read_only if this server is a standby.  "what" is the beginning of a sentence for the client's developer: "A request
 * with an Idempotency-Key".
 */
extern void taskapi_require_primary(const char *what);

#endif							/* TASKAPI_STANDBY_H */
