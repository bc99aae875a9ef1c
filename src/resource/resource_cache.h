/*-------------------------------------------------------------------------
 *
 * resource_cache.h
 *	  What is kept of a relation, until it is invalidated, and plans that run as its owner.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_CACHE_H
#define TASKAPI_RESOURCE_CACHE_H

#include "executor/spi.h"

/* What TaskapiView and TaskapiTable begin with. */
typedef struct TaskapiCacheEntry
{
	Oid			relid;
	MemoryContext context;		/* holds the entry and all that belongs to it, but for plans */
	bool		valid;
	uint64		outdated_in;	/* in which transaction it was found to be invalid */
	List	   *depends;		/* OIDs of the relations it was built from */
	List	   *plans;			/* of SPIPlanPtr */
} TaskapiCacheEntry;

typedef enum TaskapiCacheKind
{
	CACHE_VIEW,
	CACHE_TABLE
} TaskapiCacheKind;

/* A valid entry, or NULL. */
extern TaskapiCacheEntry *taskapi_resource_cache_get(TaskapiCacheKind kind, Oid relid);

/*
 * Take over an entry.  "generation" is taskapi_resource_cache_generation() from before it was built: what was
 * invalidated meanwhile is not found again.
 */
extern void taskapi_resource_cache_put(TaskapiCacheKind kind, TaskapiCacheEntry *entry, uint64 generation);
extern uint64 taskapi_resource_cache_generation(void);

/* All entries are invalid: the registry has changed. */
extern void taskapi_resource_cache_reset(void);

extern void taskapi_resource_cache_init(void);

/* Prepare and keep a plan as a role; it belongs to the entry. */
extern SPIPlanPtr taskapi_prepare_as(TaskapiCacheEntry *entry, Oid role, const char *query, int nargs, Oid *argtypes);

/*
 * Run a plan with a role's rights and, as referential integrity does, no row-level security and in every isolation
 * level with the newest state in view: a row that this transaction's snapshot does not show is a serialization failure
 * where it would be changed.
 */
extern int	taskapi_run_as_owner(Oid owner, SPIPlanPtr plan, Datum *values, const char *nulls, long limit);

#endif							/* TASKAPI_RESOURCE_CACHE_H */
