/*-------------------------------------------------------------------------
 *
 * resource_put.h
 *	  PUT of one row: replace the row of that key, or create it.
 *
 * A PUT is an INSERT in a request of that method whose ON CONFLICT is about the
 * primary key and sets columns to those of the new row, and nothing else; so an
 * HTTP layer makes it.  Two at once both succeed, one after the other.
 *
 * What the body leaves out is set to its default, unless the default is made for
 * each row (now(), current_user, a sequence) or the column's comment begins with
 * @kept: such a column keeps its value.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_PUT_H
#define TASKAPI_RESOURCE_PUT_H

#include "resource/resource_conflict.h"

/* As the caller, with SPI connected.  NULL if the clause's condition does not hold, or a trigger vetoed it. */
extern HeapTuple taskapi_resource_put(const TaskapiWrite *write, const TaskapiConflict *clause);

#endif							/* TASKAPI_RESOURCE_PUT_H */
