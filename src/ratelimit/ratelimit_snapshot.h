/*-------------------------------------------------------------------------
 *
 * ratelimit_snapshot.h
 *	  The file that rate limits are saved in: a header, the live entries as they
 *	  are in the table, and a CRC-32C of both.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RATELIMIT_SNAPSHOT_H
#define TASKAPI_RATELIMIT_SNAPSHOT_H

#include "ratelimit/siphash.h"

#define SNAPSHOT_MAGIC		UINT64CONST(0x5441534b41504952)
#define SNAPSHOT_VERSION	1

typedef struct SnapshotHeader
{
	uint64		magic;			/* tells the byte order, too */
	uint32		version;
	uint32		entry_size;
	uint64		system_identifier;
	SipHashKey	seed;
	int64		saved_ns;
	uint64		nentries;
} SnapshotHeader;

/*
 * Why the file of a cluster can not be used; NULL where it can, and then it holds
 * nentries entries behind the header.
 */
extern const char *taskapi_snapshot_check(const char *file, Size size, uint64 system_identifier);

#endif							/* TASKAPI_RATELIMIT_SNAPSHOT_H */
