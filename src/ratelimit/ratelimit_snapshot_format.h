/*-------------------------------------------------------------------------
 *
 * ratelimit_snapshot_format.h
 *	  The bytes of a file of saved rate limits: a header, its entries, a CRC-32C of all that.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RATELIMIT_SNAPSHOT_FORMAT_H
#define TASKAPI_RATELIMIT_SNAPSHOT_FORMAT_H

#include "base/siphash.h"

typedef struct TaskapiRateLimitEntry
{
	uint64		hash1;			/* 0 is an entry that never was used */
	int64		tat_ns;
	uint32		hash2;
	uint32		tat_frac;
} TaskapiRateLimitEntry;

#define SNAPSHOT_MAGIC		UINT64CONST(0x5441534b41504952)
#define SNAPSHOT_VERSION	1

typedef struct TaskapiRateLimitSnapshotHeader
{
	uint64		magic;			/* tells the byte order, too */
	uint32		version;
	uint32		entry_size;
	uint64		system_identifier;
	TaskapiSipHashKey seed;
	int64		saved_ns;
	uint64		nentries;
} TaskapiRateLimitSnapshotHeader;

/*
 * Why the file of a cluster can not be used; NULL where it can, and then it holds
 * nentries entries behind the header.
 */
extern const char *taskapi_snapshot_check(const char *file, Size size, uint64 system_identifier);

#endif							/* TASKAPI_RATELIMIT_SNAPSHOT_FORMAT_H */
