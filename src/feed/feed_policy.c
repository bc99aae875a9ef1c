/*-------------------------------------------------------------------------
 *
 * feed_policy.c
 *	  What a row-level security policy asks, as text for another table.
 *
 * Departures are kept under copies of the policies of their source.  A policy's
 * expression names columns with the table where that is needed, in a sub-select;
 * so it is deparsed as if the table were called like the other one, which has
 * columns of the same names.
 *
 * SQL: sql/install/76_changes.sql
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_policy.h"
#include "nodes/nodes.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "base/compat.h"

/*
 * policy_expression(policy oid, alias name) -> text
 *
 * What it asks of a row that is there; NULL for a policy that does not, and for none.
 */
PG_FUNCTION_INFO_V1(taskapi_policy_expression);
Datum
taskapi_policy_expression(PG_FUNCTION_ARGS)
{
	Name		alias = PG_GETARG_NAME(1);
	Relation	pg_policy = table_open(PolicyRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	char	   *result = NULL;

	ScanKeyInit(&key, Anum_pg_policy_oid, BTEqualStrategyNumber, F_OIDEQ, PG_GETARG_DATUM(0));
	scan = systable_beginscan(pg_policy, PolicyOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;
		Datum		qual = heap_getattr(tuple, Anum_pg_policy_polqual, RelationGetDescr(pg_policy), &isnull);

		if (!isnull)
			result = deparse_expression(stringToNode(TextDatumGetCString(qual)),
										deparse_context_for(NameStr(*alias), ((Form_pg_policy) GETSTRUCT(tuple))->polrelid),
										false, false);
	}
	systable_endscan(scan);
	table_close(pg_policy, AccessShareLock);
	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(result));
}
