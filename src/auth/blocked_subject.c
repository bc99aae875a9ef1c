/*-------------------------------------------------------------------------
 *
 * blocked_subject.c
 *	  The list of blocked subjects (blocked_subject.h).
 *
 * The list may be long, and every change of it reaches every backend, so it is
 * not loaded.  A subject is looked up through the primary key with the newest
 * snapshot and no regard to the caller's privileges, and the answer, which is
 * nearly always no, is kept until the table changes.  While the table is empty,
 * not even that is needed.
 *
 * A row that this transaction made or removed may be rolled back, which sends no
 * message; but its own statement sent one to this backend, and the end of the
 * transaction sends it again either way, so nothing that was kept outlives it.
 *
 * SQL: sql/install/58_blocked_subject.sql
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/pg_collation.h"
#include "common/hashfn.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "auth/blocked_subject.h"
#include "base/compat.h"
#include "base/own_objects.h"
#include "base/table_cache.h"

#define INDEX_NAME "blocked_subject_pkey"
#define MAX_KEPT 1000

#define Anum_blocked_subject 1

/* What was found out about a subject */
typedef struct KeptSubject
{
	const char *subject;
	char		status;			/* simplehash's */
	bool		blocked;
} KeptSubject;

#define SH_PREFIX kept
#define SH_ELEMENT_TYPE KeptSubject
#define SH_KEY_TYPE const char *
#define SH_KEY subject
#define SH_HASH_KEY(tb, key) hash_bytes((const unsigned char *) (key), strlen(key))
#define SH_EQUAL(tb, a, b) (strcmp(a, b) == 0)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

static TaskapiTableCache cache = {.relname = "blocked_subject"};
static MemoryContext context = NULL;
static kept_hash *kept = NULL;
static bool any = false;		/* is any subject blocked? */

static void start_over(void);
static bool look_up(const char *subject);

bool
taskapi_subject_blocked(const char *subject)
{
	KeptSubject *entry;
	bool		found;
	bool		blocked;

	/* A block that was committed a moment ago, in a transaction that began before it */
	AcceptInvalidationMessages();
	if (kept == NULL || !taskapi_table_cache_valid(&cache) || kept->members >= MAX_KEPT)
		start_over();
	if (!any)
		return false;

	entry = kept_lookup(kept, subject);
	if (entry != NULL)
		return entry->blocked;

	/* Reading the table may let in that it has changed: what was read then is good for once */
	blocked = look_up(subject);
	if (taskapi_table_cache_valid(&cache))
	{
		entry = kept_insert(kept, MemoryContextStrdup(context, subject), &found);
		entry->blocked = blocked;
	}
	return blocked;
}

/*
 * The generation is taken before anything is read: see table_cache.h.  Reading may
 * fail, by a timeout while the table is locked, say, and what is kept may be valid
 * still; so it is touched only afterwards, and is not there until it is whole.
 */
static void
start_over(void)
{
	uint64		generation = taskapi_relation_generation();
	bool		found = look_up(NULL);

	kept = NULL;
	if (context == NULL)
		context = AllocSetContextCreate(TopMemoryContext, "taskapi blocked subjects", ALLOCSET_SMALL_SIZES);
	MemoryContextReset(context);
	any = found;
	kept = kept_create(context, 64, NULL);
	taskapi_table_cache_filled(&cache, generation);
}

/* Is there a row of that subject; with NULL, any row? */
static bool
look_up(const char *subject)
{
	Relation	rel = table_open(taskapi_relation_oid(cache.relname), AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	bool		found;

	if (subject != NULL)
		ScanKeyEntryInitialize(&key, 0, Anum_blocked_subject, BTEqualStrategyNumber, InvalidOid, C_COLLATION_OID,
							   F_TEXTEQ, CStringGetTextDatum(subject));
	scan = systable_beginscan(rel, taskapi_relation_oid(INDEX_NAME), true, NULL, subject != NULL ? 1 : 0, &key);
	found = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}
