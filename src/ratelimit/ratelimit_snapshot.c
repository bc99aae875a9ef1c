/*-------------------------------------------------------------------------
 *
 * ratelimit_snapshot.c
 *	  Saving the table of rate limits to a file, and loading it again.
 *
 * The file (ratelimit_snapshot.h) lies in pg_stat, where the server's own
 * statistics wait for the next start, and is replaced atomically.  It holds the
 * seed of the table, and is readable by the server's account alone.
 *
 * Whoever creates a table loads the file, after a crash too: a TAT only grows
 * with what is charged, so an older one forgives what came after it and denies
 * nobody who should be admitted, but for what was refunded since.  The file
 * stays where it is.
 *
 * A file that is damaged, of another version or byte order, or of another
 * cluster is ignored with a message in the server's log.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>
#include <unistd.h>

#include "access/xlog.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "port/pg_crc32c.h"
#include "storage/fd.h"

#include "base/compat.h"
#include "ratelimit/ratelimit_snapshot.h"

#define SNAPSHOT_FILE		PGSTAT_STAT_PERMANENT_DIRECTORY "/taskapi_rate_limits.snapshot"
#define SNAPSHOT_TMPFILE	SNAPSHOT_FILE ".tmp"

static void write_or_fail(FILE *file, const void *data, Size size, pg_crc32c *crc);

void
taskapi_snapshot_write(TaskapiSipHashKey seed, int64 now, const TaskapiRateLimitEntry *entries, uint64 nentries)
{
	TaskapiRateLimitSnapshotHeader header = {0};
	pg_crc32c	crc;
	FILE	   *file;

	header.magic = SNAPSHOT_MAGIC;
	header.version = SNAPSHOT_VERSION;
	header.entry_size = sizeof(TaskapiRateLimitEntry);
	header.system_identifier = GetSystemIdentifier();
	header.seed = seed;
	header.saved_ns = now;
	header.nentries = nentries;

	file = AllocateFile(SNAPSHOT_TMPFILE, PG_BINARY_W);
	if (file == NULL)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create file \"%s\": %m", SNAPSHOT_TMPFILE)));
	INIT_CRC32C(crc);
	write_or_fail(file, &header, sizeof(header), &crc);
	write_or_fail(file, entries, nentries * sizeof(TaskapiRateLimitEntry), &crc);
	FIN_CRC32C(crc);
	write_or_fail(file, &crc, sizeof(crc), NULL);
	if (FreeFile(file) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not write file \"%s\": %m", SNAPSHOT_TMPFILE)));
	(void) durable_rename(SNAPSHOT_TMPFILE, SNAPSHOT_FILE, ERROR);
}

static void
write_or_fail(FILE *file, const void *data, Size size, pg_crc32c *crc)
{
	if (size > 0 && fwrite(data, size, 1, file) != 1)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not write file \"%s\": %m", SNAPSHOT_TMPFILE)));
	if (crc)
		COMP_CRC32C(*crc, data, size);
}

char *
taskapi_snapshot_read(TaskapiRateLimitSnapshotHeader *header)
{
	FILE	   *file = AllocateFile(SNAPSHOT_FILE, PG_BINARY_R);
	const char *problem = NULL;
	char	   *data = NULL;
	struct stat st;

	if (file == NULL)
	{
		if (errno != ENOENT)
			ereport(LOG,
					(errcode_for_file_access(),
					 errmsg("could not open file \"%s\": %m", SNAPSHOT_FILE)));
		return NULL;
	}

	if (fstat(fileno(file), &st) != 0)
		problem = "its size can not be read";
	else if ((data = MemoryContextAllocExtended(CurrentMemoryContext, Max(st.st_size, 1),
												MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM)) == NULL)
		problem = "there is not enough memory to read it";
	else if (st.st_size > 0 && fread(data, st.st_size, 1, file) != 1)
		problem = "it can not be read";
	else
		problem = taskapi_snapshot_check(data, st.st_size, GetSystemIdentifier());
	FreeFile(file);

	if (problem == NULL)
	{
		memcpy(header, data, sizeof(TaskapiRateLimitSnapshotHeader));
		return data;
	}
	ereport(LOG,
			(errmsg("ignoring the saved rate limits in file \"%s\": %s", SNAPSHOT_FILE, problem)));
	if (data)
		pfree(data);
	return NULL;
}
