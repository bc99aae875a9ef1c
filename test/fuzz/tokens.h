/*-------------------------------------------------------------------------
 *
 * tokens.h
 *	  What sealing and opening a token asks of a server: one signing key, a clock
 *	  that stands, and counters that nobody reads.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_FUZZ_TOKENS_H
#define TASKAPI_FUZZ_TOKENS_H

#include "base/secret.h"

extern const TaskapiSecret fuzz_key;

#endif							/* TASKAPI_FUZZ_TOKENS_H */
