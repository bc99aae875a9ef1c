/*
 * The file of saved rate limits: what is accepted has its size and checksum, and any one bit that differs is found.
 * The input is taken as a file, and as what lies between a proper header and a proper checksum.
 * Sources: src/ratelimit/ratelimit_snapshot_format.c
 */
#include "postgres.h"

#include "port/pg_crc32c.h"
#include "ratelimit/ratelimit_snapshot_format.h"
#include "ratelimit/ratelimit_store.h"
#include "server.h"

#define CLUSTER UINT64CONST(7123456789012345678)

static void
add_checksum(char *file, size_t size)
{
	pg_crc32c	crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, file, size - sizeof(crc));
	FIN_CRC32C(crc);
	memcpy(file + size - sizeof(crc), &crc, sizeof(crc));
}

static void
body(const uint8 *data, size_t size)
{
	TaskapiRateLimitSnapshotHeader header = {SNAPSHOT_MAGIC, SNAPSHOT_VERSION, sizeof(TaskapiRateLimitEntry), CLUSTER};
	size_t		made = sizeof(header) + size + sizeof(pg_crc32c);
	char	   *file = palloc(Max(size, 1));

	memcpy(file, data, size);
	if (taskapi_snapshot_check(file, size, CLUSTER) == NULL)
	{
		memcpy(&header, file, sizeof(header));
		PROPERTY(header.nentries == (size - sizeof(header) - sizeof(pg_crc32c)) / sizeof(TaskapiRateLimitEntry));
		PROPERTY(size == sizeof(header) + header.nentries * sizeof(TaskapiRateLimitEntry) + sizeof(pg_crc32c));
	}

	header.magic = SNAPSHOT_MAGIC;
	header.version = SNAPSHOT_VERSION;
	header.entry_size = sizeof(TaskapiRateLimitEntry);
	header.system_identifier = CLUSTER;
	header.nentries = size / sizeof(TaskapiRateLimitEntry);
	file = palloc(made);
	memcpy(file, &header, sizeof(header));
	memcpy(file + sizeof(header), data, size);
	add_checksum(file, made);
	PROPERTY((taskapi_snapshot_check(file, made, CLUSTER) == NULL) == (size % sizeof(TaskapiRateLimitEntry) == 0));
	PROPERTY(taskapi_snapshot_check(file, made, CLUSTER + 1) != NULL);
	PROPERTY(taskapi_snapshot_check(file, made - 1, CLUSTER) != NULL);

	/* a number of entries that wraps around */
	header.nentries += UINT64CONST(1) << 61;
	memcpy(file, &header, sizeof(header));
	add_checksum(file, made);
	PROPERTY(taskapi_snapshot_check(file, made, CLUSTER) != NULL);
	header.nentries -= UINT64CONST(1) << 61;
	memcpy(file, &header, sizeof(header));
	add_checksum(file, made);

	file[(size * 31) % made] ^= 1 << (size % 8);
	PROPERTY(taskapi_snapshot_check(file, made, CLUSTER) != NULL);
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	run_protected(body, data, size);
	return 0;
}
