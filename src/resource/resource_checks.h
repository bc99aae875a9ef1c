/*-------------------------------------------------------------------------
 *
 * resource_checks.h
 *	  The CHECK constraints of tables, read once.
 *
 * The server reads the constraints of a table from their text, and plans them, in every statement that writes a row, which
 * takes longer than to check the row: 300 of the 2,300 thousand instructions of a POST of a task.  Here what was read and planned
 * is kept, and given to the executor before it would read it.
 *
 * What is kept is good as long as the text in the relation's cache entry, which is locked, is the same to the byte and no
 * function or operator has changed since.  Kept are constraints of the server's own functions and operators only, so that
 * nobody's right to execute anything is asked for, and nothing else is planned, before there is a row to check.
 *
 * An expression may be in use when it is replaced: so it lives to the end of the transaction, in which none takes its place twice.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_CHECKS_H
#define TASKAPI_RESOURCE_CHECKS_H

#include "executor/execdesc.h"

/* Right after ExecutorStart().  Does nothing for what it does not keep. */
extern void taskapi_prepare_checks(QueryDesc *query);

#endif							/* TASKAPI_RESOURCE_CHECKS_H */
