/*-------------------------------------------------------------------------
 *
 * secret.c
 *	  Signing keys (secret.h).
 *
 * The table is read as a catalog is: by a plain scan with the newest snapshot,
 * whatever the transaction's isolation, the caller's privileges and row-level
 * security.  So it works in a read-only transaction, on a standby and in a
 * parallel worker, and a key that another session made and committed is there at
 * once.  Keys live in one memory context, which is wiped before it is freed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "base/own_objects.h"
#include "base/secret.h"
#include "base/table_cache.h"
#include "base/trigger_check.h"

/* Columns of taskapi.secret, as sql/install/20_secret.sql declares them */
#define Anum_secret_purpose		1
#define Anum_secret_key_id		2
#define Anum_secret_secret		3
#define Anum_secret_created_at	4
#define Anum_secret_retired_at	5
#define Anum_secret_initial		6
#define Natts_secret			6

#define MAX_SECRET_LENGTH 1024

typedef struct SecretEntry
{
	const char *purpose;
	TaskapiSecret key;
} SecretEntry;

static TaskapiTableCache cache = {.relname = "secret"};
static MemoryContext secret_context = NULL;
static SecretEntry *entries = NULL; /* by purpose, newest key first */
static int	nentries = 0;
static TaskapiSecret *found = NULL; /* what taskapi_secret_all() returned last */

static void load_secrets(void);
static void forget_secrets(void);
static int	compare_entries(const void *a, const void *b);

const TaskapiSecret *
taskapi_secret_current(const char *purpose)
{
	load_secrets();
	for (int i = 0; i < nentries; i++)
	{
		if (strcmp(entries[i].purpose, purpose) == 0)
			return &entries[i].key;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("there is no signing key for \"%s\"", purpose),
			 errhint("Make one with taskapi.rotate_secret() or taskapi.set_secret().")));
}

const TaskapiSecret *
taskapi_secret_find(const char *purpose, int key_id)
{
	load_secrets();
	for (int i = 0; i < nentries; i++)
	{
		if (entries[i].key.key_id == key_id && strcmp(entries[i].purpose, purpose) == 0)
			return &entries[i].key;
	}
	return NULL;
}

int
taskapi_secret_all(const char *purpose, const TaskapiSecret **keys)
{
	int			n = 0;

	load_secrets();
	for (int i = 0; i < nentries; i++)
	{
		if (strcmp(entries[i].purpose, purpose) == 0)
			found[n++] = entries[i].key;
	}
	*keys = found;
	return n;
}

static void
load_secrets(void)
{
	uint64		generation;
	Relation	rel;
	SysScanDesc scan;
	HeapTuple	tuple;
	MemoryContext old;
	int			allocated = 8;

	/* Within a transaction nobody else may have done so since it began; where there is none it costs next to nothing */
	AcceptInvalidationMessages();
	if (taskapi_table_cache_valid(&cache))
		return;

	forget_secrets();
	secret_context = AllocSetContextCreate(TopMemoryContext, "taskapi secrets", ALLOCSET_SMALL_SIZES);
	generation = taskapi_relation_generation();
	rel = table_open(taskapi_relation_oid(cache.relname), AccessShareLock);
	old = MemoryContextSwitchTo(secret_context);
	entries = palloc(allocated * sizeof(SecretEntry));

	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Datum		values[Natts_secret];
		bool		isnull[Natts_secret];
		SecretEntry *entry;
		bytea	   *bytes;
		uint8	   *copy;

		heap_deform_tuple(tuple, RelationGetDescr(rel), values, isnull);
		if (!isnull[Anum_secret_retired_at - 1])
			continue;
		if (nentries == allocated)
		{
			allocated *= 2;
			entries = repalloc(entries, allocated * sizeof(SecretEntry));
		}
		/* A secret is short enough never to be stored out of line, but may be compressed */
		bytes = DatumGetByteaPP(values[Anum_secret_secret - 1]);
		entry = &entries[nentries];
		entry->purpose = TextDatumGetCString(values[Anum_secret_purpose - 1]);
		entry->key.key_id = DatumGetInt32(values[Anum_secret_key_id - 1]);
		entry->key.len = VARSIZE_ANY_EXHDR(bytes);
		copy = palloc(entry->key.len);
		memcpy(copy, VARDATA_ANY(bytes), entry->key.len);
		entry->key.bytes = copy;
		nentries++;
	}
	systable_endscan(scan);

	qsort(entries, nentries, sizeof(SecretEntry), compare_entries);
	found = palloc(Max(nentries, 1) * sizeof(TaskapiSecret));
	MemoryContextSwitchTo(old);
	table_close(rel, AccessShareLock);
	taskapi_table_cache_filled(&cache, generation);
}

static void
forget_secrets(void)
{
	for (int i = 0; i < nentries; i++)
		explicit_bzero(unconstify(uint8 *, entries[i].key.bytes), entries[i].key.len);
	nentries = 0;
	entries = NULL;
	found = NULL;
	if (secret_context)
		MemoryContextDelete(secret_context);
	secret_context = NULL;
}

static int
compare_entries(const void *a, const void *b)
{
	const SecretEntry *ea = a;
	const SecretEntry *eb = b;
	int			c = strcmp(ea->purpose, eb->purpose);

	if (c != 0)
		return c;
	return (eb->key.key_id > ea->key.key_id) - (eb->key.key_id < ea->key.key_id);
}

/*
 * random_secret(length int) -> bytea
 *
 * Cryptographically strong random bytes; 1 to 1024 of them.
 */
PG_FUNCTION_INFO_V1(taskapi_random_secret);
Datum
taskapi_random_secret(PG_FUNCTION_ARGS)
{
	int32		len = PG_GETARG_INT32(0);
	bytea	   *result;

	if (len < 1 || len > MAX_SECRET_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("length of a secret must be between 1 and %d", MAX_SECRET_LENGTH)));
	result = palloc(VARHDRSZ + len);
	SET_VARSIZE(result, VARHDRSZ + len);
	if (!pg_strong_random(VARDATA(result), len))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	PG_RETURN_BYTEA_P(result);
}

/*
 * replace_initial_secret() -> trigger
 *
 * BEFORE INSERT on taskapi.secret, for each row: a restored dump first creates the
 * extension, which makes initial keys, and then loads the dumped ones.  A dumped
 * initial key takes the place of the new one, so that tokens outlive the restore.
 * Nothing else can carry the mark "initial".
 */
PG_FUNCTION_INFO_V1(taskapi_replace_initial_secret);
Datum
taskapi_replace_initial_secret(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata;
	TupleDesc	desc;
	Datum		values[2];
	Oid			types[2] = {TEXTOID, INT4OID};
	bool		isnull[3];

	trigdata = taskapi_require_trigger(fcinfo, TASKAPI_TRIGGER_BEFORE | TASKAPI_TRIGGER_ROW | TASKAPI_TRIGGER_INSERT,
									   "replace_initial_secret");
	desc = RelationGetDescr(trigdata->tg_relation);
	if (!DatumGetBool(heap_getattr(trigdata->tg_trigtuple, Anum_secret_initial, desc, &isnull[2])) || isnull[2])
		return PointerGetDatum(trigdata->tg_trigtuple);

	values[0] = heap_getattr(trigdata->tg_trigtuple, Anum_secret_purpose, desc, &isnull[0]);
	values[1] = heap_getattr(trigdata->tg_trigtuple, Anum_secret_key_id, desc, &isnull[1]);
	if (!isnull[0] && !isnull[1])
	{
		if (SPI_connect() != SPI_OK_CONNECT)
			ereport(ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg("could not connect to SPI manager")));
		if (SPI_execute_with_args("DELETE FROM taskapi.secret"
								  " WHERE purpose OPERATOR(pg_catalog.=) $1 AND key_id OPERATOR(pg_catalog.=) $2 AND initial",
								  2, types, values, NULL, false, 0) != SPI_OK_DELETE)
			ereport(ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg("could not delete the initial key")));
		SPI_finish();
	}
	return PointerGetDatum(trigdata->tg_trigtuple);
}
