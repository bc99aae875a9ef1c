/*-------------------------------------------------------------------------
 *
 * resource_statement.h
 *	  Writes to resources: the views that expose() makes.
 *
 * A write is a statement (INSERT, UPDATE or DELETE on a resource's view) of any
 * number of rows.  Three triggers on the view drive it: BEFORE STATEMENT starts
 * it, INSTEAD OF writes each row, AFTER STATEMENT ends it.  What they share is a
 * TaskapiResourceStatement:
 *
 * - It lives from the start of the statement to its end, in the memory of the
 *	 subtransaction, and is dropped when that rolls back; so a hook never sees
 *	 statement_end of a statement that failed.
 * - Statements nest: a trigger of the table may write to the same or another
 *	 resource.  Only one that the layer sends itself is the client's, and only to
 *	 that do the request's method and headers apply (resource_client.h).
 * - Settings are read once, at its start: the rows of an INSERT ... SELECT may
 *	 change them meanwhile.
 * - Two parts of one query (a WITH) that write to the same view by the same
 *	 command are one statement, as they are to PostgreSQL's own statement triggers.
 * - AFTER STATEMENT runs when the query ends, which is after the client's answer
 *	 was computed: response headers have to be set while rows are written.
 *
 * The idempotency ledger takes part through TaskapiResourceHooks: a POST is one
 * key for all its rows.
 *
 * A TaskapiWrite is the write of one row within a statement.  It stands on the
 * stack of the INSTEAD OF trigger, and is what the functions of this folder hand
 * to each other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_STATEMENT_H
#define TASKAPI_RESOURCE_STATEMENT_H

#include "access/htup.h"
#include "access/tupdesc.h"
#include "nodes/bitmapset.h"
#include "nodes/nodes.h"

#include "resource/resource_registry.h"
#include "resource/resource_run.h"
#include "resource/resource_view.h"

typedef enum TaskapiRequestMethod
{
	TASKAPI_METHOD_NONE,		/* not the client's own statement */
	TASKAPI_METHOD_POST,
	TASKAPI_METHOD_PUT,
	TASKAPI_METHOD_PATCH,
	TASKAPI_METHOD_DELETE,
	TASKAPI_METHOD_OTHER
} TaskapiRequestMethod;

typedef struct TaskapiResourceStatement
{
	struct TaskapiResourceStatement *outer;
	MemoryContext context;		/* holds it and what belongs to it */
	Oid			view;
	TaskapiView *meta;			/* as it was looked up for the last row, or NULL */
	struct TaskapiTable *table; /* the same; see taskapi_statement_table() */
	CmdType		operation;
	SubTransactionId subid;
	int			depth;			/* how many row writes it runs within */
	TaskapiRegistration registration;
	Oid			owner;			/* of the table */
	bool		deleted_rows;	/* the view is deleted_RESOURCE */
	TaskapiRequestMethod method;
	Bitmapset  *updated;		/* UPDATE: the columns that were set, offset by FirstLowInvalidHeapAttributeNumber */
	bool		may_read;		/* INSERT: the caller may read all that the view shows of a row */
	bool		version_sent;	/* UPDATE: version is among them */
	bool		preconditions_read; /* the next three are the request's */
	bool		require_if_match;	/* the change must say which version it is made from */
	const char *if_match;		/* the header, if it applies; else NULL */
	const char *if_none_match;
	int64		rows;			/* written so far */
	int64		misplaced;		/* rows that did not stand where its scan showed them: see resource_scan_place.h */
	int64		forbidden;		/* rows that the caller sees, and that policies keep from it: left out so far */
	List	   *taken;			/* of the view */
	bool		key_in_trash;	/* INSERT: a deleted row has the key of the row that is being written */
	bool		vetoed;			/* a trigger of the table kept a row that was there from being written */
	CommandId	first_command;	/* when it began */
	Bitmapset  *written;		/* the commands by which it has written rows, from first_command; resource_own_change.h */
	List	   *deleted;		/* of TaskapiRow: rows referred to them when they were deleted; see resource_cascade.h */
	List	   *waiting;		/* of TaskapiRow: to be purged, see resource_purge.h */
	List	   *restored;		/* of TaskapiRow: they referred to deleted rows when they were restored */
	TaskapiRuns runs;			/* of its rows */
	uint64		strangers;		/* taskapi_relation_generation() when it was last asked whose code its purge runs */
	struct HTAB *upserted;		/* INSERT ... DO UPDATE: the rows that it has written, see resource_upsert.c */
	void	   *idempotency;	/* the hooks' own */
} TaskapiResourceStatement;

typedef struct TaskapiWrite
{
	TaskapiResourceStatement *statement;
	TaskapiView *view;
	TupleDesc	desc;			/* the view's row type, which has been compared with "view" */
	HeapTuple	old;			/* NULL for INSERT */
	HeapTuple	new;			/* NULL for DELETE */
	bool		columns_known;	/* INSERT: the next three are the statement's own; see resource_insert_mark.h */
	bool		version_given;	/* INSERT: the client gave a version, which may be null */
	Bitmapset  *given;			/* the columns that the client gave and may write, by index */
	const Bitmapset *returned;	/* the columns that its statement returns; none: it needs no right to read */
	const char *conflict;		/* its ON CONFLICT clause, or NULL */
} TaskapiWrite;

#endif							/* TASKAPI_RESOURCE_STATEMENT_H */
