/*-------------------------------------------------------------------------
 *
 * resource.h
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
 *	 resource.  "client" is true for the outermost one inside an HTTP request
 *	 alone.  Only to that do the request's headers apply.
 * - Two parts of one query (a WITH) that write to the same view by the same
 *	 command are one statement, as they are to PostgreSQL's own statement triggers.
 * - AFTER STATEMENT runs when the query ends, which is after the client's answer
 *	 was computed: response headers have to be set while rows are written.
 *
 * The idempotency ledger takes part through TaskapiResourceHooks: a POST is one
 * key for all its rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_H
#define TASKAPI_RESOURCE_H

#include "access/htup.h"
#include "access/tupdesc.h"
#include "nodes/bitmapset.h"
#include "nodes/nodes.h"
#include "nodes/pg_list.h"

/* A row of taskapi.resource. */
typedef struct TaskapiRegistration
{
	Oid			resource;		/* the view of the live rows */
	Oid			source;			/* the table */
	Oid			deleted;		/* the view of the deleted rows, or InvalidOid */
	bool		soft_delete;
	bool		versioned;
	bool		idempotent;
} TaskapiRegistration;

typedef struct TaskapiResourceStatement
{
	struct TaskapiResourceStatement *outer;
	Oid			view;
	CmdType		operation;
	SubTransactionId subid;
	int			depth;			/* how many row writes it runs within */
	TaskapiRegistration registration;
	bool		deleted_rows;	/* the view is deleted_RESOURCE */
	bool		client;			/* the request's own statement */
	Bitmapset  *updated;		/* UPDATE: the columns that were set, offset by FirstLowInvalidHeapAttributeNumber */
	bool		may_read;		/* INSERT: the caller may read what it makes */
	bool		version_sent;	/* UPDATE: version is among them */
	const char *if_match;		/* the header, if it applies; else NULL */
	const char *if_none_match;
	int64		rows;			/* written so far */
	void	   *idempotency;	/* the hooks' own */
} TaskapiResourceStatement;

typedef struct TaskapiResourceHooks
{
	/* The statement starts; no row has been looked at. */
	void		(*statement_start) (TaskapiResourceStatement *statement);

	/*
	 * A row is about to be written: "old" (NULL for INSERT) and "new" (NULL for DELETE) have the view's row type "desc".
	 * Returning a row of that type answers with it, and nothing is written (and no "row_written" follows); NULL goes on.
	 */
	HeapTuple	(*before_row) (TaskapiResourceStatement *statement, TupleDesc desc, HeapTuple old, HeapTuple new);

	/* A row was written; "row" is what the view shows of it, the old one for DELETE. */
	void		(*row_written) (TaskapiResourceStatement *statement, TupleDesc desc, HeapTuple row);

	/* The query has ended. */
	void		(*statement_end) (TaskapiResourceStatement *statement);
} TaskapiResourceHooks;

/* Set once, by an init function; NULL members are not called. */
extern TaskapiResourceHooks taskapi_resource_hooks;

/* GUC taskapi.require_if_match */
extern bool taskapi_require_if_match;

/*
 * The registration of a view, of either kind, or of a table that is the source of one; NULL where there is none.  For
 * a table that is exposed more than once, the first; "soft" looks for one with soft_delete.  Valid until the next call
 * that may process invalidations: copy it.
 */
extern const TaskapiRegistration *taskapi_resource_find(Oid view);
extern const TaskapiRegistration *taskapi_resource_of_table(Oid table, bool soft);

#endif							/* TASKAPI_RESOURCE_H */
