/*-------------------------------------------------------------------------
 *
 * resource_run.h
 *	  Statements that are run for each row of a client's statement, started
 *	  once.
 *
 * A row of a resource takes a statement or two on tables, and starting and ending
 * an execution costs several times what it does.  So within a scope, which is a
 * client's statement or its end, a plan that is run a second time keeps its
 * execution: for each run it gets new parameters, a snapshot and a command id of
 * its own, as SPI would give it, and its nodes are scanned again.
 *
 * Only what means the same that way:
 *
 * - The plan is generic, and made of nodes that take nothing along from one run to
 *	 the next but by parameters of the executor.  A hash table, for one, would be
 *	 kept although a parameter of the statement has changed.
 * - User, row_security, resource owner and isolation level are as at the start;
 *	 what runs with a snapshot to be checked against is not kept at all.
 * - A statement that fires its triggers itself has none for statements.
 *
 * In any other case the caller runs the plan by SPI, as it does the first time.
 * What is kept for a statement and not for a run, as permission to use a table and
 * the results of uncorrelated sub-selects in policies, is what PostgreSQL keeps for
 * the statement on the table that this one stands for.
 *
 * A scope ends before the query does that it belongs to: its executions hold
 * relations.  After an error nothing has to be ended: memory and resource owner
 * are those of the query.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_RUN_H
#define TASKAPI_RESOURCE_RUN_H

#include "executor/spi.h"
#include "tcop/dest.h"
#include "utils/resowner.h"

/* A scope.  Zeros but for the context, which need not live longer than it. */
typedef struct TaskapiRuns
{
	MemoryContext context;
	ResourceOwner owner;		/* of all that its executions hold */
	struct QueryDesc *query;	/* the one that ends it, or NULL */
	List	   *runs;
} TaskapiRuns;

typedef enum TaskapiRunKind
{
	TASKAPI_RUN_JOINED,			/* leaves its AFTER triggers to the query around it, see resource_plan.h */
	TASKAPI_RUN_WHOLE,			/* fires them itself */
	TASKAPI_RUN_LOOK			/* sees what the active snapshot shows, and changes nothing */
} TaskapiRunKind;

/* Unless it has been: a scope of the query that runs. */
extern void taskapi_runs_init(TaskapiRuns *runs, MemoryContext context);

/* Make a scope the current one, or none; the former is returned, and has to be made so again, after an error too. */
extern TaskapiRuns *taskapi_runs_enter(TaskapiRuns *runs);

/* End its executions; it can be used again. */
extern void taskapi_runs_end(TaskapiRuns *runs);

/*
 * Run a plan of one statement in the current scope.  False if it is not to be kept: nothing was done, run it by SPI.  What
 * it returns goes to a receiver, at most "limit" rows unless that is 0; "found" is what SPI_processed would be.
 */
extern bool taskapi_run(SPIPlanPtr plan, TaskapiRunKind kind, int nargs, const Oid *argtypes, const Datum *values,
						const bool *nulls, DestReceiver *receiver, uint64 limit, uint64 *found);

#endif							/* TASKAPI_RESOURCE_RUN_H */
