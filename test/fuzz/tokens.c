/*-------------------------------------------------------------------------
 *
 * tokens.c
 *	  See tokens.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "base/counters.h"
#include "tokens.h"

static const uint8 key_bytes[32] = "0123456789abcdef0123456789abcde";
const TaskapiSecret fuzz_key = {1, sizeof(key_bytes), key_bytes};
static pg_atomic_uint64 counters[TASKAPI_NCOUNTERS];
pg_atomic_uint64 *taskapi_counter_stripe = counters;

const TaskapiSecret *
taskapi_secret_current(const char *purpose)
{
	return &fuzz_key;
}

const TaskapiSecret *
taskapi_secret_find(const char *purpose, int key_id)
{
	return key_id == fuzz_key.key_id ? &fuzz_key : NULL;
}

void
taskapi_counters_attach(void)
{
	abort();
}

TimestampTz
GetCurrentStatementStartTimestamp(void)
{
	return INT64CONST(835000000) * USECS_PER_SEC;
}
