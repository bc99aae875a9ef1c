/*-------------------------------------------------------------------------
 *
 * resource_cache.c
 *	  The cache behind taskapi_view() and taskapi_table(), and running plans.
 *
 * An entry may be invalidated while it is in use: any statement may bring in
 * invalidation messages.  So invalid entries are only marked; the next look-up
 * sets them aside, and they are freed by a look-up in a later transaction, when
 * nobody can hold a pointer to them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "base/table_cache.h"
#include "resource/resource_cache.h"

typedef struct CacheKey
{
	Oid			relid;
	int			kind;
} CacheKey;

typedef struct CacheSlot
{
	CacheKey	key;
	TaskapiCacheEntry *entry;	/* or NULL */
} CacheSlot;

static HTAB *slots = NULL;
static List *outdated = NIL;	/* of TaskapiCacheEntry */
static uint64 transaction = 1;	/* counts those of this backend */
static uint64 generation = 1;	/* counts invalidations */

static CacheSlot *cache_slot(TaskapiCacheKind kind, Oid relid);
static void free_outdated(void);
static void relation_changed(Oid relid);
static void xact_callback(XactEvent event, void *arg);

void
taskapi_resource_cache_init(void)
{
	taskapi_on_relation_change(relation_changed);
	RegisterXactCallback(xact_callback, NULL);
}

static CacheSlot *
cache_slot(TaskapiCacheKind kind, Oid relid)
{
	CacheKey	key = {.relid = relid, .kind = kind};
	CacheSlot  *slot;
	bool		found;

	if (slots == NULL)
	{
		HASHCTL		ctl = {0};

		ctl.keysize = sizeof(CacheKey);
		ctl.entrysize = sizeof(CacheSlot);
		slots = hash_create("taskapi resources", 64, &ctl, HASH_ELEM | HASH_BLOBS);
	}
	slot = hash_search(slots, &key, HASH_ENTER, &found);
	if (!found)
		slot->entry = NULL;
	return slot;
}

TaskapiCacheEntry *
taskapi_resource_cache_get(TaskapiCacheKind kind, Oid relid)
{
	CacheSlot  *slot = cache_slot(kind, relid);

	if (outdated != NIL)
		free_outdated();
	if (slot->entry != NULL && !slot->entry->valid)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(CacheMemoryContext);

		outdated = lappend(outdated, slot->entry);
		slot->entry->outdated_in = transaction;
		slot->entry = NULL;
		MemoryContextSwitchTo(oldcontext);
	}
	return slot->entry;
}

void
taskapi_resource_cache_put(TaskapiCacheKind kind, TaskapiCacheEntry *entry, uint64 since)
{
	CacheSlot  *slot = cache_slot(kind, entry->relid);

	Assert(slot->entry == NULL);
	entry->valid = (since == generation);
	MemoryContextSetParent(entry->context, CacheMemoryContext);
	slot->entry = entry;
}

uint64
taskapi_resource_cache_generation(void)
{
	return generation;
}

void
taskapi_resource_cache_reset(void)
{
	relation_changed(InvalidOid);
}

static void
free_outdated(void)
{
	List	   *kept = NIL;
	ListCell   *lc;
	MemoryContext oldcontext = MemoryContextSwitchTo(CacheMemoryContext);

	foreach(lc, outdated)
	{
		TaskapiCacheEntry *entry = lfirst(lc);
		ListCell   *lc2;

		if (entry->outdated_in == transaction)
		{
			kept = lappend(kept, entry);
			continue;
		}
		foreach(lc2, entry->plans)
			SPI_freeplan((SPIPlanPtr) lfirst(lc2));
		MemoryContextDelete(entry->context);
	}
	list_free(outdated);
	outdated = kept;
	MemoryContextSwitchTo(oldcontext);
}

static void
relation_changed(Oid relid)
{
	HASH_SEQ_STATUS seq;
	CacheSlot  *slot;

	generation++;
	if (slots == NULL)
		return;
	hash_seq_init(&seq, slots);
	while ((slot = hash_seq_search(&seq)) != NULL)
	{
		if (slot->entry != NULL &&
			(relid == InvalidOid || list_member_oid(slot->entry->depends, relid)))
			slot->entry->valid = false;
	}
}

static void
xact_callback(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		transaction++;
}

SPIPlanPtr
taskapi_prepare_as(TaskapiCacheEntry *entry, Oid role, const char *query, int nargs, Oid *argtypes)
{
	SPIPlanPtr	plan;
	MemoryContext oldcontext;
	Oid			save_userid;
	int			save_sec_context;

	GetUserIdAndSecContext(&save_userid, &save_sec_context);
	if (role != save_userid)
		SetUserIdAndSecContext(role, save_sec_context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
	plan = SPI_prepare(query, nargs, argtypes);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare returned %s for %s", SPI_result_code_string(SPI_result), query);
	if (role != save_userid)
		SetUserIdAndSecContext(save_userid, save_sec_context);

	/* first the place for it, so that running out of memory loses no plan */
	oldcontext = MemoryContextSwitchTo(entry->context);
	entry->plans = lappend(entry->plans, plan);
	MemoryContextSwitchTo(oldcontext);
	SPI_keepplan(plan);
	return plan;
}

int
taskapi_run_as_owner(Oid owner, SPIPlanPtr plan, Datum *values, const char *nulls, long limit)
{
	Snapshot	snapshot = InvalidSnapshot;
	Snapshot	crosscheck = InvalidSnapshot;
	Oid			save_userid;
	int			save_sec_context;
	int			result;

	if (IsolationUsesXactSnapshot())
	{
		CommandCounterIncrement();	/* our own work is to be seen */
		snapshot = GetLatestSnapshot();
		crosscheck = GetTransactionSnapshot();
	}

	GetUserIdAndSecContext(&save_userid, &save_sec_context);
	SetUserIdAndSecContext(owner, save_sec_context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
	result = SPI_execute_snapshot(plan, values, nulls, snapshot, crosscheck, false, true, limit);
	SetUserIdAndSecContext(save_userid, save_sec_context);
	if (result < 0)
		elog(ERROR, "SPI_execute_snapshot returned %s", SPI_result_code_string(result));
	return result;
}
