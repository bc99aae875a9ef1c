/*-------------------------------------------------------------------------
 *
 * ratelimit_snapshot_format.c
 *	  Whether bytes are a file of saved rate limits.  Pure: it runs without a server.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/pg_crc32c.h"

#include "ratelimit/ratelimit_snapshot_format.h"

const char *
taskapi_snapshot_check(const char *file, Size size, uint64 system_identifier)
{
	TaskapiRateLimitSnapshotHeader header;
	pg_crc32c	crc;
	pg_crc32c	stored;

	if (size < sizeof(header) + sizeof(crc))
		return "it is cut off";
	memcpy(&header, file, sizeof(header));
	if (header.magic != SNAPSHOT_MAGIC || header.version != SNAPSHOT_VERSION ||
		header.entry_size != sizeof(TaskapiRateLimitEntry))
		return "it is of another version or machine";
	if (header.nentries > PG_UINT64_MAX / sizeof(TaskapiRateLimitEntry) - size ||
		header.nentries * sizeof(TaskapiRateLimitEntry) != size - sizeof(header) - sizeof(crc))
		return "its size is wrong";
	INIT_CRC32C(crc);
	COMP_CRC32C(crc, file, size - sizeof(crc));
	FIN_CRC32C(crc);
	memcpy(&stored, file + size - sizeof(crc), sizeof(crc));
	if (!EQ_CRC32C(crc, stored))
		return "its checksum is wrong";
	if (header.system_identifier != system_identifier)
		return "it is of another database cluster";
	return NULL;
}
