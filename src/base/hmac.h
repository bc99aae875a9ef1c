/*-------------------------------------------------------------------------
 *
 * hmac.h
 *	  HMAC-SHA-256 (RFC 2104, RFC 4231) by the server's own common/hmac.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_HMAC_H
#define TASKAPI_HMAC_H

#include "common/sha2.h"

/*
 * The MAC of "len" bytes under a key.  With "keep" the key is likely to be that
 * of the next call with "keep", too, and is kept for it (hmac.c); without, no
 * copy of the key is left behind.  Throws if the library that computes it fails.
 */
extern void taskapi_hmac_sha256(const uint8 *key, int key_len, bool keep, const void *data, size_t len,
								uint8 mac[PG_SHA256_DIGEST_LENGTH]);

#endif							/* TASKAPI_HMAC_H */
