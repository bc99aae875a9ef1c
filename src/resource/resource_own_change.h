/*-------------------------------------------------------------------------
 *
 * resource_own_change.h
 *	  Was a row that a statement is about to write changed since it began, and
 *	  by whom?
 *
 * A row that differs from the one that the client's statement saw was changed by
 * another transaction, which is a conflict, or by this one: by the statement
 * itself, if it comes to the row twice, or by a trigger, which is none.  The
 * version of the row that the statement's snapshot shows tells: the first
 * transaction that has updated it holds it locked until it ends, so all that came
 * after was done by that transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_OWN_CHANGE_H
#define TASKAPI_RESOURCE_OWN_CHANGE_H

#include "resource/resource_statement.h"

typedef enum TaskapiChange
{
	TASKAPI_CHANGE_NONE,		/* it is as the statement's snapshot shows it */
	TASKAPI_CHANGE_OTHER,		/* another transaction's; or there is no telling */
	TASKAPI_CHANGE_STATEMENT,	/* the statement's own */
	TASKAPI_CHANGE_TRIGGER		/* this transaction's, by a command within the statement that is not its own */
} TaskapiChange;

/*
 * What became of write->old; of this transaction's changes, "command" is the first's.  SPI is connected, and the active
 * snapshot is the statement's.
 */
extern TaskapiChange taskapi_own_change(const TaskapiWrite *write, CommandId *command);

/* The command id of what SPI runs next. */
extern CommandId taskapi_next_command(void);

/* The statement has written a row by that command. */
extern void taskapi_own_change_written(TaskapiResourceStatement *statement, CommandId command);

#endif							/* TASKAPI_RESOURCE_OWN_CHANGE_H */
