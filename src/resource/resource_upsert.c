/*-------------------------------------------------------------------------
 *
 * resource_upsert.c
 *	  INSERT ... ON CONFLICT of one row of a resource (resource_upsert.h).
 *
 * The condition of DO UPDATE begins with insert_conflict(), which PostgreSQL
 * evaluates once the row in the way is locked, and before its policies are asked.
 * It knows the row that is being written, and says whether the row in the way may
 * be changed.  It only says so: whether the caller may be told why is looked up
 * afterwards, as the caller.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "common/hashfn.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "http/precondition.h"
#include "http/problem.h"
#include "resource/resource_insert.h"
#include "resource/resource_upsert.h"
#include "resource/resource_write.h"

/* What a row that is being written has met */
typedef struct Conflict
{
	struct Conflict *outer;
	const TaskapiWrite *write;
	MemoryContext context;
	bool		sends_version;
	bool		look_only;		/* leave the row as it is */
	bool		met;
	bool		live;
	bool		holds;			/* the preconditions hold */
	TaskapiVersion version;
	HeapTuple	row;			/* of the view, with nothing in it but the key */
} Conflict;

/* A key, by the bytes of its values */
typedef struct KeyDigest
{
	uint64		halves[2];
} KeyDigest;

static Conflict *current = NULL;

static bool preconditions_hold(const Conflict *conflict);
static void check_preconditions(const Conflict *conflict);
static void require_key(const TaskapiWrite *write, TupleDesc desc);
static KeyDigest digest_key(const TaskapiView *view, const Datum *values);
static bool was_written(const TaskapiWrite *write, KeyDigest digest);
static void note_written(const TaskapiWrite *write, HeapTuple row);
static void refuse_arbiter(MemoryContext context);
static HeapTuple insert(Conflict *conflict, const TaskapiConflict *clause);
static void explain_nothing_written(const Conflict *conflict);

/*
 * insert_conflict(live boolean, version bigint, key record) -> boolean
 *
 * May the row that an INSERT of the resource's trigger has met be changed?  An error outside of such an INSERT.
 */
PG_FUNCTION_INFO_V1(taskapi_insert_conflict);
Datum
taskapi_insert_conflict(PG_FUNCTION_ARGS)
{
	Conflict   *conflict = current;
	const TaskapiView *view;
	HeapTupleHeader header;
	HeapTupleData key;
	TupleDesc	desc;
	Datum		values[INDEX_MAX_KEYS];
	bool		nulls[INDEX_MAX_KEYS];
	Datum	   *all;
	bool	   *all_null;
	MemoryContext oldcontext;

	if (conflict == NULL || PG_ARGISNULL(0) || PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("insert_conflict() is called by a resource's trigger only")));
	view = conflict->write->view;
	header = PG_GETARG_HEAPTUPLEHEADER(2);
	desc = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(header), HeapTupleHeaderGetTypMod(header));
	require_key(conflict->write, desc);
	key.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&key.t_self);
	key.t_tableOid = InvalidOid;
	key.t_data = header;
	heap_deform_tuple(&key, desc, values, nulls);
	ReleaseTupleDesc(desc);
	if (!conflict->look_only && was_written(conflict->write, digest_key(view, values)))
		taskapi_problem_sqlstate(PROBLEM_INVALID_VALUE, ERRCODE_CARDINALITY_VIOLATION, NIL,
								 "Ensure that no rows proposed for insertion within the same command "
								 "have duplicate constrained values.",
								 "ON CONFLICT DO UPDATE command cannot affect row a second time.");

	oldcontext = MemoryContextSwitchTo(conflict->context);
	all = palloc0(sizeof(Datum) * view->ncolumns);
	all_null = palloc(view->ncolumns);
	memset(all_null, true, view->ncolumns);
	for (int i = 0; i < view->nkeys; i++)
	{
		all[view->keys[i].column] = values[i];
		all_null[view->keys[i].column] = nulls[i];
	}
	conflict->row = heap_form_tuple(conflict->write->desc, all, all_null);
	MemoryContextSwitchTo(oldcontext);
	conflict->met = true;
	conflict->live = PG_GETARG_BOOL(0);
	conflict->version.known = !PG_ARGISNULL(1);
	conflict->version.number = conflict->version.known ? PG_GETARG_INT64(1) : 0;
	conflict->holds = preconditions_hold(conflict);
	PG_RETURN_BOOL(!conflict->look_only && conflict->live && conflict->holds);
}

/*
 * The table may have changed while the statement waited.
 */
static void
require_key(const TaskapiWrite *write, TupleDesc desc)
{
	const TaskapiView *view = write->view;
	bool		same = (desc->natts == view->nkeys);

	for (int i = 0; same && i < view->nkeys; i++)
		same = TupleDescAttr(desc, i)->atttypid == view->columns[view->keys[i].column].type;
	if (!same)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("resource \"%s\" changed while a row of it was being written", get_rel_name(view->entry.relid)),
				 errhint("Send the request again.")));
}

/* ---------- preconditions ---------- */

/*
 * As taskapi_resource_check_precondition(), without a word.
 */
static bool
preconditions_hold(const Conflict *conflict)
{
	const TaskapiResourceStatement *statement = conflict->write->statement;
	int64		version = conflict->version.known ? conflict->version.number : -1;
	TaskapiVersion sent = {0};

	if (conflict->sends_version)
		sent = taskapi_resource_version(conflict->write, conflict->write->new);
	if (conflict->sends_version && !taskapi_same_version(sent, conflict->version))
		return false;
	if (statement->if_match == NULL && !sent.known && statement->require_if_match)
		return false;
	return (statement->if_match == NULL || taskapi_if_match(statement->if_match, version)) &&
		(statement->if_none_match == NULL || taskapi_if_none_match(statement->if_none_match, version));
}

/*
 * The same, aloud.
 */
static void
check_preconditions(const Conflict *conflict)
{
	TaskapiResourceStatement *statement = conflict->write->statement;
	bool		version_sent = statement->version_sent;
	TaskapiWrite write = *conflict->write;
	Datum		version;
	bool		isnull = !conflict->version.known;
	int			column;

	if (write.view->version < 0)
	{
		taskapi_resource_check_precondition(&write, conflict->row);
		return;
	}
	column = write.view->version + 1;
	version = write.view->columns[write.view->version].type == INT8OID ? Int64GetDatum(conflict->version.number) :
		Int32GetDatum((int32) conflict->version.number);
	statement->version_sent = conflict->sends_version;
	taskapi_resource_check_precondition(&write, heap_modify_tuple_by_cols(conflict->row, write.desc, 1, &column, &version,
																		  &isnull));
	statement->version_sent = version_sent;
}

/* ---------- rows that the statement has written ---------- */

static KeyDigest
digest_key(const TaskapiView *view, const Datum *values)
{
	KeyDigest	digest = {{0, 0}};

	for (int i = 0; i < view->nkeys; i++)
	{
		const TaskapiViewColumn *column = &view->columns[view->keys[i].column];
		Datum		value = values[i];
		const char *data = (const char *) &value;
		Size		len = sizeof(value);

		if (!column->typbyval)
		{
			data = DatumGetPointer(value);
			if (column->typlen == -1)
			{
				struct varlena *plain = PG_DETOAST_DATUM_PACKED(value);

				data = VARDATA_ANY(plain);
				len = VARSIZE_ANY_EXHDR(plain);
			}
			else
				len = datumGetSize(value, false, column->typlen);
		}
		for (int half = 0; half < 2; half++)
			digest.halves[half] = hash_bytes_extended((const unsigned char *) data, (int) len, digest.halves[half] + half);
	}
	return digest;
}

static bool
was_written(const TaskapiWrite *write, KeyDigest digest)
{
	HTAB	   *upserted = write->statement->upserted;

	return upserted != NULL && hash_search(upserted, &digest, HASH_FIND, NULL) != NULL;
}

/*
 * PostgreSQL refuses to change a row twice in one statement, since the order of the rows would decide.
 */
static void
note_written(const TaskapiWrite *write, HeapTuple row)
{
	TaskapiResourceStatement *statement = write->statement;
	Datum		values[INDEX_MAX_KEYS];
	char		nulls[INDEX_MAX_KEYS];
	KeyDigest	digest;

	if (statement->upserted == NULL)
	{
		HASHCTL		control = {0};

		control.keysize = control.entrysize = sizeof(KeyDigest);
		control.hcxt = statement->context;
		statement->upserted = hash_create("taskapi upsert", 16, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	taskapi_resource_key_arguments(write, row, values, nulls);
	digest = digest_key(write->view, values);
	hash_search(statement->upserted, &digest, HASH_ENTER, NULL);
}

/* ---------- the write ---------- */

static HeapTuple
insert(Conflict *conflict, const TaskapiConflict *clause)
{
	HeapTuple volatile row = NULL;

	PG_TRY();
	{
		current = conflict;
		row = taskapi_resource_insert_on_conflict(conflict->write, clause);
	}
	PG_CATCH();
	{
		current = conflict->outer;
		if (geterrcode() == ERRCODE_INVALID_COLUMN_REFERENCE)
			refuse_arbiter(conflict->context);
		PG_RE_THROW();
	}
	PG_END_TRY();
	current = conflict->outer;
	return row;
}

/*
 * The planner has found no index for the clause; the same error of anything else, such as a trigger, stays what it is.
 */
static void
refuse_arbiter(MemoryContext context)
{
	ErrorData  *edata;

	MemoryContextSwitchTo(context);
	edata = CopyErrorData();
	if (edata->filename == NULL || strcmp(edata->filename, "plancat.c") != 0)
		return;
	FlushErrorState();
	taskapi_problem(PROBLEM_INVALID_ON_CONFLICT, NIL,
					"Name all columns of the primary key or of a unique index, and no others.",
					"No unique index of the table is over just these columns.");
}

HeapTuple
taskapi_resource_insert_unless_there(const TaskapiWrite *write, const TaskapiConflict *clause, bool *met)
{
	Conflict	conflict = {.outer = current, .write = write, .context = CurrentMemoryContext, .look_only = true};
	HeapTuple	row = insert(&conflict, clause);

	*met = conflict.met;
	return row;
}

HeapTuple
taskapi_resource_upsert(const TaskapiWrite *write, const TaskapiConflict *clause)
{
	Conflict	conflict = {.outer = current, .write = write, .context = CurrentMemoryContext};
	HeapTuple	row;

	conflict.sends_version = clause->sends_version && write->version_given;
	row = insert(&conflict, clause);

	if (!clause->update)
	{
		if (row == NULL)
			taskapi_resource_refuse_deleted(write, write->new);
		return row;
	}
	if (row == NULL)
	{
		if (conflict.met)
			explain_nothing_written(&conflict);
		return NULL;
	}
	if (!conflict.met && (write->statement->if_match != NULL ||
						  (conflict.sends_version && taskapi_resource_version(write, write->new).known)))
		taskapi_resource_version_conflict((TaskapiVersion) {0});
	note_written(write, row);
	return row;
}

/*
 * The row in the way was not changed: a problem; or the client's own condition, or a trigger, would not have it.
 */
static void
explain_nothing_written(const Conflict *conflict)
{
	TaskapiVersion version;

	if (conflict->live && conflict->holds)
		return;
	switch (taskapi_resource_probe(conflict->write, conflict->row, &version))
	{
		case TASKAPI_ROW_ABSENT:
			taskapi_resource_forbidden(conflict->write->statement);
		case TASKAPI_ROW_DELETED:
			taskapi_resource_refuse_deleted(conflict->write, conflict->row);
			break;
		case TASKAPI_ROW_LIVE:
			check_preconditions(conflict);
			break;
	}
	taskapi_problem(PROBLEM_TRY_AGAIN, NIL, "Send the request again.",
					"Another request changed the same row at the same time.");
}

void
taskapi_resource_refuse_deleted(const TaskapiWrite *write, HeapTuple row)
{
	TaskapiVersion version;

	if (!write->view->registration.soft_delete)
		return;
	for (int i = 0; i < write->view->nkeys; i++)
	{
		if (heap_attisnull(row, write->view->keys[i].column + 1, write->desc))
			return;
	}
	if (taskapi_resource_probe(write, row, &version) == TASKAPI_ROW_DELETED)
		taskapi_problem(PROBLEM_ALREADY_EXISTS, NIL, "A deleted row has the same key: restore it, or purge it.",
						"The row exists, and is deleted.");
}
