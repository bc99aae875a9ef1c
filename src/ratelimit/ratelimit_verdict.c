/*-------------------------------------------------------------------------
 *
 * ratelimit_verdict.c
 *	  Limits from SQL values, and verdicts as SQL values (ratelimit_verdict.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/int.h"
#include "utils/builtins.h"

#include "base/compat.h"
#include "ratelimit/ratelimit_store.h"
#include "ratelimit/ratelimit_verdict.h"

void
taskapi_ratelimit_limit(TaskapiGcraLimit *limit, int32 rate, const Interval *per, int32 burst)
{
	int64		us;
	int64		ns;

	if (per->month != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the interval of a rate limit must not contain months or years"),
				 errdetail("They have no fixed length.")));
	if (pg_mul_s64_overflow(per->day, USECS_PER_DAY, &us) ||
		pg_add_s64_overflow(us, per->time, &us) ||
		pg_mul_s64_overflow(us, 1000, &ns))
		ns = us < 0 ? -1 : PG_INT64_MAX;

	switch (gcra_limit_init(limit, rate, ns, burst))
	{
		case GCRA_OK:
			break;
		case GCRA_BAD_RATE:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the rate of a rate limit must be at least 1")));
			break;
		case GCRA_BAD_PER:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the interval of a rate limit must be positive")));
			break;
		case GCRA_BAD_BURST:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the burst of a rate limit must be at least 1")));
			break;
		case GCRA_TOO_FAST:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the rate of a rate limit is too high for its interval"),
					 errdetail("Less than a nanosecond would be left for each request.")));
			break;
		case GCRA_TOO_LONG:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("a rate limit is too slow"),
					 errdetail("Its interval, and the time to regain its burst, must not exceed 100 years.")));
			break;
	}
}

void
taskapi_ratelimit_check_cost(int32 cost)
{
	if (cost < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the cost of a request must not be negative"),
				 errhint("Use taskapi.rate_limit_refund() to give back a charge.")));
}

void
taskapi_ratelimit_check_key(const char *what, int len)
{
	if (len == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the %s of a rate limit must not be empty", what)));
	if (len > RATELIMIT_MAX_KEY_LEN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the %s of a rate limit must not be longer than %d bytes", what, RATELIMIT_MAX_KEY_LEN)));
}

void
taskapi_ratelimit_verdict_values(const char *policy, uint32 limit, const TaskapiGcraVerdict *verdict,
								 Datum *values, bool *nulls)
{
	memset(nulls, 0, RATELIMIT_VERDICT_NATTS * sizeof(bool));
	values[0] = BoolGetDatum(verdict->allowed);
	if (policy)
		values[1] = CStringGetTextDatum(policy);
	else
		nulls[1] = true;
	values[2] = Int64GetDatum((int64) limit);
	values[3] = Int64GetDatum(verdict->remaining);
	if (verdict->retry_after_ns >= 0)
		values[4] = Float8GetDatum((double) verdict->retry_after_ns / 1e9);
	else
		nulls[4] = true;
	values[5] = Float8GetDatum((double) verdict->reset_after_ns / 1e9);
}
