/*-------------------------------------------------------------------------
 *
 * resource_purge.h
 *	  Removing a deleted row for good, with all that goes with it.
 *
 * To remove a row is to DELETE it with its owner's rights; referential integrity
 * takes along what refers to it.  So all that will go is collected and locked
 * first, and nothing goes if that would take a live row, or a part of another
 * deletion.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_PURGE_H
#define TASKAPI_RESOURCE_PURGE_H

#include "utils/hsearch.h"

#include "resource/resource_statement.h"
#include "resource/resource_table_plan.h"

/* All that goes together. */
typedef struct TaskapiDoomed
{
	TaskapiRows *rows;			/* locked */
	HTAB	   *visited;		/* by the place of a row: 40 bytes for each */
	bool		whole;			/* the first row's deletion as a whole, and not only what is below the row */
	const char *obstacle;		/* why it has to stay, or NULL */
	bool		waits;			/* the obstacle is another deletion, which may go first */
} TaskapiDoomed;

/*
 * Find and lock all that goes when "first", a deleted row that is locked already, goes.  With "whole" that is its
 * deletion, all of it; in any case no other deletion goes in part.
 */
extern void taskapi_purge_collect(TaskapiDoomed *doomed, const TaskapiRow *first);

/* Was a row collected as one that goes when another one does? */
extern bool taskapi_purge_is_below(const TaskapiDoomed *doomed, const TaskapiRow *row);

/*
 * Remove what was collected.  False if a trigger keeps a row that nothing else takes along; forbidden if one keeps
 * another row.
 */
extern bool taskapi_purge_remove(const TaskapiDoomed *doomed);

/*
 * Remove a deleted row, locked already, with what goes along below it.  False if a trigger of its table vetoed it;
 * forbidden if a trigger keeps a row that should have gone along.  What is in the way may be removed by the same
 * statement: then the row waits for its end.
 */
extern bool taskapi_purge_row(TaskapiResourceStatement *statement, const TaskapiRow *row);

/* The statement ends: remove the rows that have waited; has_dependents if something is still in the way. */
extern void taskapi_purge_end_statement(TaskapiResourceStatement *statement);

#endif							/* TASKAPI_RESOURCE_PURGE_H */
