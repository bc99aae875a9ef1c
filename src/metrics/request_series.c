/*-------------------------------------------------------------------------
 *
 * request_series.c
 *	  Counts of requests in shared memory (request_series.h).
 *
 * SQL: sql/install/81_metrics.sql
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/spin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "base/compat.h"
#include "base/shared_memory.h"
#include "metrics/request_series.h"

/* What a backend is doing; pid is 0 if no request, and written last */
typedef struct UnderWay
{
	pg_atomic_uint32 pid;
	uint32		series;
	TimestampTz started_at;
} UnderWay;

typedef struct Metrics
{
	slock_t		lock;			/* to add a series */
	pg_atomic_uint32 nseries;
	Oid			owner[TASKAPI_MAX_SERIES];	/* of what a series is of; InvalidOid of "other" */
	TaskapiSeries series[TASKAPI_MAX_SERIES];
	UnderWay	under_way[FLEXIBLE_ARRAY_MEMBER];	/* MaxBackends */
} Metrics;

/* Series that this backend has used, by a hash of the route; a newer one takes the place of an older */
#define KEPT_SERIES 128

static Metrics *metrics = NULL;
static TaskapiSeries **kept = NULL;

static const char *const class_names[TASKAPI_NSTATUS] = {
	[TASKAPI_STATUS_2XX] = "2xx",
	[TASKAPI_STATUS_3XX] = "3xx",
	[TASKAPI_STATUS_4XX] = "4xx",
	[TASKAPI_STATUS_5XX] = "5xx",
	[TASKAPI_STATUS_ROLLED_BACK] = "rolled back",
};

static Metrics *attach(void);
static TaskapiSeries **kept_place(const TaskapiRoute *route);
static TaskapiSeries *find_or_add(const TaskapiRoute *route, Oid owner);
static bool has_share(Oid owner, uint32 n);
static TaskapiSeries *find(const TaskapiRoute *route, uint32 from, uint32 to);

/* Zeros are route "other" of no database, the first series. */
static void
init_metrics(void *ptr)
{
	Metrics    *fresh = ptr;

	SpinLockInit(&fresh->lock);
	for (int i = 0; i < TASKAPI_MAX_SERIES * TASKAPI_NSTATUS; i++)
	{
		TaskapiHistogram *histogram = &fresh->series[i / TASKAPI_NSTATUS].histogram[i % TASKAPI_NSTATUS];

		pg_atomic_init_u64(&histogram->microseconds, 0);
		for (int j = 0; j < TASKAPI_NBUCKETS; j++)
			pg_atomic_init_u64(&histogram->bucket[j], 0);
	}
	for (int i = 0; i < MaxBackends; i++)
		pg_atomic_init_u32(&fresh->under_way[i].pid, 0);
	pg_atomic_init_u32(&fresh->nseries, 1);
}

static Metrics *
attach(void)
{
	if (metrics == NULL)
	{
		TaskapiArea area = {"requests", .size = offsetof(Metrics, under_way) + MaxBackends * sizeof(UnderWay),
		.init = init_metrics};

		area.layout = TASKAPI_LAYOUT(1, TASKAPI_MAX_SERIES, TASKAPI_NSTATUS, TASKAPI_NBUCKETS, sizeof(TaskapiSeries),
									 offsetof(TaskapiSeries, histogram), offsetof(Metrics, owner), offsetof(Metrics, series),
									 offsetof(Metrics, under_way), sizeof(UnderWay));
		kept = MemoryContextAllocZero(TopMemoryContext, KEPT_SERIES * sizeof(TaskapiSeries *));
		metrics = taskapi_area(&area);
	}
	return metrics;
}

TaskapiSeries *
taskapi_series_find(const char *method, const char *path)
{
	TaskapiRoute route;
	TaskapiSeries *series;
	Oid			owner;

	attach();
	taskapi_route_parse(&route, method, path);
	series = *kept_place(&route);
	if (series != NULL && memcmp(&series->route, &route, sizeof(route)) == 0)
		return series;

	owner = taskapi_route_owner(&route);
	series = OidIsValid(owner) ? find_or_add(&route, owner) : NULL;
	if (series == NULL)
	{
		route.kind = TASKAPI_ROUTE_OTHER;
		memset(route.name, 0, sizeof(route.name));
		series = find_or_add(&route, InvalidOid);
	}
	if (series == NULL)
		return &metrics->series[0];
	return *kept_place(&route) = series;
}

static TaskapiSeries **
kept_place(const TaskapiRoute *route)
{
	return &kept[hash_bytes((const unsigned char *) route, 2 + strlen(route->name)) % KEPT_SERIES];
}

/*
 * NULL if there is none, and the owner has their share.
 */
static TaskapiSeries *
find_or_add(const TaskapiRoute *route, Oid owner)
{
	uint32		known = pg_atomic_read_u32(&metrics->nseries);
	TaskapiSeries *series;
	uint32		n;

	pg_read_barrier();
	series = find(route, 0, known);
	if (series != NULL || !has_share(owner, known))
		return series;

	SpinLockAcquire(&metrics->lock);
	n = pg_atomic_read_u32(&metrics->nseries);
	series = find(route, known, n);
	if (series == NULL && has_share(owner, n))
	{
		series = &metrics->series[n];
		series->database = MyDatabaseId;
		series->route = *route;
		metrics->owner[n] = owner;
		pg_write_barrier();
		pg_atomic_write_u32(&metrics->nseries, n + 1);
	}
	SpinLockRelease(&metrics->lock);
	return series;
}

/*
 * May the owner have one more beside the first n, by the rule of request_series.h?
 */
static bool
has_share(Oid owner, uint32 n)
{
	uint32		theirs = 0;

	for (uint32 i = 0; i < n; i++)
		theirs += metrics->owner[i] == owner;
	return theirs < TASKAPI_MAX_SERIES - n;
}

static TaskapiSeries *
find(const TaskapiRoute *route, uint32 from, uint32 to)
{
	for (uint32 i = from; i < to; i++)
	{
		TaskapiSeries *series = &metrics->series[i];

		if (series->database == MyDatabaseId && memcmp(&series->route, route, sizeof(TaskapiRoute)) == 0)
			return series;
	}
	return NULL;
}

void
taskapi_series_add(TaskapiSeries *series, int status, uint64 microseconds)
{
	TaskapiStatusClass class = status == 0 ? TASKAPI_STATUS_ROLLED_BACK : status < 300 ? TASKAPI_STATUS_2XX :
		status < 400 ? TASKAPI_STATUS_3XX : status < 500 ? TASKAPI_STATUS_4XX : TASKAPI_STATUS_5XX;
	TaskapiHistogram *histogram = &series->histogram[class];
	int			bucket = 0;

	if (microseconds > TASKAPI_FIRST_BUCKET_US)
		bucket = pg_leftmost_one_pos64((microseconds - 1) / TASKAPI_FIRST_BUCKET_US) + 1;
	pg_atomic_fetch_add_u64(&histogram->bucket[Min(bucket, TASKAPI_NBUCKETS - 1)], 1);
	pg_atomic_fetch_add_u64(&histogram->microseconds, microseconds);
}

void
taskapi_series_set_current(TaskapiSeries *series, TimestampTz now)
{
	int			number = taskapi_backend_number();
	UnderWay   *mine;

	if (metrics == NULL || number < 0 || number >= MaxBackends)
		return;
	mine = &metrics->under_way[number];
	pg_atomic_write_u32(&mine->pid, 0);
	if (series == NULL)
		return;
	pg_write_barrier();
	mine->series = series - metrics->series;
	mine->started_at = now;
	pg_write_barrier();
	pg_atomic_write_u32(&mine->pid, MyProcPid);
}

static bool
is_shown(const TaskapiSeries *series)
{
	return series->database == MyDatabaseId || series->database == InvalidOid;
}

/*
 * request_series() -> SETOF (method text, route text, status text, requests bigint, microseconds bigint, buckets bigint[])
 *
 * Those of this database that have counted anything.  Buckets are cumulative.
 */
PG_FUNCTION_INFO_V1(taskapi_request_series);
Datum
taskapi_request_series(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	uint32		n = pg_atomic_read_u32(&attach()->nseries);

	InitMaterializedSRF(fcinfo, 0);
	pg_read_barrier();
	for (uint32 i = 0; i < n * TASKAPI_NSTATUS; i++)
	{
		TaskapiSeries *series = &metrics->series[i / TASKAPI_NSTATUS];
		TaskapiHistogram *histogram = &series->histogram[i % TASKAPI_NSTATUS];
		Datum		buckets[TASKAPI_NBUCKETS];
		int64		requests = 0;
		Datum		values[6];
		bool		nulls[6] = {false};

		if (!is_shown(series))
			continue;
		for (int j = 0; j < TASKAPI_NBUCKETS; j++)
		{
			requests += (int64) pg_atomic_read_u64(&histogram->bucket[j]);
			buckets[j] = Int64GetDatum(requests);
		}
		if (requests == 0)
			continue;
		values[0] = CStringGetTextDatum(taskapi_route_method(&series->route));
		values[1] = CStringGetTextDatum(taskapi_route_path(&series->route));
		values[2] = CStringGetTextDatum(class_names[i % TASKAPI_NSTATUS]);
		values[3] = Int64GetDatum(requests);
		values[4] = Int64GetDatum((int64) pg_atomic_read_u64(&histogram->microseconds));
		values[5] = PointerGetDatum(construct_array(buckets, TASKAPI_NBUCKETS, INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
													TYPALIGN_DOUBLE));
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/*
 * request_buckets() -> double precision[]
 *
 * The upper bounds of the buckets in seconds; the last one is infinity.
 */
PG_FUNCTION_INFO_V1(taskapi_request_buckets);
Datum
taskapi_request_buckets(PG_FUNCTION_ARGS)
{
	Datum		bounds[TASKAPI_NBUCKETS];

	for (int i = 0; i < TASKAPI_NBUCKETS - 1; i++)
		bounds[i] = Float8GetDatum(ldexp(TASKAPI_FIRST_BUCKET_US * 1e-6, i));
	bounds[TASKAPI_NBUCKETS - 1] = Float8GetDatum(get_float8_infinity());
	PG_RETURN_ARRAYTYPE_P(construct_array(bounds, TASKAPI_NBUCKETS, FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/*
 * requests_under_way() -> SETOF (pid int, method text, route text, started_at timestamptz)
 *
 * Those of this database.
 */
PG_FUNCTION_INFO_V1(taskapi_requests_under_way);
Datum
taskapi_requests_under_way(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < MaxBackends; i++)
	{
		UnderWay   *entry = &attach()->under_way[i];
		uint32		pid = pg_atomic_read_u32(&entry->pid);
		TaskapiSeries *series;
		TimestampTz started_at;
		PGPROC	   *proc;
		Datum		values[4];
		bool		nulls[4] = {false};

		if (pid == 0)
			continue;
		pg_read_barrier();
		series = &metrics->series[entry->series];
		started_at = entry->started_at;
		pg_read_barrier();
		/* another request since, or a process that ended without a word */
		if (pg_atomic_read_u32(&entry->pid) != pid || (proc = BackendPidGetProc(pid)) == NULL || proc->databaseId != MyDatabaseId)
			continue;
		values[0] = Int32GetDatum(pid);
		values[1] = CStringGetTextDatum(taskapi_route_method(&series->route));
		values[2] = CStringGetTextDatum(taskapi_route_path(&series->route));
		values[3] = TimestampTzGetDatum(started_at);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
