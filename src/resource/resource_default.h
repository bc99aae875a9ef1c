/*-------------------------------------------------------------------------
 *
 * resource_default.h
 *	  The defaults of a resource's table, as they are at the moment.
 *
 * An INSERT leaves them to the table (resource_insert.h).  Here they are evaluated
 * for those who need the value: table_default(), which is the default of the
 * view's columns, for what asks the catalog for a default, and for the word
 * DEFAULT in a list of rows; and a PUT that replaces a row.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_DEFAULT_H
#define TASKAPI_RESOURCE_DEFAULT_H

#include "resource/resource_statement.h"

/* The new row of an INSERT, with the table's defaults in the columns that the client left out. */
extern HeapTuple taskapi_resource_fill_defaults(const TaskapiWrite *write);

#endif							/* TASKAPI_RESOURCE_DEFAULT_H */
