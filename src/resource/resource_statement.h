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
#ifndef TASKAPI_RESOURCE_STATEMENT_H
#define TASKAPI_RESOURCE_STATEMENT_H

#include "access/htup.h"
#include "access/tupdesc.h"
#include "nodes/bitmapset.h"
#include "nodes/nodes.h"

#include "resource/resource_registry.h"

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

#endif							/* TASKAPI_RESOURCE_STATEMENT_H */
