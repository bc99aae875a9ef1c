/*-------------------------------------------------------------------------
 *
 * table_cache.h
 *	  What makes a cache of this backend out of date.
 *
 * The server has ten relcache callbacks for all extensions together, so this
 * module registers the only one of ours, and the syscache callbacks too.  Other
 * caches take part in one of three ways.
 *
 * 1. A cache over one of the extension's own tables is a TaskapiTableCache.  A
 * statement trigger on the table, taskapi.invalidate_cache(), sends a relcache
 * invalidation of that table, which every backend processes when the change
 * commits, and a standby's backends when it is replayed.  The trigger must be
 * ENABLE ALWAYS, so that a session in the role of a replica counts too.  Logical
 * replication fires no statement triggers: sql/install/89_replicated.sql adds one by
 * row for it.
 *
 *		static TaskapiTableCache cache = {.relname = "secret"};
 *
 *		if (!taskapi_table_cache_valid(&cache))
 *		{
 *			generation = taskapi_relation_generation();
 *			... throw away what was read, and read the table again ...
 *			taskapi_table_cache_filled(&cache, generation);
 *		}
 *
 * valid() returns false when anything may have changed, also after DROP and
 * CREATE EXTENSION.  Take the generation before reading the table: an
 * invalidation that arrives while it is read must not be lost.  Read with a new
 * snapshot and without regard to the caller's privileges, and keep the entries
 * in a memory context of the cache's own.  After an error half-way the cache is
 * still invalid.
 *
 * 2. A cache that depends on relations of others subscribes with
 * taskapi_on_relation_change().  The function is called with the relation's OID,
 * or with InvalidOid for all, in the middle of anything that processes
 * invalidation messages: it may mark entries, and must neither throw, allocate,
 * read a catalog nor free what may be in use.
 *
 * 3. A cache that depends on names, or on the functions and operators behind
 * them, compares generations: taskapi_names_generation() grows whenever a
 * schema, function, operator, operator class, collation or cast may have
 * changed, and taskapi_types_generation() whenever a type may have.  They are
 * two because every CREATE TABLE, a temporary one too, makes a type.
 *
 * A generation grows only when this backend processes invalidation messages, as
 * it does when it locks a relation.  So compare after the lock.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_TABLE_CACHE_H
#define TASKAPI_TABLE_CACHE_H

typedef struct TaskapiTableCache
{
	const char *relname;		/* a table in schema taskapi */
	Oid			relid;			/* as of the last fill */
	bool		valid;
	bool		listed;			/* is it in the list that the callback walks? */
	struct TaskapiTableCache *next;
} TaskapiTableCache;

typedef void (*TaskapiRelationCallback) (Oid relid);

extern bool taskapi_table_cache_valid(const TaskapiTableCache *cache);
extern void taskapi_table_cache_filled(TaskapiTableCache *cache, uint64 generation);

/* Only for _PG_init: the server lets nobody unsubscribe. */
extern void taskapi_on_relation_change(TaskapiRelationCallback callback);

/* They start at 1, so that 0 is out of date. */
extern uint64 taskapi_relation_generation(void);
extern uint64 taskapi_names_generation(void);
extern uint64 taskapi_types_generation(void);

/* Registers the server's callbacks. */
extern void taskapi_table_cache_init(void);

#endif							/* TASKAPI_TABLE_CACHE_H */
