/*-------------------------------------------------------------------------
 *
 * resource_scan_place.h
 *	  Where the row that is being written stands in the table, by a guess.
 *
 * The row that a trigger of a view is given says no ctid.  But the scan of the
 * client's statement that has read it, in most plans, still holds it.  So a
 * statement of ours can look there first and saves the descent of the key's index.
 *
 * It is a guess and nothing but a guess: the plan may have sorted the rows, or read a
 * table twice; the row may have been updated since, and its place taken by another one.
 * What uses it asks in the same statement for the key and for all else that it would
 * ask of a row found by its key, with a snapshot of its own.  If it finds nothing, it
 * has learned nothing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_SCAN_PLACE_H
#define TASKAPI_RESOURCE_SCAN_PLACE_H

#include "storage/itemptr.h"

#include "resource/resource_statement.h"

/*
 * False if there is no guess, or too many have been wrong in this statement.  Whoever finds a guess wrong counts it in the
 * statement's "misplaced".
 */
extern bool taskapi_scan_place(const TaskapiWrite *write, ItemPointer place);

#endif							/* TASKAPI_RESOURCE_SCAN_PLACE_H */
