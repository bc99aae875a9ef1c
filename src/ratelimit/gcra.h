/*-------------------------------------------------------------------------
 *
 * gcra.h
 *	  The generic cell rate algorithm, in exact integer arithmetic.
 *
 * Source: ITU-T Recommendation I.371, Annex A, "Generic cell rate algorithm",
 * virtual scheduling form, with increment T and limit tau; a request of cost n
 * counts as n cells that arrive at once.
 *
 * A limit of "rate" per "per", with "burst" at once, has the emission interval
 * T = per / rate.  Its whole state is one time, the theoretical arrival time
 * TAT, at which the key will have all its burst again; a TAT that has passed
 * is the same as none.  A request of cost n at time t conforms if and only if
 *
 *		max(TAT, t) + n * T <= t + burst * T
 *
 * and then the left side is the new TAT.  One that does not conform changes
 * nothing.  Hence in every window of length w the costs admitted sum up to at
 * most burst + w / T.
 *
 * Times are integer nanoseconds since 1970, but T need not be one: three a
 * second is a T of 333333333 1/3.  Here nothing is rounded: a span of time is
 * "ns" and "num" with the value ns + num / rate, and since t is an integer,
 * TAT always is such a number. So with an unchanged limit each verdict is the
 * one that rational arithmetic gives.  What does not depend on the rate is
 * stored: ns, and the fraction in units of 2^-32 ns rounded up.  As rate <
 * 2^31, that is reversible.  When the rate of a key changes, the stored TAT is
 * rounded up to the new 1/rate, against the caller, by less than a nanosecond;
 * fractions of the two rates that are less than 2^-32 ns apart count as equal.
 *
 * The times that a verdict reports are rounded up to whole nanoseconds.
 *
 * A TAT beyond t + burst * T cannot come from this limit: the clock was set
 * back, or the limit was lowered.  It counts as t + burst * T, and is stored
 * so.
 *
 * All functions are pure, and need no server.  Includers provide c.h's types.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_GCRA_H
#define TASKAPI_GCRA_H

/*
 * A hundred years: the longest "per" and the longest time to regain a whole
 * burst.  Any time before 2150 plus that fits 63 bits.
 */
#define GCRA_MAX_SPAN_NS	INT64CONST(3155760000000000000)

/* The largest rate, burst and cost */
#define GCRA_MAX_UNITS		0x7fffffff

/* The value ns + num / rate, where num < rate */
typedef struct TaskapiGcraSpan
{
	int64		ns;
	uint32		num;
} TaskapiGcraSpan;

typedef struct TaskapiGcraLimit
{
	int64		per_ns;
	uint32		rate;
	uint32		burst;
	TaskapiGcraSpan tolerance;	/* burst * T */
} TaskapiGcraLimit;

/* A limit and a cost, with what can be computed before the time is known */
typedef struct TaskapiGcraRequest
{
	TaskapiGcraLimit limit;
	uint32		cost;			/* 0 asks what a cost of 1 would get, and charges nothing */
	bool		fits;			/* else it is above burst, and never conforms */
	TaskapiGcraSpan increment;	/* cost * T, or T where cost is 0 */
} TaskapiGcraRequest;

/* What is stored: TAT = ns + frac / 2^32.  All zeros is none. */
typedef struct TaskapiGcraState
{
	int64		ns;
	uint32		frac;
} TaskapiGcraState;

typedef struct TaskapiGcraVerdict
{
	bool		allowed;
	int64		remaining;		/* units that would be admitted now, after this request */
	int64		retry_after_ns; /* 0 when allowed, -1 when it can never be */
	int64		reset_after_ns; /* until the whole burst is back */
} TaskapiGcraVerdict;

typedef enum TaskapiGcraLimitError
{
	GCRA_OK,
	GCRA_BAD_RATE,				/* below 1 */
	GCRA_BAD_PER,				/* not positive */
	GCRA_BAD_BURST,				/* below 1 */
	GCRA_TOO_FAST,				/* T below a nanosecond */
	GCRA_TOO_LONG				/* per or burst * T above GCRA_MAX_SPAN_NS */
} TaskapiGcraLimitError;

/* a * b as high * 2^32 + low; a is below 2^63, b below 2^31 */
static inline uint64
gcra_multiply(uint64 a, uint32 b, uint32 *low)
{
	uint64		lower = (a & 0xffffffff) * b;

	*low = (uint32) lower;
	return (a >> 32) * b + (lower >> 32);
}

/*
 * units * T, by long division in digits of 32 bits.  False where it exceeds
 * GCRA_MAX_SPAN_NS.
 */
static inline bool
gcra_units_to_span(const TaskapiGcraLimit *limit, uint32 units, TaskapiGcraSpan *span)
{
	uint32		low;
	uint64		high = gcra_multiply((uint64) limit->per_ns, units, &low);
	uint64		quotient = high / limit->rate;
	uint64		rest = high % limit->rate;

	if (quotient > (GCRA_MAX_SPAN_NS >> 32))
		return false;
	rest = (rest << 32) | low;
	span->ns = (int64) ((quotient << 32) + rest / limit->rate);
	span->num = (uint32) (rest % limit->rate);
	return span->ns <= GCRA_MAX_SPAN_NS;
}

/* span / T, rounded up; the span is at most burst * T */
static inline uint32
gcra_span_to_units(const TaskapiGcraLimit *limit, TaskapiGcraSpan span)
{
	uint64		per = (uint64) limit->per_ns;
	uint32		low;
	uint64		high = gcra_multiply((uint64) span.ns, limit->rate, &low);
	uint64		units;

	/* in units of per / rate, the span is (ns * rate + num) / per */
	low += span.num;
	if (low < span.num)
		high++;

	if (high <= 0x7fffffff)
	{
		uint64		dividend = (high << 32) | low;

		return (uint32) (dividend / per + (dividend % per != 0));
	}

	/*
	 * The dividend exceeds 63 bits, so estimate in floating point, whose
	 * error is far below 1 for a result below 2^31, and correct the estimate
	 * exactly: the least number of units whose product with per is not below.
	 */
	units = (uint64) (((double) high * 4294967296.0 + low) / (double) per);
	for (;;)
	{
		uint32		product_low;
		uint64		product_high = gcra_multiply(per, (uint32) units, &product_low);

		if (product_high > high || (product_high == high && product_low >= low))
			break;
		units++;
	}
	while (units > 0)
	{
		uint32		product_low;
		uint64		product_high = gcra_multiply(per, (uint32) units - 1, &product_low);

		if (product_high < high || (product_high == high && product_low < low))
			break;
		units--;
	}
	return (uint32) units;
}

static inline TaskapiGcraSpan
gcra_add(const TaskapiGcraLimit *limit, TaskapiGcraSpan a, TaskapiGcraSpan b)
{
	TaskapiGcraSpan sum;

	sum.ns = a.ns + b.ns;
	sum.num = a.num + b.num;	/* both below 2^31 */
	if (sum.num >= limit->rate)
	{
		sum.num -= limit->rate;
		sum.ns++;
	}
	return sum;
}

/* a - b; negative results have ns < 0 and num >= 0 */
static inline TaskapiGcraSpan
gcra_subtract(const TaskapiGcraLimit *limit, TaskapiGcraSpan a, TaskapiGcraSpan b)
{
	TaskapiGcraSpan difference;

	difference.ns = a.ns - b.ns;
	if (a.num >= b.num)
		difference.num = a.num - b.num;
	else
	{
		difference.num = a.num + limit->rate - b.num;
		difference.ns--;
	}
	return difference;
}

static inline bool
gcra_exceeds(TaskapiGcraSpan a, TaskapiGcraSpan b)
{
	return a.ns > b.ns || (a.ns == b.ns && a.num > b.num);
}

/* Whole nanoseconds, rounded up */
static inline int64
gcra_ceil(TaskapiGcraSpan span)
{
	return span.ns + (span.num != 0);
}

/* num / rate in units of 2^-32, rounded up; below 2^32, as num < rate < 2^31 */
static inline uint32
gcra_fraction_to_stored(uint32 num, uint32 rate)
{
	if (num == 0)
		return 0;
	return (uint32) ((((uint64) num << 32) + rate - 1) / rate);
}

/*
 * What is left of the stored TAT at time now, in terms of this limit: exact
 * where this limit's rate stored it, else rounded up.  Zero where it has
 * passed.
 */
static inline TaskapiGcraSpan
gcra_used(const TaskapiGcraLimit *limit, TaskapiGcraState state, int64 now)
{
	TaskapiGcraSpan used = {0, 0};

	if (state.ns < now)
		return used;
	used.ns = state.ns - now;
	if (state.frac != 0)
	{
		used.num = (uint32) (((uint64) state.frac * limit->rate) >> 32);
		if (gcra_fraction_to_stored(used.num, limit->rate) != state.frac)
		{
			used.num++;
			if (used.num == limit->rate)
			{
				used.num = 0;
				used.ns++;
			}
		}
	}
	return used;
}

static inline TaskapiGcraState
gcra_state(const TaskapiGcraLimit *limit, TaskapiGcraSpan used, int64 now)
{
	TaskapiGcraState state = {0, 0};

	if (used.ns != 0 || used.num != 0)
	{
		state.ns = now + used.ns;
		state.frac = gcra_fraction_to_stored(used.num, limit->rate);
	}
	return state;
}

/* Has TAT passed, so that the state equals none? */
static inline bool
gcra_expired(TaskapiGcraState state, int64 now)
{
	return state.ns < now || (state.ns == now && state.frac == 0);
}

static inline TaskapiGcraLimitError
gcra_limit_init(TaskapiGcraLimit *limit, int64 rate, int64 per_ns, int64 burst)
{
	if (rate < 1 || rate > GCRA_MAX_UNITS)
		return GCRA_BAD_RATE;
	if (per_ns < 1)
		return GCRA_BAD_PER;
	if (burst < 1 || burst > GCRA_MAX_UNITS)
		return GCRA_BAD_BURST;
	if (per_ns < rate)
		return GCRA_TOO_FAST;
	if (per_ns > GCRA_MAX_SPAN_NS)
		return GCRA_TOO_LONG;
	limit->per_ns = per_ns;
	limit->rate = (uint32) rate;
	limit->burst = (uint32) burst;
	if (!gcra_units_to_span(limit, limit->burst, &limit->tolerance))
		return GCRA_TOO_LONG;
	return GCRA_OK;
}

/* A request on a limit that is in request->limit already */
static inline void
gcra_request_init(TaskapiGcraRequest *request, uint32 cost)
{
	request->cost = cost;
	request->fits = cost <= request->limit.burst;
	if (request->fits)
		(void) gcra_units_to_span(&request->limit, cost == 0 ? 1 : cost, &request->increment);
}

/*
 * Decide.  Returns true where *state is to be replaced by *new_state: after a
 * charge, or where the stored TAT was out of this limit's reach.
 */
static inline bool
gcra_decide(const TaskapiGcraRequest *request, TaskapiGcraState state, int64 now,
			TaskapiGcraVerdict *verdict, TaskapiGcraState *new_state)
{
	const TaskapiGcraLimit *limit = &request->limit;
	TaskapiGcraSpan used = gcra_used(limit, state, now);
	bool		changed = false;

	if (gcra_exceeds(used, limit->tolerance))
	{
		used = limit->tolerance;
		changed = true;
	}

	if (!request->fits)
	{
		verdict->allowed = false;
		verdict->retry_after_ns = -1;
	}
	else
	{
		TaskapiGcraSpan after = gcra_add(limit, used, request->increment);

		verdict->allowed = !gcra_exceeds(after, limit->tolerance);
		if (!verdict->allowed)
			verdict->retry_after_ns = gcra_ceil(gcra_subtract(limit, after, limit->tolerance));
		else
		{
			verdict->retry_after_ns = 0;
			if (request->cost > 0)
			{
				used = after;
				changed = true;
			}
		}
	}
	verdict->remaining = (int64) limit->burst - gcra_span_to_units(limit, used);
	verdict->reset_after_ns = gcra_ceil(used);
	if (changed)
		*new_state = gcra_state(limit, used, now);
	return changed;
}

/* Give a request's cost back, up to the whole burst; returns the new state. */
static inline TaskapiGcraState
gcra_refund(const TaskapiGcraRequest *request, TaskapiGcraState state, int64 now)
{
	TaskapiGcraSpan used = gcra_used(&request->limit, state, now);

	if (request->cost == 0)
		return state;
	if (!request->fits || !gcra_exceeds(used, request->increment))
		return (TaskapiGcraState) {0, 0};
	return gcra_state(&request->limit, gcra_subtract(&request->limit, used, request->increment), now);
}

#endif							/* TASKAPI_GCRA_H */
