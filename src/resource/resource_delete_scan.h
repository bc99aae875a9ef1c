/*-------------------------------------------------------------------------
 *
 * resource_delete_scan.h
 *	  Finding and locking what a DELETE would delete, and a DELETE of the row at a
 *	  place.
 *
 * Whether somebody may delete a row is for the table to say: the privileges, the
 * USING of its DELETE policies, and the SELECT policies that PostgreSQL adds.  To
 * ask without a DELETE, which the table's triggers would see, the statement is
 * parsed and rewritten as the DELETE that it is, and then planned as a SELECT of
 * the same rows FOR UPDATE.  The range table entry still asks for the DELETE
 * privilege, and has the security quals of a DELETE.
 *
 * Rejected: to let the DELETE run into a BEFORE DELETE trigger of ours that
 * suppresses it, since statement triggers, and row triggers whose names sort
 * before ours, see it; to take the ModifyTable node off a finished plan, since the
 * rest of it does not lock the rows, and a new LockRows would have to be fitted in.
 *
 * A place cannot stand in the statement's text: who reads ctid needs a right to read
 * it, or the whole table, which its caller need not have.  So the condition is added
 * when the statement is planned.  It only leaves rows out, and the caller learns
 * nothing of it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_DELETE_SCAN_H
#define TASKAPI_RESOURCE_DELETE_SCAN_H

#include "executor/spi.h"

#include "resource/resource_rows.h"

/* Installs the planner hook. */
extern void taskapi_delete_scan_init(void);

/*
 * Lock the row FOR UPDATE that a prepared DELETE would delete, as the caller; false if there is none.  The plan is not to
 * be run in any other way.  With a table, which is that of the DELETE and then always is, "row" is set: to columns that the
 * caller need not be allowed to read, and that are not for its eyes.
 */
extern bool taskapi_delete_scan(SPIPlanPtr plan, TaskapiTable *table, Datum *values, const char *nulls, TaskapiRow **row);

/*
 * Run a prepared DELETE, whose last parameter is the ctid, as the caller: of what it would delete only the row that stands
 * there in the table; the number of rows.  The plan is not to be run in any other way.  If another extension's planner hook
 * does not call ours, the place does not count.
 */
extern uint64 taskapi_delete_at(SPIPlanPtr plan, Oid table, Datum *values, const char *nulls);

#endif							/* TASKAPI_RESOURCE_DELETE_SCAN_H */
