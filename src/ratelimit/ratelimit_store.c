/*-------------------------------------------------------------------------
 *
 * ratelimit_store.c
 *	  The shared table of rate limits.  Its rules are in ratelimit_store.h.
 *
 * Why never one too many.  Call the state of a key its TAT, none counting as
 * minus infinity.  Under the lock, a request of increment I at time t is
 * admitted only if max(TAT, t) + I <= t + burst * T, and sets TAT to the left
 * side; nothing else lowers a TAT, except a refund or reset that somebody
 * asked for, an eviction, which is counted, the clamp of gcra.h, which only
 * acts when the clock was set back or the limit changed, and the reclaiming of
 * an entry with TAT <= t', t' being the latest time of its neighbourhood.
 * After that, every decision on that key is made at t >= t', where max(TAT, t)
 * = t as for no entry.  So over the requests admitted at times in [s, s + w],
 * TAT grows by the sum of their increments, from at least s to at most s + w +
 * burst * T: the sum of the costs is at most burst + w / T.
 *
 * A lock per neighbourhood was chosen over a compare-and-swap of the TAT alone
 * (bench/store_bench.c measures both).  They are equally fast while every
 * process has a processor; where many share few, compare-and-swap is ahead on
 * one hot key, since a holder of the lock may lose its processor.  But a check
 * that comes through a connection holds the lock for a thousandth of its time,
 * and without the lock a state of 96 bits, the reclaiming of entries and a
 * decision on several keys would each need a protocol of their own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "storage/dsm.h"
#include "storage/lwlock.h"
#include "storage/spin.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/counters.h"
#include "ratelimit/ratelimit_store.h"
#include "base/shared_memory.h"

StaticAssertDecl(sizeof(TaskapiRateLimitEntry) == 24, "an entry has 24 bytes");
StaticAssertDecl(sizeof(TaskapiRateLimitBucket) == RATELIMIT_BUCKET_SIZE, "a neighbourhood fills its cache lines");

/* What the table's size does not change: its lock, and where it is */
typedef struct TableControl
{
	LWLock		lock;			/* guards the creation of the table, and the file */
	int			tranche_id;
	dsm_handle	table;			/* DSM_HANDLE_INVALID until there is one */
} TableControl;

static TableControl *control(void);
static Size table_size(uint32 nbuckets);
static TaskapiRateLimitTable *attach_table(void);
static TaskapiRateLimitTable *create_table(void);
static void load(TaskapiRateLimitTable *tab);
static TaskapiRateLimitEntry *claim_entry(TaskapiRateLimitBucket *bucket, TaskapiRateLimitKey key, int64 now, int *event);

static TaskapiRateLimitTable *table = NULL;
static TaskapiSipHashKey hash_keys[2];

int			taskapi_rate_limit_max_keys = 100000;
double		taskapi_rate_limit_test_clock = -1;

TaskapiRateLimitTable *
taskapi_ratelimit_table(void)
{
	if (unlikely(table == NULL))
		table = attach_table();
	return table;
}

static void
init_control(void *ptr)
{
	TableControl *segment = ptr;

	segment->tranche_id = taskapi_new_tranche_id("taskapi");
	LWLockInitialize(&segment->lock, segment->tranche_id);
	segment->table = DSM_HANDLE_INVALID;
}

static TableControl *
control(void)
{
	static TableControl *attached = NULL;

	if (attached == NULL)
	{
		TaskapiArea area = {"rate limits", .size = sizeof(TableControl), .init = init_control};
		TableControl *segment;

		area.layout = TASKAPI_LAYOUT(1, offsetof(TableControl, tranche_id), offsetof(TableControl, table),
									 sizeof(TaskapiRateLimitTable), offsetof(TaskapiRateLimitTable, nbuckets),
									 offsetof(TaskapiRateLimitTable, seed), offsetof(TaskapiRateLimitTable, bucket),
									 RATELIMIT_BUCKET_ENTRIES, sizeof(TaskapiRateLimitBucket),
									 offsetof(TaskapiRateLimitBucket, latest), offsetof(TaskapiRateLimitBucket, entry),
									 sizeof(TaskapiRateLimitEntry), offsetof(TaskapiRateLimitEntry, tat_ns),
									 offsetof(TaskapiRateLimitEntry, hash2), offsetof(TaskapiRateLimitEntry, tat_frac));
		segment = taskapi_area(&area);
		taskapi_register_tranche(segment->tranche_id, "taskapi");
		attached = segment;
	}
	return attached;
}

static Size
table_size(uint32 nbuckets)
{
	return offsetof(TaskapiRateLimitTable, bucket) + (Size) nbuckets * RATELIMIT_BUCKET_SIZE;
}

static TaskapiRateLimitTable *
attach_table(void)
{
	TableControl *shared = control();
	TaskapiRateLimitTable *result;
	Size		size;

	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	if (shared->table == DSM_HANDLE_INVALID)
		result = create_table();
	else
	{
		result = taskapi_map_segment(shared->table, &size);
		if (size < table_size(result->nbuckets))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("the shared table of rate limits has another size than its header says")));
	}
	LWLockRelease(&shared->lock);

	/* Every database, and in it every kind of key, hashes under a key of its own. */
	for (int kind = 0; kind < lengthof(hash_keys); kind++)
	{
		uint32		message[2] = {MyDatabaseId, kind};

		siphash128(result->seed, message, sizeof(message), &hash_keys[kind].k0, &hash_keys[kind].k1);
	}
	return result;
}

/* Create the table, and publish its handle once it is complete. */
static TaskapiRateLimitTable *
create_table(void)
{
	uint32		nbuckets = ((uint32) taskapi_rate_limit_max_keys - 1) / RATELIMIT_BUCKET_KEYS + 1;
	Size		size = table_size(nbuckets);
	dsm_segment *segment = dsm_create(size, 0);
	TaskapiRateLimitTable *result = dsm_segment_address(segment);

	memset(result, 0, size);
	result->nbuckets = nbuckets;
	for (uint32 i = 0; i < nbuckets; i++)
		SpinLockInit(&result->bucket[i].lock);
	if (!pg_strong_random(&result->seed, sizeof(result->seed)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate a random seed")));
	load(result);

	dsm_pin_segment(segment);
	dsm_pin_mapping(segment);
	control()->table = dsm_segment_handle(segment);
	return result;
}

/* Nanoseconds since 1970 */
int64
taskapi_ratelimit_clock(void)
{
	if (unlikely(taskapi_rate_limit_test_clock >= 0))
		return (int64) rint(taskapi_rate_limit_test_clock * 1e6) * 1000;	/* a double holds no more */
	return taskapi_unix_ns_now();
}

TaskapiRateLimitKey
taskapi_ratelimit_key(TaskapiRateLimitKind kind, const char *data, int len)
{
	TaskapiRateLimitKey key;
	uint64		low;

	(void) taskapi_ratelimit_table();
	siphash128(hash_keys[kind], data, len, &key.hash1, &low);
	if (key.hash1 == 0)
		key.hash1 = 1;
	key.hash2 = (uint32) low;
	return key;
}

/* The upper half of hash1 picks the neighbourhood. */
static inline TaskapiRateLimitBucket *
find_bucket(TaskapiRateLimitTable *tab, TaskapiRateLimitKey key)
{
	return &tab->bucket[((key.hash1 >> 32) * tab->nbuckets) >> 32];
}

/* Bring the lock, and the first entries beside it, while the clock is read. */
static inline void
prefetch_bucket(const TaskapiRateLimitBucket *bucket)
{
#if defined(__GNUC__) || defined(__clang__)
	__builtin_prefetch(bucket, 1);
	__builtin_prefetch((const char *) bucket + PG_CACHE_LINE_SIZE / 2, 1);
#endif
}

static inline TaskapiGcraState
entry_state(const TaskapiRateLimitEntry *entry)
{
	return (TaskapiGcraState) {entry->tat_ns, entry->tat_frac};
}

static inline void
set_entry_state(TaskapiRateLimitEntry *entry, TaskapiGcraState state)
{
	entry->tat_ns = state.ns;
	entry->tat_frac = state.frac;
}

/*
 * The key's entry, or NULL.  An entry that never was used ends the search: none
 * was ever put behind it, and a used one never becomes unused again.
 */
static inline TaskapiRateLimitEntry *
find_entry(TaskapiRateLimitBucket *bucket, TaskapiRateLimitKey key)
{
	for (int i = 0; i < RATELIMIT_BUCKET_ENTRIES; i++)
	{
		TaskapiRateLimitEntry *entry = &bucket->entry[i];

		if (entry->hash1 == key.hash1 && entry->hash2 == key.hash2)
			return entry;
		if (entry->hash1 == 0)
			return NULL;
	}
	return NULL;
}

/*
 * An entry for a key that has none: the first that is unused or expired, else
 * the one nearest to expiry.  *event is set to what happened to its former
 * key, or to TASKAPI_NCOUNTERS where there was none.
 */
static TaskapiRateLimitEntry *
claim_entry(TaskapiRateLimitBucket *bucket, TaskapiRateLimitKey key, int64 now, int *event)
{
	TaskapiRateLimitEntry *victim = NULL;

	*event = TASKAPI_COUNTER_RATE_LIMIT_EVICTED;
	for (int i = 0; i < RATELIMIT_BUCKET_ENTRIES; i++)
	{
		TaskapiRateLimitEntry *entry = &bucket->entry[i];

		if (gcra_expired(entry_state(entry), now))
		{
			victim = entry;
			*event = entry->hash1 != 0 ? TASKAPI_COUNTER_RATE_LIMIT_RECLAIMED : TASKAPI_NCOUNTERS;
			break;
		}
		if (victim == NULL || entry->tat_ns < victim->tat_ns)
			victim = entry;
	}
	victim->hash1 = key.hash1;
	victim->hash2 = key.hash2;
	return victim;
}

/* See "Time" in ratelimit_store.h. */
static inline int64
time_in_bucket(TaskapiRateLimitBucket *bucket, int64 now)
{
	if (unlikely(now < bucket->latest))
		now = taskapi_ratelimit_clock();
	bucket->latest = now;
	return now;
}

int64
taskapi_ratelimit_decide(TaskapiRateLimitKey key, const TaskapiGcraRequest *request, TaskapiGcraVerdict *verdict)
{
	TaskapiRateLimitBucket *bucket = find_bucket(taskapi_ratelimit_table(), key);
	int			event = TASKAPI_NCOUNTERS;
	TaskapiRateLimitEntry *entry;
	TaskapiGcraState state = {0, 0};
	TaskapiGcraState new_state;
	int64		now;

	prefetch_bucket(bucket);
	now = taskapi_ratelimit_clock();
	SpinLockAcquire(&bucket->lock);
	now = time_in_bucket(bucket, now);
	entry = find_entry(bucket, key);
	if (entry)
		state = entry_state(entry);
	if (gcra_decide(request, state, now, verdict, &new_state) && request->cost > 0)
	{
		if (entry == NULL)
			entry = claim_entry(bucket, key, now, &event);
		set_entry_state(entry, new_state);
	}
	SpinLockRelease(&bucket->lock);

	if (event != TASKAPI_NCOUNTERS)
		taskapi_count(event, 1);
	return now;
}

/* The neighbourhoods of the items, in order of address and each once; returns how many. */
static int
find_buckets(TaskapiRateLimitTable *tab, TaskapiRateLimitItem *items, int n, TaskapiRateLimitBucket **buckets)
{
	int			nbuckets = 0;

	for (int i = 0; i < n; i++)
	{
		TaskapiRateLimitBucket *bucket = find_bucket(tab, items[i].key);
		int			pos = nbuckets;

		while (pos > 0 && buckets[pos - 1] > bucket)
			pos--;
		items[i].bucket = bucket;
		prefetch_bucket(bucket);
		if (pos > 0 && buckets[pos - 1] == bucket)
			continue;
		memmove(&buckets[pos + 1], &buckets[pos], (nbuckets - pos) * sizeof(buckets[0]));
		buckets[pos] = bucket;
		nbuckets++;
	}
	return nbuckets;
}

/* Decide on each under the locks; where one denies, what was to be charged is only looked at. */
static bool
decide_items(TaskapiRateLimitItem *items, int n, int64 now)
{
	bool		all_allowed = true;

	for (int i = 0; i < n; i++)
	{
		TaskapiRateLimitItem *item = &items[i];

		item->entry = find_entry(item->bucket, item->key);
		item->state = item->entry ? entry_state(item->entry) : (TaskapiGcraState) {0, 0};
		item->changed = gcra_decide(&item->request, item->state, now, &item->verdict, &item->new_state);
		if (!item->verdict.allowed && !item->shadow)
			all_allowed = false;
	}
	if (all_allowed)
		return true;

	for (int i = 0; i < n; i++)
	{
		TaskapiRateLimitItem *item = &items[i];
		TaskapiGcraRequest look = item->request;

		if (!item->verdict.allowed)
			continue;
		gcra_request_init(&look, 0);
		item->changed = gcra_decide(&look, item->state, now, &item->verdict, &item->new_state);
		item->verdict.allowed = true;
		item->verdict.retry_after_ns = 0;
	}
	return false;
}

/*
 * Write what was decided, under the locks; returns how many events there were.  Entries that exist are written before
 * any is claimed, as claiming one may drop another one of these.
 */
static int
write_items(TaskapiRateLimitItem *items, int n, int64 now, int *events)
{
	int			nevents = 0;

	for (int i = 0; i < n; i++)
	{
		if (items[i].changed && items[i].entry && items[i].request.cost > 0)
			set_entry_state(items[i].entry, items[i].new_state);
	}
	for (int i = 0; i < n; i++)
	{
		if (items[i].changed && !items[i].entry && items[i].request.cost > 0)
			set_entry_state(claim_entry(items[i].bucket, items[i].key, now, &events[nevents++]), items[i].new_state);
	}
	return nevents;
}

bool
taskapi_ratelimit_decide_all(TaskapiRateLimitItem *items, int n, int64 *now)
{
	TaskapiRateLimitBucket *buckets[RATELIMIT_MAX_ITEMS];
	int			events[RATELIMIT_MAX_ITEMS];
	int			nbuckets;
	int			nevents;
	bool		all_allowed;

	Assert(n <= RATELIMIT_MAX_ITEMS);
	nbuckets = find_buckets(taskapi_ratelimit_table(), items, n, buckets);

	for (int i = 0; i < nbuckets; i++)
		SpinLockAcquire(&buckets[i]->lock);
	*now = taskapi_ratelimit_clock();
	for (int i = 0; i < nbuckets; i++)
		buckets[i]->latest = *now;
	all_allowed = decide_items(items, n, *now);
	nevents = write_items(items, n, *now, events);
	for (int i = nbuckets - 1; i >= 0; i--)
		SpinLockRelease(&buckets[i]->lock);

	for (int i = 0; i < nevents; i++)
	{
		if (events[i] != TASKAPI_NCOUNTERS)
			taskapi_count(events[i], 1);
	}
	return all_allowed;
}

void
taskapi_ratelimit_refund(TaskapiRateLimitKey key, const TaskapiGcraRequest *request)
{
	TaskapiRateLimitBucket *bucket = find_bucket(taskapi_ratelimit_table(), key);
	TaskapiRateLimitEntry *entry;
	int64		now = taskapi_ratelimit_clock();

	SpinLockAcquire(&bucket->lock);
	now = time_in_bucket(bucket, now);
	entry = find_entry(bucket, key);
	if (entry)
		set_entry_state(entry, gcra_refund(request, entry_state(entry), now));
	SpinLockRelease(&bucket->lock);
}

void
taskapi_ratelimit_reset(TaskapiRateLimitKey key)
{
	TaskapiRateLimitBucket *bucket = find_bucket(taskapi_ratelimit_table(), key);
	TaskapiRateLimitEntry *entry;

	SpinLockAcquire(&bucket->lock);
	entry = find_entry(bucket, key);
	if (entry)
		set_entry_state(entry, (TaskapiGcraState) {0, 0});
	SpinLockRelease(&bucket->lock);
}

int64
taskapi_ratelimit_live_keys(void)
{
	TaskapiRateLimitTable *tab = taskapi_ratelimit_table();
	int64		now = taskapi_ratelimit_clock();
	int64		live = 0;

	for (uint32 i = 0; i < tab->nbuckets; i++)
	{
		TaskapiRateLimitBucket *bucket = &tab->bucket[i];

		CHECK_FOR_INTERRUPTS();
		SpinLockAcquire(&bucket->lock);
		for (int j = 0; j < RATELIMIT_BUCKET_ENTRIES; j++)
			live += !gcra_expired(entry_state(&bucket->entry[j]), now);
		SpinLockRelease(&bucket->lock);
	}
	return live;
}

/* Fill a table that nobody else can see yet from the file, and take its seed. */
static void
load(TaskapiRateLimitTable *tab)
{
	TaskapiRateLimitSnapshotHeader header;
	char	   *data = taskapi_snapshot_read(&header);
	int64		now = taskapi_ratelimit_clock();

	if (data == NULL)
		return;
	tab->seed = header.seed;
	for (uint64 i = 0; i < header.nentries; i++)
	{
		TaskapiRateLimitEntry saved;
		TaskapiRateLimitKey key;
		int			event;

		memcpy(&saved, data + sizeof(header) + i * sizeof(saved), sizeof(saved));
		key = (TaskapiRateLimitKey) {saved.hash1, saved.hash2};
		if (saved.hash1 != 0 && !gcra_expired(entry_state(&saved), now))
			set_entry_state(claim_entry(find_bucket(tab, key), key, now, &event), entry_state(&saved));
	}
	pfree(data);
}

uint64
taskapi_ratelimit_save(void)
{
	TaskapiRateLimitTable *tab = taskapi_ratelimit_table();
	int64		now = taskapi_ratelimit_clock();
	Size		size = (Size) tab->nbuckets * RATELIMIT_BUCKET_ENTRIES * sizeof(TaskapiRateLimitEntry);
	TaskapiRateLimitEntry *entries = MemoryContextAllocHuge(CurrentMemoryContext, size);
	uint64		n = 0;

	/*
	 * Copy one neighbourhood at a time, so that no request waits for more
	 * than that.  The copy is consistent for each key; no more is needed.
	 */
	for (uint32 i = 0; i < tab->nbuckets; i++)
	{
		TaskapiRateLimitBucket *bucket = &tab->bucket[i];
		TaskapiRateLimitEntry copy[RATELIMIT_BUCKET_ENTRIES];

		CHECK_FOR_INTERRUPTS();
		SpinLockAcquire(&bucket->lock);
		memcpy(copy, bucket->entry, sizeof(copy));
		SpinLockRelease(&bucket->lock);
		for (int j = 0; j < RATELIMIT_BUCKET_ENTRIES; j++)
		{
			if (!gcra_expired(entry_state(&copy[j]), now))
				entries[n++] = copy[j];
		}
	}

	/* Two at a time would write into each other's temporary file. */
	LWLockAcquire(&control()->lock, LW_EXCLUSIVE);
	taskapi_snapshot_write(tab->seed, now, entries, n);
	LWLockRelease(&control()->lock);
	pfree(entries);
	return n;
}
