/*-------------------------------------------------------------------------
 *
 * primary_key.c
 *	  The primary key of a table (primary_key.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "catalog/pg_am.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "base/primary_key.h"

int
taskapi_primary_key(Relation rel, TaskapiKeyColumn *columns)
{
	Relation	index;
	int			n = 0;

	list_free(RelationGetIndexList(rel));	/* finds rd_pkindex */
	if (!OidIsValid(rel->rd_pkindex))
		return 0;

	index = index_open(rel->rd_pkindex, AccessShareLock);
	if (index->rd_rel->relam == BTREE_AM_OID)
	{
		n = IndexRelationGetNumberOfKeyAttributes(index);
		for (int i = 0; i < n; i++)
		{
			columns[i].attno = index->rd_index->indkey.values[i];
			columns[i].eq_operator = get_opfamily_member(index->rd_opfamily[i], index->rd_opcintype[i],
														 index->rd_opcintype[i], BTEqualStrategyNumber);
			if (!OidIsValid(columns[i].eq_operator))
				elog(ERROR, "missing equality operator of index %u", RelationGetRelid(index));
		}
	}
	index_close(index, AccessShareLock);
	return n;
}
