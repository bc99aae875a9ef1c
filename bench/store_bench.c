/*-------------------------------------------------------------------------
 *
 * store_bench.c
 *	  A lock per neighbourhood against compare-and-swap, without a server.
 *
 * Processes charge keys of a shared table for some time: one key that all of
 * them want, or one of 10,000.  Both variants use the arithmetic of gcra.h and
 * the layout of ratelimit_store.h.  The lock is what SpinLockAcquire() is:
 * test-and-set, then spin, and sleep where the holder is off its processor.
 * The other variant has no lock, replaces the TAT by compare-and-swap, and so
 * has room for a TAT in whole nanoseconds only; it neither inserts nor
 * reclaims, which a real one would have to.
 *
 *		gcc -O2 -I$(pg_config --includedir-server) -Isrc -o store_bench bench/store_bench.c
 *		./store_bench [milliseconds a run]
 *
 *-------------------------------------------------------------------------
 */
#include "c.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "gcra.h"

#undef printf

#define NBUCKETS	4762
#define NENTRIES	42
#define NKEYS		10000

typedef struct Entry
{
	uint64		hash;
	int64		tat_ns;
	uint32		hash2;
	uint32		tat_frac;
} Entry;

typedef struct Bucket
{
	volatile unsigned char lock;
	int64		latest;
	Entry		entry[NENTRIES];
} Bucket;

typedef struct Shared
{
	uint64		done[64][16];	/* of each process, a cache line pair apart */
	Bucket		bucket[NBUCKETS] __attribute__((aligned(128)));
} Shared;

static Shared *shared;

static uint64
mix(uint64 x)
{
	x ^= x >> 33;
	x *= UINT64CONST(0xff51afd7ed558ccd);
	x ^= x >> 33;
	x *= UINT64CONST(0xc4ceb9fe1a85ec53);
	return x ^ (x >> 33);
}

static int64
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64) ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static Bucket *
bucket_of(uint64 hash)
{
	return &shared->bucket[((hash >> 32) * NBUCKETS) >> 32];
}

static Entry *
find(Bucket *bucket, uint64 hash)
{
	for (int i = 0; i < NENTRIES; i++)
	{
		if (bucket->entry[i].hash == hash)
			return &bucket->entry[i];
	}
	return NULL;
}

static bool
charge_locked(uint64 hash, const TaskapiGcraRequest *request)
{
	Bucket	   *bucket = bucket_of(hash);
	int64		now = now_ns();
	int			spins = 0;
	Entry	   *entry;
	TaskapiGcraState state;
	TaskapiGcraVerdict verdict;

	while (__atomic_test_and_set(&bucket->lock, __ATOMIC_ACQUIRE))
	{
		while (bucket->lock)
		{
			if (++spins % 1000 == 0)
				usleep(1000);
			__builtin_ia32_pause();
		}
	}
	if (now < bucket->latest)
		now = now_ns();
	bucket->latest = now;
	entry = find(bucket, hash);
	state.ns = entry->tat_ns;
	state.frac = entry->tat_frac;
	if (gcra_decide(request, state, now, &verdict, &state))
	{
		entry->tat_ns = state.ns;
		entry->tat_frac = state.frac;
	}
	__atomic_clear(&bucket->lock, __ATOMIC_RELEASE);
	return verdict.allowed;
}

static bool
charge_swapped(uint64 hash, const TaskapiGcraRequest *request)
{
	Entry	   *entry = find(bucket_of(hash), hash);
	int64		now = now_ns();
	TaskapiGcraState state = {__atomic_load_n(&entry->tat_ns, __ATOMIC_ACQUIRE), 0};
	TaskapiGcraState new_state;
	TaskapiGcraVerdict verdict;

	while (gcra_decide(request, state, now, &verdict, &new_state))
	{
		if (__atomic_compare_exchange_n(&entry->tat_ns, &state.ns, new_state.ns, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			break;
	}
	return verdict.allowed;
}

static double
run(int processes, int nkeys, int rate, int ms, bool (*charge) (uint64, const TaskapiGcraRequest *))
{
	TaskapiGcraRequest request;
	uint64		total = 0;
	int64		started;

	memset(shared, 0, sizeof(Shared));
	for (int k = 0; k < NKEYS; k++)
	{
		uint64		hash = mix(k + 1);
		Bucket	   *bucket = bucket_of(hash);

		for (int i = 0; i < NENTRIES; i++)
		{
			if (bucket->entry[i].hash == 0)
			{
				bucket->entry[i].hash = hash;
				break;
			}
		}
	}
	if (gcra_limit_init(&request.limit, rate, INT64CONST(1000000000), rate) != GCRA_OK)
		abort();
	gcra_request_init(&request, 1);

	started = now_ns();
	for (int p = 0; p < processes; p++)
	{
		if (fork() == 0)
		{
			int64		until = started + (int64) ms * 1000000;
			uint64		n = 0;
			uint64		x = p;

			while (now_ns() < until)
			{
				for (int i = 0; i < 100; i++)
				{
					x = mix(x + 1);
					charge(mix(x % nkeys + 1), &request);
				}
				n += 100;
			}
			shared->done[p][0] = n;
			_exit(0);
		}
	}
	while (wait(NULL) > 0)
		;
	for (int p = 0; p < processes; p++)
		total += shared->done[p][0];
	return total / ((now_ns() - started) / 1e9) / 1e6;
}

int
main(int argc, char **argv)
{
	int			ms = argc > 1 ? atoi(argv[1]) : 1000;
	static const int processes[] = {1, 2, 8, 32};

	shared = mmap(NULL, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 1;
	printf("million charges a second, median of 5: a lock per neighbourhood | compare-and-swap\n");
	for (int keys = 0; keys < 2; keys++)
	{
		for (int allowed = 0; allowed < 2; allowed++)
		{
			for (int p = 0; p < lengthof(processes); p++)
			{
				double		result[2][5];

				for (int r = 0; r < 5; r++)
				{
					result[0][r] = run(processes[p], keys ? NKEYS : 1, allowed ? 1000000 : 10, ms, charge_locked);
					result[1][r] = run(processes[p], keys ? NKEYS : 1, allowed ? 1000000 : 10, ms, charge_swapped);
				}
				for (int v = 0; v < 2; v++)
					for (int i = 1; i < 5; i++)
						for (int j = i; j > 0 && result[v][j] < result[v][j - 1]; j--)
						{
							double		swap = result[v][j];

							result[v][j] = result[v][j - 1];
							result[v][j - 1] = swap;
						}
				printf("%6d key%s, %s, %2d processes: %6.1f | %6.1f\n", keys ? NKEYS : 1, keys ? "s" : "",
					   allowed ? "mostly allowed" : "mostly denied ", processes[p], result[0][2], result[1][2]);
				fflush(stdout);
			}
		}
	}
	return 0;
}
