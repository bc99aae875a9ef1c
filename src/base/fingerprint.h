/*-------------------------------------------------------------------------
 *
 * fingerprint.h
 *	  A digest of a JSON value that depends on what it means, not on how it is
 *	  written.
 *
 * Two values have the same fingerprint exactly if they are equal as JSON: the
 * order of an object's keys, white space, the spelling of strings and the form
 * of numbers (1, 1.0, 1e0) do not count; the order of an array's elements, and
 * the type of every value, do.  The canonical form is described in fingerprint.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_FINGERPRINT_H
#define TASKAPI_FINGERPRINT_H

#include "utils/jsonb.h"

#define TASKAPI_FINGERPRINT_LEN 32	/* SHA-256 */

extern void taskapi_fingerprint_jsonb(Jsonb *jb, uint8 digest[TASKAPI_FINGERPRINT_LEN]);

#endif							/* TASKAPI_FINGERPRINT_H */
