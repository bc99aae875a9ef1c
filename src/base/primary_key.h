/*-------------------------------------------------------------------------
 *
 * primary_key.h
 *	  The primary key of a table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_PRIMARY_KEY_H
#define TASKAPI_PRIMARY_KEY_H

#include "access/attnum.h"
#include "utils/relcache.h"

/* In the order of the index; the operator is the equality of the index, on the column's own type. */
typedef struct TaskapiKeyColumn
{
	AttrNumber	attno;
	Oid			eq_operator;
} TaskapiKeyColumn;

/*
 * The number of columns of the primary key, which go into "columns", an array of INDEX_MAX_KEYS.  0 if there is no
 * primary key, or one that is no btree: a key WITHOUT OVERLAPS does not name one row by equality of its columns.
 */
extern int	taskapi_primary_key(Relation rel, TaskapiKeyColumn *columns);

#endif							/* TASKAPI_PRIMARY_KEY_H */
