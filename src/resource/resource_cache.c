/*-------------------------------------------------------------------------
 *
 * resource_cache.c
 *	  The cache behind taskapi_resource_view() and taskapi_resource_table().
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
#include "storage/lmgr.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "base/table_cache.h"
#include "resource/resource_cache.h"
#include "resource/resource_target.h"

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
static uint64 serial = 0;		/* of the entry that was made last */
static uint64 transaction = 1;	/* counts those of this backend */

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
	CacheSlot  *slot;

	LockRelationOid(relid, AccessShareLock);
	slot = cache_slot(kind, relid);
	if (outdated != NIL)
		free_outdated();
	if (slot->entry != NULL && !taskapi_resource_cache_is_current(slot->entry))
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(CacheMemoryContext);

		outdated = lappend(outdated, slot->entry);
		slot->entry->outdated_in = transaction;
		slot->entry = NULL;
		MemoryContextSwitchTo(oldcontext);
	}
	return slot->entry;
}

bool
taskapi_resource_cache_is_current(const TaskapiCacheEntry *entry)
{
	return entry->valid && entry->names == taskapi_names_generation() &&
		(!entry->user_types || entry->types == taskapi_types_generation());
}

TaskapiCacheEntry *
taskapi_resource_cache_new(Oid relid, Size size, const char *name)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "taskapi resource", ALLOCSET_SMALL_SIZES);
	TaskapiCacheEntry *entry = MemoryContextAllocZero(context, size);

	MemoryContextSetIdentifier(context, name);
	entry->relid = relid;
	entry->serial = ++serial;
	entry->context = context;
	entry->names = taskapi_names_generation();
	entry->types = taskapi_types_generation();
	return entry;
}

void
taskapi_resource_cache_put(TaskapiCacheKind kind, TaskapiCacheEntry *entry, uint64 since)
{
	CacheSlot  *slot = cache_slot(kind, entry->relid);

	Assert(slot->entry == NULL);
	entry->valid = (since == taskapi_relation_generation());
	MemoryContextSetParent(entry->context, CacheMemoryContext);
	slot->entry = entry;
}

void
taskapi_resource_refuse_changed(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("a table changed while rows of it were being written"),
			 errhint("Send the request again.")));
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
		{
			taskapi_resource_forget_target(lfirst(lc2));
			SPI_freeplan(lfirst(lc2));
		}
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
