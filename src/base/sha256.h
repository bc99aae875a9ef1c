/*-------------------------------------------------------------------------
 *
 * sha256.h
 *	  SHA-256 (FIPS 180-4) of bytes that are at hand, by the server's own
 *	  common/cryptohash.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_SHA256_H
#define TASKAPI_SHA256_H

#include "common/sha2.h"

/* Bytes that stand somewhere. */
typedef struct TaskapiHashPiece
{
	const void *data;
	size_t		len;
} TaskapiHashPiece;

/* Throws where the library that computes it fails. */
extern void taskapi_sha256(const void *data, size_t len, uint8 digest[PG_SHA256_DIGEST_LENGTH]);

/* Of several pieces, one behind the other. */
extern void taskapi_sha256_pieces(const TaskapiHashPiece *pieces, int npieces, uint8 digest[PG_SHA256_DIGEST_LENGTH]);

#endif							/* TASKAPI_SHA256_H */
