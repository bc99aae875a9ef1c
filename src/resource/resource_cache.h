/*-------------------------------------------------------------------------
 *
 * resource_cache.h
 *	  What is kept of a relation, until it is invalidated.
 *
 * An entry is out of date as soon as a relation that it was built from has
 * changed, or anything whose name stands in the text of its plans may have got
 * another one.  It may be in use by then: it is freed by a look-up in a later
 * transaction, so a pointer to it is good until the end of the transaction.
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
	uint64		serial;			/* of no other entry of this backend, unlike its address */
	MemoryContext context;		/* holds the entry and all that belongs to it, but for plans */
	bool		valid;
	bool		user_types;		/* types that are not the server's own stand in its plans */
	uint64		names;			/* generations of names and of types from before it was built */
	uint64		types;
	uint64		outdated_in;	/* in which transaction it was found to be invalid */
	List	   *depends;		/* OIDs of the relations it was built from */
	List	   *plans;			/* of SPIPlanPtr */
} TaskapiCacheEntry;

typedef enum TaskapiCacheKind
{
	TASKAPI_CACHE_VIEW,
	TASKAPI_CACHE_TABLE
} TaskapiCacheKind;

/*
 * A current entry, or NULL.  The relation is locked until the transaction ends, so that it and its columns keep the names
 * that stand in the texts of plans.  A name of another relation holds only if that is locked before this is asked.
 */
extern TaskapiCacheEntry *taskapi_resource_cache_get(TaskapiCacheKind kind, Oid relid);

/* Is it still what a look-up would give? */
extern bool taskapi_resource_cache_is_current(const TaskapiCacheEntry *entry);

/*
 * An entry in a context of its own, a child of the current one, to be built and then put.  What is invalidated
 * meanwhile leaves it invalid.
 */
extern TaskapiCacheEntry *taskapi_resource_cache_new(Oid relid, Size size, const char *name);

/* Take over an entry; "since" is taskapi_relation_generation() from before it was built. */
extern void taskapi_resource_cache_put(TaskapiCacheKind kind, TaskapiCacheEntry *entry, uint64 since);

/* What was read by one entry is not what the entry that is current now is about. */
pg_noreturn extern void taskapi_resource_refuse_changed(void);

/* All entries are invalid: the registry has changed. */
extern void taskapi_resource_cache_reset(void);

extern void taskapi_resource_cache_init(void);

#endif							/* TASKAPI_RESOURCE_CACHE_H */
