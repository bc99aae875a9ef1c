/*-------------------------------------------------------------------------
 *
 * uuid7.c
 *	  UUID version 7 (RFC 9562, section 5.7).
 *
 * 48 bits of Unix milliseconds, then 12 bits of the fraction of the millisecond
 * (section 6.2, method 3), then 62 random bits.  Within a backend each value is
 * greater than the one before, also when the clock stands still or steps back:
 * the time used is at least one fraction step after the last one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/fmgrprotos.h"
#include "utils/uuid.h"

#include "base/clock.h"
#include "base/compat.h"

#define NS_PER_MS	INT64CONST(1000000)

/* One step of the 12-bit fraction is 244.14 ns; this many are never less than one. */
#define STEP_NS		((NS_PER_MS >> 12) + 1)

/* The random part of a value, and how much is asked of the generator at a time: a multiple of it */
#define RANDOM_BYTES	8
#define RANDOM_POOL		(64 * RANDOM_BYTES)

/*
 * uuidv7() -> uuid
 */
PG_FUNCTION_INFO_V1(taskapi_uuidv7);
#ifdef TASKAPI_HAVE_UUIDV7
Datum
taskapi_uuidv7(PG_FUNCTION_ARGS)
{
	return uuidv7(fcinfo);
}
#else
static int64 monotonic_unix_ns(void);
static void random_bytes(unsigned char *bytes);

Datum
taskapi_uuidv7(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *uuid = palloc(UUID_LEN);
	int64		ns = monotonic_unix_ns();
	uint64		ms = ns / NS_PER_MS;
	uint32		fraction = ((ns % NS_PER_MS) << 12) / NS_PER_MS;

	uuid->data[0] = (unsigned char) (ms >> 40);
	uuid->data[1] = (unsigned char) (ms >> 32);
	uuid->data[2] = (unsigned char) (ms >> 24);
	uuid->data[3] = (unsigned char) (ms >> 16);
	uuid->data[4] = (unsigned char) (ms >> 8);
	uuid->data[5] = (unsigned char) ms;
	uuid->data[6] = (unsigned char) (0x70 | (fraction >> 8));	/* version 7 */
	uuid->data[7] = (unsigned char) fraction;
	random_bytes(&uuid->data[8]);
	uuid->data[8] = (uuid->data[8] & 0x3f) | 0x80;	/* variant 10 */

	PG_RETURN_UUID_P(uuid);
}

static int64
monotonic_unix_ns(void)
{
	static int64 last = 0;
	int64		ns = taskapi_unix_ns_now();

	if (ns < last + STEP_NS)
		ns = last + STEP_NS;
	last = ns;
	return ns;
}

/*
 * The next eight bytes of a pool from the server's strong generator, whose price is nearly the same for a few bytes as for
 * hundreds.  A child of fork() does not use what its parent may use too, and no byte is kept once it was given out.
 */
static void
random_bytes(unsigned char *bytes)
{
	static unsigned char pool[RANDOM_POOL];
	static size_t left = 0;
	static int	owner = 0;

	if (left == 0 || owner != MyProcPid)
	{
		left = 0;
		if (!pg_strong_random(pool, sizeof(pool)))
			ereport(ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg("could not generate random values")));
		owner = MyProcPid;
		left = sizeof(pool);
	}
	left -= RANDOM_BYTES;
	memcpy(bytes, &pool[left], RANDOM_BYTES);
	explicit_bzero(&pool[left], RANDOM_BYTES);
}

#endif							/* TASKAPI_HAVE_UUIDV7 */

/*
 * uuidv7_timestamp(uuid) -> timestamptz
 *
 * The milliseconds of a version 7 uuid; NULL for any other.
 */
PG_FUNCTION_INFO_V1(taskapi_uuidv7_timestamp);
Datum
taskapi_uuidv7_timestamp(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *uuid = PG_GETARG_UUID_P(0);
	uint64		ms = 0;

	if ((uuid->data[6] >> 4) != 7 || (uuid->data[8] >> 6) != 2)
		PG_RETURN_NULL();
	for (int i = 0; i < 6; i++)
		ms = (ms << 8) | uuid->data[i];

	PG_RETURN_TIMESTAMPTZ(taskapi_unix_ms_to_timestamptz((int64) ms));
}
