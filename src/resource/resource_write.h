/*-------------------------------------------------------------------------
 *
 * resource_write.h
 *	  UPDATE of one row, and what other writes share with it.
 *
 * The functions that write a row do so as the caller, with SPI connected.  They
 * return the row as the view shows it, in the memory context that SPI was
 * connected in; NULL if nothing was there to be written, or a trigger of the table
 * vetoed it.  A row is returned only after its row type was found to be the
 * view's.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_WRITE_H
#define TASKAPI_RESOURCE_WRITE_H

#include "resource/resource_statement.h"
#include "resource/resource_table.h"
#include "resource/resource_view_plan.h"

extern HeapTuple taskapi_resource_update(const TaskapiWrite *write);

/* The table of the statement's resource. */
extern TaskapiTable *taskapi_statement_table(TaskapiResourceStatement *statement);

/* The first row of the last result, which has to be of the view's row type; frees the result. */
extern HeapTuple taskapi_resource_take_row(const TaskapiWrite *write);

/* What a key holds, as the caller may see it now. */
typedef enum TaskapiRowState
{
	TASKAPI_ROW_ABSENT,			/* or not visible */
	TASKAPI_ROW_LIVE,
	TASKAPI_ROW_DELETED
} TaskapiRowState;

/* A version, if there is one: rows may have none, and requests may send null. */
typedef struct TaskapiVersion
{
	bool		known;
	int64		number;
} TaskapiVersion;

static inline bool
taskapi_same_version(TaskapiVersion a, TaskapiVersion b)
{
	return a.known == b.known && (!a.known || a.number == b.number);
}

extern TaskapiRowState taskapi_resource_probe(const TaskapiWrite *write, HeapTuple row, TaskapiVersion *version);

/* The row of that key as the view shows it now, or NULL. */
extern HeapTuple taskapi_resource_current_row(const TaskapiWrite *write, HeapTuple row);

/* Does a column, by its index, have another value (another image of it) in the one row than in the other? */
extern bool taskapi_resource_column_differs(const TaskapiWrite *write, int column, HeapTuple a, HeapTuple b);

/* The version in a row of the view. */
extern TaskapiVersion taskapi_resource_version(const TaskapiWrite *write, HeapTuple row);

/*
 * The version that the client sent in the new row, for a row of the "current" one; invalid_value if no row has it, or if
 * it is null and this row has a version.
 */
extern TaskapiVersion taskapi_resource_version_sent(const TaskapiWrite *write, TaskapiVersion current);

/* Put the key's values of a row of the view into arrays of arguments; how many they are. */
extern int	taskapi_resource_key_arguments(const TaskapiWrite *write, HeapTuple row, Datum *values, char *nulls);

/* The same for a plan of the table; an error if that has another key by now. */
extern void taskapi_resource_table_key(const TaskapiWrite *write, const TaskapiTable *table, HeapTuple row, Datum *values);

/*
 * Check the version of a row against what the request asks for; true if it named one, so that the row must not change
 * meanwhile.  precondition_required if it had to and did not: a version of null names none.
 */
extern bool taskapi_resource_check_precondition(const TaskapiWrite *write, HeapTuple old);

/* Raise version_conflict; not "known" is a row that is not there. */
pg_noreturn extern void taskapi_resource_version_conflict(TaskapiVersion current);

/*
 * A row that is seen and cannot be locked or deleted is kept from the caller by a policy, unless others delete and restore it
 * between the two looks.  So it has to be found so this many times.
 */
#define TASKAPI_RESOURCE_ATTEMPTS 5

/*
 * Policies pick the rows of a statement: leave this one out.  The end of the statement is forbidden if it has changed no other.
 * Of a PUT it is now: an INSERT leaves nothing out.
 */
extern void taskapi_resource_leave_out(const TaskapiWrite *write);
pg_noreturn extern void taskapi_resource_forbidden(const TaskapiResourceStatement *statement);

#endif							/* TASKAPI_RESOURCE_WRITE_H */
