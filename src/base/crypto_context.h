/*-------------------------------------------------------------------------
 *
 * crypto_context.h
 *	  Contexts of hashes that live as long as the backend.
 *
 * Making one for every digest would cost a quarter of that of a short text, and
 * more than a MAC.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_CRYPTO_CONTEXT_H
#define TASKAPI_CRYPTO_CONTEXT_H

/* What "create" makes, under a resource owner that nobody releases: that of the transaction would free it. */
extern void *taskapi_lasting_context(void *(*create) (void), const char *name);

#endif							/* TASKAPI_CRYPTO_CONTEXT_H */
