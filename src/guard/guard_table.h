/*-------------------------------------------------------------------------
 *
 * guard_table.h
 *	  What the guard knows of a table before a statement locks it.
 *
 * Nothing here waits and nothing here throws for a name: a table that another
 * session has locked is measured by what the catalog says of it, and a name that
 * leads nowhere is no table.  No code of a table's owner runs; a constraint is only
 * looked at.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_GUARD_TABLE_H
#define TASKAPI_GUARD_TABLE_H

#include "nodes/primnodes.h"

typedef struct TaskapiGuardTable
{
	Oid			relid;
	char		relkind;
	const char *name;			/* as the statement's author would write it */
	int64		bytes;			/* with its partitions and children */
	bool		own;			/* temporary, or made by this transaction: it is in nobody's way */
	bool		only;			/* the statement leaves its partitions alone */
	bool		locked;			/* this transaction keeps writers from it already */
} TaskapiGuardTable;

/* InvalidOid if there is none. */
extern Oid	taskapi_guard_relation(const RangeVar *name);

/* False if there is no such relation. */
extern bool taskapi_guard_table(const RangeVar *name, TaskapiGuardTable *table);
extern bool taskapi_guard_table_of(Oid relid, TaskapiGuardTable *table);

/* Is it known without reading the table that the column has no NULLs?  By a constraint of its own, or a CHECK. */
extern bool taskapi_guard_has_no_nulls(Oid relid, AttrNumber attno);

/* Has the partition, for each index of its table, one on the same columns?  Else it is built when it is attached. */
extern bool taskapi_guard_has_indexes_of(Oid parent, Oid partition);

/* Do all partitions refer to that table already, by valid constraints?  Then their table takes these over. */
extern bool taskapi_guard_partitions_refer(Oid relid, Oid referenced);

/* Has it any CHECK that holds for all rows? */
extern bool taskapi_guard_has_checks(Oid relid);

#endif							/* TASKAPI_GUARD_TABLE_H */
