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

/* What other deletions that refer to one, by keys that take nothing along, may go together with it. */
typedef struct TaskapiAllies
{
	/* does that row have to stay? */
	bool		(*stays) (void *arg, const TaskapiRow *row);
	/* the deletion cannot go, since what has to go with it has an obstacle */
	void		(*keep) (void *arg, const pg_uuid_t *deletion);
	void	   *arg;
	bool		alone;			/* an error keeps what needs the row at which it is raised: it is not another deletion's */
} TaskapiAllies;

/* All that goes together. */
typedef struct TaskapiDoomed
{
	TaskapiRows *rows;			/* locked */
	HTAB	   *visited;		/* by the place of a row: 40 bytes for each; with allies, 64 */
	bool		whole;			/* the first row's deletion as a whole, and not only what is below the row */
	const TaskapiAllies *allies;	/* only if "whole"; or NULL */
	bool		named;			/* the first rows are all that a client's statement has left: others do not go with them */
	bool		tied;			/* some refer to others by keys that take nothing along: all go by one statement */
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
 * Remove what was collected.  False if a trigger keeps the first row, or if they are not tied a row that nothing else takes
 * along; forbidden if one keeps another row.
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
