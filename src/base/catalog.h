/*-------------------------------------------------------------------------
 *
 * catalog.h
 *	  Finding the extension's own objects, and caches over its own tables.
 *
 * The extension's schema is fixed, so its objects are found by name in that
 * schema and never through search_path.
 *
 * A configuration table (secret, rate_limit_policy, ...) is cached per backend
 * by the module that owns it.  A statement trigger on the table,
 * taskapi.invalidate_cache(), sends a relcache invalidation of that table, which
 * every backend processes when the change commits, a standby's backends when it
 * is replayed.  A TaskapiTableCache turns that into a flag:
 *
 *		static TaskapiTableCache cache = {.relname = "secret"};
 *
 *		if (!taskapi_table_cache_valid(&cache))
 *		{
 *			... throw away what was read, and read the table afresh ...
 *			taskapi_table_cache_filled(&cache, generation);
 *		}
 *
 * valid() returns false when anything may have changed, also after DROP and
 * CREATE EXTENSION.  Take the generation (taskapi_table_cache_generation) before
 * reading the table: an invalidation that arrives while it is read must not be
 * lost.  Read with a fresh snapshot (GetLatestSnapshot or RegisterSnapshot of it),
 * with no regard to the caller's privileges, and keep the entries in a memory
 * context of the cache's own.  After an error half-way the cache is still invalid.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_CATALOG_H
#define TASKAPI_CATALOG_H

#define TASKAPI_SCHEMA "taskapi"

typedef struct TaskapiTableCache
{
	const char *relname;		/* a table in schema taskapi */
	Oid			relid;			/* as of the last fill */
	bool		valid;
} TaskapiTableCache;

/* OID of schema taskapi; an error where the extension is not created. */
extern Oid	taskapi_schema_oid(void);

/* OID of a relation or a type in schema taskapi; an error where it is missing. */
extern Oid	taskapi_relation_oid(const char *relname);
extern Oid	taskapi_relation_owner(const char *relname);
extern Oid	taskapi_type_oid(const char *typname);

extern bool taskapi_table_cache_valid(TaskapiTableCache *cache);
extern uint64 taskapi_table_cache_generation(void);
extern void taskapi_table_cache_filled(TaskapiTableCache *cache, uint64 generation);

/* Registers the callbacks of the caches. */
extern void taskapi_catalog_init(void);

#endif							/* TASKAPI_CATALOG_H */
