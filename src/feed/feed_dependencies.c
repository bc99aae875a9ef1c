/*-------------------------------------------------------------------------
 *
 * feed_dependencies.c
 *	  What the policies of a table depend on (feed_dependencies.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_rewrite.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "feed/feed_dependencies.h"

/* Each once */
typedef struct Dependencies
{
	List	   *relations;
	List	   *functions;
	List	   *operators;
} Dependencies;

static void find_all(Dependencies *found);
static void find_of_relation(Oid relid, Dependencies *found);
static void find_of_object(Oid classid, Oid objid, Dependencies *found);
static bool is_asked(HeapTuple policy);
static void add_policies(Oid relid, bool all, StringInfo buf, List **roles);
static void add_relation(Oid relid, StringInfo buf, List **roles, List **definers);
static void add_rules(Oid relid, StringInfo buf);
static void add_function(Oid funcid, StringInfo buf, List **definers);
static void add_attribute(int cacheid, HeapTuple tuple, AttrNumber attno, StringInfo buf);
static void add_version(Oid oid, HeapTuple tuple, StringInfo buf);

void
taskapi_feed_add_policies(Oid relid, StringInfo buf, List **roles, List **definers)
{
	Dependencies found = {.relations = list_make1_oid(relid)};
	ListCell   *lc;

	find_all(&found);
	add_policies(relid, true, buf, roles);
	found.relations = list_delete_oid(found.relations, relid);
	list_sort(found.relations, list_oid_cmp);
	list_sort(found.functions, list_oid_cmp);
	foreach(lc, found.relations)
		add_relation(lfirst_oid(lc), buf, roles, definers);
	foreach(lc, found.functions)
		add_function(lfirst_oid(lc), buf, definers);
}

/*
 * The lists grow meanwhile.
 */
static void
find_all(Dependencies *found)
{
	int			nrelations = 0;
	int			nfunctions = 0;
	int			noperators = 0;

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		if (nrelations < list_length(found->relations))
			find_of_relation(list_nth_oid(found->relations, nrelations++), found);
		else if (nfunctions < list_length(found->functions))
			find_of_object(ProcedureRelationId, list_nth_oid(found->functions, nfunctions++), found);
		else if (noperators < list_length(found->operators))
			find_of_object(OperatorRelationId, list_nth_oid(found->operators, noperators++), found);
		else
			break;
	}
}

/*
 * By its policies, if it is a table, and by its rule, if it is a view.  What a materialized view holds depends on nothing.
 */
static void
find_of_relation(Oid relid, Dependencies *found)
{
	Relation	pg_policy = table_open(PolicyRelationId, AccessShareLock);
	Relation	pg_rewrite = table_open(RewriteRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_policy_polrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(pg_policy, PolicyPolrelidPolnameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		if (is_asked(tuple))
			find_of_object(PolicyRelationId, ((Form_pg_policy) GETSTRUCT(tuple))->oid, found);
	}
	systable_endscan(scan);
	if (get_rel_relkind(relid) == RELKIND_VIEW)
	{
		ScanKeyInit(&key, Anum_pg_rewrite_ev_class, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
		scan = systable_beginscan(pg_rewrite, RewriteRelRulenameIndexId, true, NULL, 1, &key);
		while (HeapTupleIsValid(tuple = systable_getnext(scan)))
			find_of_object(RewriteRelationId, ((Form_pg_rewrite) GETSTRUCT(tuple))->oid, found);
		systable_endscan(scan);
	}
	table_close(pg_rewrite, AccessShareLock);
	table_close(pg_policy, AccessShareLock);
}

static void
find_of_object(Oid classid, Oid objid, Dependencies *found)
{
	Relation	pg_depend = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(classid));
	ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(objid));
	scan = systable_beginscan(pg_depend, DependDependerIndexId, true, NULL, lengthof(keys), keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend depend = (Form_pg_depend) GETSTRUCT(tuple);

		if (depend->refclassid == RelationRelationId)
			found->relations = list_append_unique_oid(found->relations, depend->refobjid);
		else if (depend->refclassid == ProcedureRelationId)
			found->functions = list_append_unique_oid(found->functions, depend->refobjid);
		else if (depend->refclassid == OperatorRelationId)
			found->operators = list_append_unique_oid(found->operators, depend->refobjid);
	}
	systable_endscan(scan);
	table_close(pg_depend, AccessShareLock);
}

/*
 * Is it asked when the table is read?
 */
static bool
is_asked(HeapTuple policy)
{
	char		command = ((Form_pg_policy) GETSTRUCT(policy))->polcmd;

	return command == ACL_SELECT_CHR || command == '*';
}

static void
add_policies(Oid relid, bool all, StringInfo buf, List **roles)
{
	Relation	pg_policy = table_open(PolicyRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_policy_polrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(pg_policy, PolicyPolrelidPolnameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		ArrayType  *members;

		if (!all && !is_asked(tuple))
			continue;
		add_version(((Form_pg_policy) GETSTRUCT(tuple))->oid, tuple, buf);
		members = DatumGetArrayTypePCopy(heap_getattr(tuple, Anum_pg_policy_polroles, RelationGetDescr(pg_policy), &isnull));
		for (int i = 0; i < ARR_DIMS(members)[0]; i++)
		{
			Oid			role = ((Oid *) ARR_DATA_PTR(members))[i];

			if (OidIsValid(role))
				*roles = list_append_unique_oid(*roles, role);
		}
	}
	systable_endscan(scan);
	table_close(pg_policy, AccessShareLock);
}

static void
add_relation(Oid relid, StringInfo buf, List **roles, List **definers)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Form_pg_class form;

	if (!HeapTupleIsValid(tuple))
		return;
	form = (Form_pg_class) GETSTRUCT(tuple);
	appendBinaryStringInfo(buf, (const char *) &relid, sizeof(Oid));
	appendBinaryStringInfo(buf, (const char *) &form->relowner, sizeof(Oid));
	appendStringInfoChar(buf, form->relkind);
	appendStringInfoChar(buf, form->relrowsecurity);
	appendStringInfoChar(buf, form->relforcerowsecurity);
	if (form->relrowsecurity)
	{
		*roles = list_append_unique_oid(*roles, form->relowner);
		add_policies(relid, false, buf, roles);
	}
	if (form->relkind == RELKIND_VIEW)
	{
		*definers = list_append_unique_oid(*definers, form->relowner);
		add_attribute(RELOID, tuple, Anum_pg_class_reloptions, buf);
		add_rules(relid, buf);
	}
	ReleaseSysCache(tuple);
}

static void
add_rules(Oid relid, StringInfo buf)
{
	Relation	pg_rewrite = table_open(RewriteRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_rewrite_ev_class, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(pg_rewrite, RewriteRelRulenameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		add_version(((Form_pg_rewrite) GETSTRUCT(tuple))->oid, tuple, buf);
	systable_endscan(scan);
	table_close(pg_rewrite, AccessShareLock);
}

/*
 * By what it does, and not by the version of its row: GRANT makes another one.
 */
static void
add_function(Oid funcid, StringInfo buf, List **definers)
{
	static const AttrNumber attributes[] = {
		Anum_pg_proc_prosrc, Anum_pg_proc_probin, Anum_pg_proc_prosqlbody, Anum_pg_proc_proconfig
	};
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(funcid));
	Form_pg_proc form;

	if (!HeapTupleIsValid(tuple))
		return;
	form = (Form_pg_proc) GETSTRUCT(tuple);
	appendBinaryStringInfo(buf, (const char *) &funcid, sizeof(Oid));
	appendBinaryStringInfo(buf, (const char *) &form->proowner, sizeof(Oid));
	appendBinaryStringInfo(buf, (const char *) &form->prolang, sizeof(Oid));
	appendStringInfoChar(buf, form->prosecdef);
	if (form->prosecdef)
		*definers = list_append_unique_oid(*definers, form->proowner);
	for (int i = 0; i < lengthof(attributes); i++)
		add_attribute(PROCOID, tuple, attributes[i], buf);
	ReleaseSysCache(tuple);
}

/*
 * One of variable length
 */
static void
add_attribute(int cacheid, HeapTuple tuple, AttrNumber attno, StringInfo buf)
{
	bool		isnull;
	Datum		value = SysCacheGetAttr(cacheid, tuple, attno, &isnull);
	struct varlena *bytes = isnull ? NULL : PG_DETOAST_DATUM_PACKED(value);
	uint32		len = isnull ? PG_UINT32_MAX : VARSIZE_ANY_EXHDR(bytes);

	appendBinaryStringInfo(buf, (const char *) &len, sizeof(len));
	if (!isnull)
		appendBinaryStringInfo(buf, VARDATA_ANY(bytes), len);
}

static void
add_version(Oid oid, HeapTuple tuple, StringInfo buf)
{
	TransactionId xmin = HeapTupleHeaderGetRawXmin(tuple->t_data);

	appendBinaryStringInfo(buf, (const char *) &oid, sizeof(Oid));
	appendBinaryStringInfo(buf, (const char *) &xmin, sizeof(xmin));
}
