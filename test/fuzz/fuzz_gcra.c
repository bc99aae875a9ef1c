/*
 * Rate limits: on any schedule, at any nanosecond, each verdict is that of GCRA in rational numbers.
 *
 * The reference multiplies all times by the rate, in 128 bits.
 * Sources: -lm
 */
#include "postgres.h"

#include "base/compat.h"
#include "ratelimit/gcra.h"
#include "server.h"

typedef __int128 wide;

typedef struct Input
{
	const uint8 *data;
	size_t		left;
} Input;

static uint64
take(Input *in, size_t n)
{
	uint64		x = 0;

	n = Min(n, in->left);
	memcpy(&x, in->data, n);
	in->data += n;
	in->left -= n;
	return x;
}

/* A number below 2^bits, and often a small one */
static uint64
take_number(Input *in, int bits)
{
	uint64		mask = (UINT64CONST(1) << (take(in, 1) % (bits + 1))) - 1;

	return take(in, 8) & mask;
}

static wide
ceil_div(wide a, wide b)
{
	return a / b + (a % b != 0);
}

static void
body(const uint8 *data, size_t size)
{
	Input		in = {data, size};
	TaskapiGcraRequest request;
	TaskapiGcraState state = {0, 0};
	int64		rate = take_number(&in, 31);
	int64		per = take_number(&in, 62);
	int64		burst = take_number(&in, 31);
	int64		now = take_number(&in, 62);
	wide		tat = 0;
	TaskapiGcraLimitError error = gcra_limit_init(&request.limit, rate, per, burst);

	PROPERTY((error == GCRA_BAD_RATE) == (rate == 0));
	PROPERTY((error == GCRA_OK) == (rate > 0 && per > 0 && burst > 0 && per >= rate && per <= GCRA_MAX_SPAN_NS &&
									(wide) burst * per / rate <= GCRA_MAX_SPAN_NS));
	if (error != GCRA_OK)
		return;

	while (in.left > 0)
	{
		uint8		what = take(&in, 1);
		uint32		cost = take_number(&in, 31);
		int64		step = take_number(&in, 60);
		TaskapiGcraVerdict verdict;
		TaskapiGcraState new_state;
		wide		used;
		wide		after;
		wide		tolerance = (wide) burst * per;
		bool		allowed;

		if (what & 1)
			cost = cost % (burst + 2);
		if (what & 2)
			step = step % (tolerance / rate + 2);
		if (what & 4)
			now = Max(now - step, 1);
		else
			now = Min(now + step, INT64CONST(1) << 62);
		gcra_request_init(&request, cost);

		used = tat > (wide) now * rate ? tat - (wide) now * rate : 0;
		if ((what & 24) == 24)
		{
			state = gcra_refund(&request, state, now);
			if (cost > 0)
				tat = cost <= burst && used > (wide) cost * per ? tat - (wide) cost * per : 0;
		}
		else
		{
			used = Min(used, tolerance);
			after = used + (wide) Max(cost, 1) * per;
			allowed = after <= tolerance;
			if (gcra_decide(&request, state, now, &verdict, &new_state) && cost > 0)
				state = new_state;
			PROPERTY(verdict.allowed == allowed);
			PROPERTY(verdict.retry_after_ns == (allowed ? 0 : cost > burst ? -1 : (int64) ceil_div(after - tolerance, rate)));
			if (cost > 0)
			{
				if (allowed)
				{
					used = after;
					tat = (wide) now * rate + used;
				}
				else if (tat > (wide) now * rate + tolerance)
					tat = (wide) now * rate + tolerance;
			}
			PROPERTY(verdict.remaining == burst - (int64) ceil_div(used, per));
			PROPERTY(verdict.reset_after_ns == (int64) ceil_div(used, rate));
		}

		/* As long as the limit stays, what is stored is the truth. */
		PROPERTY(gcra_expired(state, now) == (tat <= (wide) now * rate));
		if (tat > (wide) now * rate)
		{
			TaskapiGcraSpan left = gcra_used(&request.limit, state, now);
			TaskapiGcraLimit other = request.limit;
			wide		converted;

			PROPERTY((wide) left.ns * rate + left.num == tat - (wide) now * rate);

			/* under another rate: up by less than a nanosecond, or down by less than 2^-32 of one */
			other.rate = 1 + take_number(&in, 31) % GCRA_MAX_UNITS;
			left = gcra_used(&other, state, now);
			PROPERTY(left.num < other.rate);
			converted = ((wide) left.ns * other.rate + left.num) * rate - (tat - (wide) now * rate) * other.rate;
			PROPERTY(converted >= -((wide) rate * other.rate >> 32) && converted < (wide) rate * other.rate);
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	run_protected(body, data, size);
	return 0;
}
