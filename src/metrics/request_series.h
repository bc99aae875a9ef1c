/*-------------------------------------------------------------------------
 *
 * request_series.h
 *	  Counts of requests in shared memory: by route, method and class of status.
 *
 * A series is what one route and method of one database counted since the server
 * started.  Series are only ever added, up to TASKAPI_MAX_SERIES; what finds no
 * place counts in "other" of its database, and if that has none, in the first one,
 * which is "other" and of no database.
 *
 * The objects of a role, of all databases, get a new series only if fewer are theirs
 * than are free.  So the first role that makes many objects gets half of the table,
 * the next half of what is left, and whoever comes later always gets some: nobody
 * can send the routes of all others to "other".
 *
 * Adding a series takes the spinlock, for a comparison with those that were added
 * since, a count of the owner's (an array of 8 kB) and a copy of 70 bytes.  What is
 * refused is refused without it.  Finding one takes nothing: a series is written
 * before the number of series says that it is there, and is not changed afterwards.
 * Counts are atomic additions, not undone by a rollback.
 *
 * What is under way has no counter, which would be wrong for ever if a backend
 * died between up and down.  Each backend has an entry, by its number in the
 * server, which it overwrites with each request.  An entry whose process is gone
 * counts for nothing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_REQUEST_SERIES_H
#define TASKAPI_REQUEST_SERIES_H

#include "datatype/timestamp.h"
#include "metrics/request_route.h"
#include "port/atomics.h"

/* A build may choose fewer. */
#ifndef TASKAPI_MAX_SERIES
#define TASKAPI_MAX_SERIES 2048
#endif

/* 2xx (and 1xx) to 5xx, and transactions that the layer rolled back without an error */
typedef enum TaskapiStatusClass
{
	TASKAPI_STATUS_2XX,
	TASKAPI_STATUS_3XX,
	TASKAPI_STATUS_4XX,
	TASKAPI_STATUS_5XX,
	TASKAPI_STATUS_ROLLED_BACK
} TaskapiStatusClass;

#define TASKAPI_NSTATUS			(TASKAPI_STATUS_ROLLED_BACK + 1)

/* Durations of at most 64 us, 128 us, ... 2^15 * 64 us, which is 2.1 s; and all above */
#define TASKAPI_NBUCKETS		17
#define TASKAPI_FIRST_BUCKET_US 64

typedef struct TaskapiHistogram
{
	pg_atomic_uint64 microseconds;	/* the sum */
	pg_atomic_uint64 bucket[TASKAPI_NBUCKETS];	/* not cumulative; their sum is the number of requests */
} TaskapiHistogram;

typedef struct TaskapiSeries
{
	Oid			database;
	TaskapiRoute route;
	TaskapiHistogram histogram[TASKAPI_NSTATUS];
} TaskapiSeries;

/*
 * The series of a request of this database.  It stays where it is.  May throw: the first call of a backend attaches the
 * segment, and the first for a route reads catalogs.
 */
extern TaskapiSeries *taskapi_series_find(const char *method, const char *path);

/* A status of 0 is TASKAPI_STATUS_ROLLED_BACK.  Neither throws; both need the series. */
extern void taskapi_series_add(TaskapiSeries *series, int status, uint64 microseconds);

/* This backend's request is of that series, and began now; NULL: it has none. */
extern void taskapi_series_set_current(TaskapiSeries *series, TimestampTz now);

#endif							/* TASKAPI_REQUEST_SERIES_H */
