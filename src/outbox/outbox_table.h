/*-------------------------------------------------------------------------
 *
 * outbox_table.h
 *	  Reading the outbox's tables by their indexes, without the executor.
 *
 * receive() and settle() are called for every batch, and for a small one the executor's start and end, eight times over, was most
 * of what they cost.  The tables are their owner's, though, who may have made something else of them.  So a table is read here only
 * if it is plain: an ordinary table of the owner's with the columns that are asked for, without row-level security that binds the
 * owner, without children, and with an index that begins with the keys, which are NOT NULL, in their default order.  Whoever finds
 * that it is not uses a statement (outbox.h), which copes with all of it.
 *
 * Columns are found by their names, so that a partition may have them in another order.
 *
 * Call it as the owner (taskapi_outbox_as_owner()).  A scan uses the active snapshot.  Locks on tables are kept to the end of the
 * transaction, as the executor does.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_OUTBOX_TABLE_H
#define TASKAPI_OUTBOX_TABLE_H

#include "access/genam.h"
#include "access/sdir.h"
#include "executor/tuptable.h"
#include "utils/relcache.h"

#include "outbox/outbox.h"

/* The keys first: those of a text, a smallint or a bigint. */
typedef struct TaskapiOutboxLayout
{
	int			nkeys;
	int			ncolumns;
	struct
	{
		const char *name;
		Oid			type;
	}			columns[OUTBOX_MAX_VALUES];
} TaskapiOutboxLayout;

typedef struct TaskapiOutboxTable
{
	Relation	rel;
	Relation	index;
	AttrNumber	attnos[OUTBOX_MAX_VALUES];
	TupleTableSlot *slot;		/* the row that a scan has come to */
	IndexScanDesc scan;
} TaskapiOutboxTable;

/* false if it is not plain: nothing is open then. */
extern bool taskapi_outbox_table_open(TaskapiOutboxTable *table, const TaskapiOutbox *outbox, Oid relid,
									  const TaskapiOutboxLayout *layout, LOCKMODE lockmode);
extern bool taskapi_outbox_table_open_name(TaskapiOutboxTable *table, const TaskapiOutbox *outbox, const char *name,
										   const TaskapiOutboxLayout *layout, LOCKMODE lockmode);
extern void taskapi_outbox_table_close(TaskapiOutboxTable *table);

/*
 * Rows whose first "nkeys" keys are these; with "after", those whose next key, a bigint, is larger than it.  One scan at a time.
 */
extern void taskapi_outbox_scan_begin(TaskapiOutboxTable *table, const Datum *keys, int nkeys, const int64 *after);
extern bool taskapi_outbox_scan_next(TaskapiOutboxTable *table, ScanDirection direction);
extern void taskapi_outbox_scan_end(TaskapiOutboxTable *table);

/*
 * The last of them in the order of the index.
 */
extern bool taskapi_outbox_find_last(TaskapiOutboxTable *table, const Datum *keys, int nkeys, const int64 *after);

/* A column of that row, from 0, as in the layout; and one that is a bigint or a time, 0 if it is NULL.  Keys are never NULL. */
extern Datum taskapi_outbox_column(TaskapiOutboxTable *table, int column, bool *isnull);
extern int64 taskapi_outbox_number(TaskapiOutboxTable *table, int column);

#endif							/* TASKAPI_OUTBOX_TABLE_H */
