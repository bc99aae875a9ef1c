/*-------------------------------------------------------------------------
 *
 * resource_ahead.h
 *	  Rows of a client's statement that are read before they are written.
 *
 * PostgreSQL reads a row of a statement on a view, hands it to the view's trigger,
 * and reads the next one.  What works on many rows at a time has to know the rows
 * that follow.  So the input of the statement is read a batch at a time, and handed
 * out row by row.
 *
 * The input has the statement's snapshot, so it gives the same rows whether they are
 * read before or after others are written; only volatile functions of the client's
 * own query can tell.
 *
 * The rows that were read belong to the query, and are good until the next batch is.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_AHEAD_H
#define TASKAPI_RESOURCE_AHEAD_H

#include "commands/trigger.h"

#include "resource/resource_statement.h"

typedef struct TaskapiAhead
{
	int			count;			/* the rows of this batch */
	int			at;				/* the one that was handed out last */
	MemoryContext context;		/* reset when the next batch is read */
	bool		tried;			/* whoever works on batches has seen this one; false in each new one */
	bool	   *written;		/* which of its rows were written with it, or NULL */
} TaskapiAhead;

/*
 * In the statement's BEFORE STATEMENT trigger: read its rows so from now on.  "statement->ahead" is the batch then, whenever a
 * row is written; it stays NULL if a trigger of the view may keep rows from ours.
 */
extern void taskapi_ahead_begin(TaskapiResourceStatement *statement, const TriggerData *trigdata);

/* A row of the batch as the view's trigger gets it, in the current context. */
extern void taskapi_ahead_row(const TaskapiAhead *ahead, int i, HeapTuple row);

/* Was the row that was handed out last written with its batch?  Then nothing else is left to do for it but to answer. */
static inline bool
taskapi_ahead_has_written(const TaskapiAhead *ahead)
{
	return ahead != NULL && ahead->written != NULL && ahead->written[ahead->at];
}

#endif							/* TASKAPI_RESOURCE_AHEAD_H */
