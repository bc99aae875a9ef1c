/*-------------------------------------------------------------------------
 *
 * citus.c
 *	  Is a table one that Citus keeps on other servers (citus.h)?
 *
 * Citus enters each distributed, reference and local table of its own into
 * pg_catalog.pg_dist_partition.  A table of that name counts only if it is such a
 * table and a superuser's: who may make tables in pg_catalog is not to decide about
 * the writes of others.
 *
 * SQL: sql/install/65_expose.sql
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/citus.h"
#include "base/compat.h"

#define CITUS_CATALOG "pg_dist_partition"
#define TABLE_COLUMN "logicalrelid"

static AttrNumber table_column(Relation catalog);

bool
taskapi_citus_keeps(Oid table)
{
	Oid			relid = get_relname_relid(CITUS_CATALOG, PG_CATALOG_NAMESPACE);
	Relation	catalog;
	AttrNumber	attno;
	bool		found = false;

	if (!OidIsValid(relid))
		return false;
	catalog = try_relation_open(relid, AccessShareLock);
	if (catalog == NULL)
		return false;
	attno = table_column(catalog);
	if (AttributeNumberIsValid(attno))
	{
		ScanKeyData key;
		SysScanDesc scan;

		ScanKeyInit(&key, attno, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(table));
		scan = systable_beginscan(catalog, InvalidOid, false, NULL, 1, &key);
		found = HeapTupleIsValid(systable_getnext(scan));
		systable_endscan(scan);
	}
	relation_close(catalog, AccessShareLock);
	return found;
}

/*
 * Invalid if it is not Citus's table.
 */
static AttrNumber
table_column(Relation catalog)
{
	TupleDesc	desc = RelationGetDescr(catalog);

	if (catalog->rd_rel->relkind != RELKIND_RELATION || !superuser_arg(catalog->rd_rel->relowner))
		return InvalidAttrNumber;
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped && att->atttypid == REGCLASSOID && strcmp(NameStr(att->attname), TABLE_COLUMN) == 0)
			return att->attnum;
	}
	return InvalidAttrNumber;
}

void
taskapi_citus_refuse(Oid table)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("table \"%s\" is distributed by Citus, and cannot be written through a resource", get_rel_name(table)),
			 errdetail("Its rows are committed on other servers than idempotency keys and messages are,"
					   " so a request could have its effect twice."),
			 errhint("Read it through the resource, and write to the table itself; or undistribute the table.")));
}

/*
 * kept_by_citus(source regclass) -> boolean
 */
PG_FUNCTION_INFO_V1(taskapi_kept_by_citus);
Datum
taskapi_kept_by_citus(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(taskapi_citus_keeps(PG_GETARG_OID(0)));
}
