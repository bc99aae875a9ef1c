/*-------------------------------------------------------------------------
 *
 * resource_plan.h
 *	  Plans that belong to a cache entry, run as the caller or as an owner.
 *
 * A statement here is text in which every name is qualified, prepared once for
 * an entry and planned by the server again when anything changes.  So the types
 * of what it returns are the server's to say, each time: whoever takes a value
 * out of a result compares the result's row type first.
 *
 * All of this needs SPI connected.  A result is SPI's until it is freed:
 * a loop over rows frees each one's, or memory grows by 8 kB a row.  The current
 * memory context stays what it is, which SPI's own functions do not see to.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_PLAN_H
#define TASKAPI_RESOURCE_PLAN_H

#include "nodes/params.h"
#include "tcop/dest.h"

#include "resource/resource_cache.h"

/* Prepare and keep a plan as a role; it belongs to the entry. */
extern SPIPlanPtr taskapi_resource_prepare(TaskapiCacheEntry *entry, Oid role, const char *query, int nargs, Oid *argtypes);

/* The same as the caller, for text whose references a hook of the parser sees; "arg" lives as long as the entry. */
extern SPIPlanPtr taskapi_resource_prepare_params(TaskapiCacheEntry *entry, const char *query, ParserSetupHook set_up,
												  void *arg);

/* Installs the hook of the executor. */
extern void taskapi_resource_plan_init(void);

/*
 * What SPI runs next is this plan, as a part of the client's statement: the table's statement triggers see one statement
 * for all its rows, and AFTER triggers, referential integrity and constraints that are checked at the end of a statement
 * wait for the end of the client's (resource.h).  NULL takes that back, after an error.
 */
extern void taskapi_resource_join(SPIPlanPtr plan);

/* Run a plan as the caller, so joined; the number of rows. */
extern uint64 taskapi_resource_run(SPIPlanPtr plan, Datum *values, const char *nulls);

/* Only if the plan need not be started for it (resource_run.h), and what it returns goes to a receiver. */
extern bool taskapi_resource_run_again(SPIPlanPtr plan, const Datum *values, const char *nulls, DestReceiver *receiver,
									   uint64 *found);

/* The same as taskapi_resource_run() for one of taskapi_resource_prepare_params(). */
extern uint64 taskapi_resource_run_params(SPIPlanPtr plan, int nargs, const Oid *argtypes, const Datum *values,
										  const bool *nulls);

/*
 * Run a plan with a role's rights and, as referential integrity does, no row-level security and in every isolation
 * level with the newest state in view: a row that this transaction's snapshot does not show is a serialization failure
 * if it would be changed.
 */
extern uint64 taskapi_resource_run_as(Oid owner, SPIPlanPtr plan, Datum *values, const char *nulls, long limit);

/*
 * The same for a statement whose rows, however many, go to a receiver and not into memory; all arguments are given.
 * Under an isolation level with a snapshot of the transaction they do go into memory first.  The number of the rows.
 */
extern uint64 taskapi_resource_run_into(Oid owner, SPIPlanPtr plan, int nargs, const Oid *argtypes, Datum *values,
										DestReceiver *receiver);

/*
 * The same for several statements whose AFTER triggers, referential integrity's above all, wait for the last of them, as
 * those of one statement do.  The triggers then run with the rights of "owner".
 */
extern void taskapi_resource_parts_begin(void);
extern uint64 taskapi_resource_run_part(Oid owner, SPIPlanPtr plan, Datum *values);
extern void taskapi_resource_parts_end(Oid owner);

/* The same for a query that sees what the active snapshot shows; one row at the most. */
extern uint64 taskapi_resource_look_as(Oid owner, SPIPlanPtr plan, Datum *values);

/*
 * Was the error raised in what runs with another role's rights by these three, at any depth?  Its text is not the caller's to
 * read then.  The error's context says so, so that nothing has to be put back when an error is caught on the way.
 */
extern bool taskapi_resource_raised_as_owner(const ErrorData *edata);

/* An error unless the last result begins with columns of these types. */
extern void taskapi_resource_require_result(const Oid *types, int ntypes);

/* The last result's first row, which is freed with it. */
extern HeapTuple taskapi_resource_result_row(TupleDesc *desc);

/* A column of the last result's first row, by its number from 1; NULL is (Datum) 0. */
extern Datum taskapi_resource_result(int column, bool *isnull);

/* Hand the last result, which is SPI's, to a receiver, and free it. */
extern void taskapi_resource_pass_result(DestReceiver *receiver);

/* Free the last result; none is all right. */
extern void taskapi_resource_free_result(void);

#endif							/* TASKAPI_RESOURCE_PLAN_H */
