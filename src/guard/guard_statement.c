/*-------------------------------------------------------------------------
 *
 * guard_statement.c
 *	  What the guard says of a statement (guard_statement.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "guard/guard.h"
#include "guard/guard_alter.h"
#include "guard/guard_resource.h"
#include "guard/guard_statement.h"

static void create_index(IndexStmt *statement);
static void create_partition(CreateStmt *statement);
static void drop(DropStmt *statement);
static void drop_index(const RangeVar *name);
static void reindex(ReindexStmt *statement);
static void refresh(RefreshMatViewStmt *statement);
static void alter_domain(AlterDomainStmt *statement);
static void measure_users(Oid type, TaskapiGuardTable *total, int depth);
static Oid	type_named(List *names);
static RangeVar *relation_named(List *names);

void
taskapi_guard_statement(Node *statement)
{
	if (statement == NULL)
		return;
	switch (nodeTag(statement))
	{
		case T_AlterTableStmt:
			taskapi_guard_alter_table((AlterTableStmt *) statement);
			break;
		case T_IndexStmt:
			create_index((IndexStmt *) statement);
			break;
		case T_CreateStmt:
			create_partition((CreateStmt *) statement);
			break;
		case T_DropStmt:
			drop((DropStmt *) statement);
			break;
		case T_RenameStmt:
			taskapi_guard_rename((RenameStmt *) statement);
			break;
		case T_AlterObjectSchemaStmt:
			taskapi_guard_move((AlterObjectSchemaStmt *) statement);
			break;
		case T_ReindexStmt:
			reindex((ReindexStmt *) statement);
			break;
		case T_RefreshMatViewStmt:
			refresh((RefreshMatViewStmt *) statement);
			break;
		case T_AlterDomainStmt:
			alter_domain((AlterDomainStmt *) statement);
			break;
		default:
			break;
	}
}

static void
create_index(IndexStmt *statement)
{
	TaskapiGuardTable table;

	if (statement->concurrent || !taskapi_guard_table(statement->relation, &table) || !taskapi_guard_is_large(&table) ||
		!(RELKIND_HAS_TABLE_AM(table.relkind) || table.relkind == RELKIND_PARTITIONED_TABLE))
		return;
	/* on the partitioned table only, it has nothing to read */
	if (table.relkind == RELKIND_PARTITIONED_TABLE && table.only)
		return;
	if (statement->if_not_exists && statement->idxname != NULL &&
		OidIsValid(get_relname_relid(statement->idxname, get_rel_namespace(table.relid))))
		return;
	taskapi_guard_found(table.relkind == RELKIND_PARTITIONED_TABLE ?
						"CREATE INDEX ON ONLY it, CREATE INDEX CONCURRENTLY on each partition, "
						"then ALTER INDEX ... ATTACH PARTITION." :
						"CREATE INDEX CONCURRENTLY, outside a transaction block.",
						"creating an index keeps writers of table \"%s\"%s waiting until it is built",
						table.name, taskapi_guard_size(&table));
}

/*
 * CREATE TABLE ... PARTITION OF reads the default partition for rows that would belong into the new one.
 */
static void
create_partition(CreateStmt *statement)
{
	Oid			parent;

	if (statement->partbound == NULL || statement->inhRelations == NIL)
		return;
	parent = taskapi_guard_relation(linitial_node(RangeVar, statement->inhRelations));
	if (OidIsValid(parent) && get_rel_relkind(parent) == RELKIND_PARTITIONED_TABLE)
		taskapi_guard_default_partition(get_default_partition_oid(parent));
}

void
taskapi_guard_default_partition(Oid relid)
{
	TaskapiGuardTable rest;

	if (OidIsValid(relid) && taskapi_guard_table_of(relid, &rest) && taskapi_guard_is_large(&rest) &&
		!taskapi_guard_has_checks(relid))
		taskapi_guard_found("Give it a CHECK that excludes the bounds of the new partition, NOT VALID, and validate that first.",
							"adding a partition reads the default partition \"%s\"%s while no other session may",
							rest.name, taskapi_guard_size(&rest));
}

static void
drop(DropStmt *statement)
{
	ListCell   *lc;

	foreach(lc, statement->objects)
	{
		Node	   *object = lfirst(lc);
		RangeVar   *name = IsA(object, List) ? relation_named((List *) object) : NULL;

		if (statement->removeType == OBJECT_INDEX && name != NULL && !statement->concurrent)
			drop_index(name);
		else if (statement->removeType == OBJECT_VIEW && name != NULL)
			taskapi_guard_drop_view(taskapi_guard_relation(name));
		else if (statement->removeType == OBJECT_TABLE && name != NULL && statement->behavior == DROP_CASCADE)
			taskapi_guard_drop_table(taskapi_guard_relation(name));
		else if (statement->removeType == OBJECT_SCHEMA && IsA(object, String) && statement->behavior == DROP_CASCADE)
			taskapi_guard_drop_schema(strVal(object));
	}
}

static void
drop_index(const RangeVar *name)
{
	Oid			index = taskapi_guard_relation(name);
	Oid			relid = OidIsValid(index) && get_rel_relkind(index) == RELKIND_INDEX ? IndexGetRelation(index, true) : InvalidOid;
	TaskapiGuardTable table;

	if (OidIsValid(relid) && taskapi_guard_table_of(relid, &table) && taskapi_guard_is_large(&table) &&
		!get_rel_relispartition(index))
		taskapi_guard_found("DROP INDEX CONCURRENTLY, outside a transaction block.",
							"dropping index \"%s\" locks out readers of table \"%s\"%s, and waits for those that are there",
							name->relname, table.name, taskapi_guard_size(&table));
}

static void
reindex(ReindexStmt *statement)
{
	TaskapiGuardTable table;
	Oid			relid;
	ListCell   *lc;

	foreach(lc, statement->params)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		if (strcmp(option->defname, "concurrently") == 0 && defGetBoolean(option))
			return;
	}
	relid = taskapi_guard_relation(statement->relation);
	if (OidIsValid(relid) && get_rel_relkind(relid) == RELKIND_INDEX)
		relid = IndexGetRelation(relid, true);
	if (OidIsValid(relid) && taskapi_guard_table_of(relid, &table) && taskapi_guard_is_large(&table))
		taskapi_guard_found("REINDEX CONCURRENTLY, outside a transaction block.",
							"rebuilding indexes keeps writers of table \"%s\"%s waiting, and readers that use them",
							table.name, taskapi_guard_size(&table));
}

static void
refresh(RefreshMatViewStmt *statement)
{
	TaskapiGuardTable table;

	if (!statement->concurrent && !statement->skipData && taskapi_guard_table(statement->relation, &table) &&
		table.relkind == RELKIND_MATVIEW && taskapi_guard_is_large(&table))
		taskapi_guard_found("REFRESH MATERIALIZED VIEW CONCURRENTLY, which needs a unique index.",
							"refreshing materialized view \"%s\"%s keeps its readers waiting until it is done",
							table.name, taskapi_guard_size(&table));
}

/*
 * A domain's constraint is checked in all columns of the domain.
 */
static void
alter_domain(AlterDomainStmt *statement)
{
	TaskapiGuardTable total = {.name = "all tables that use it"};
	bool		adds = (char) statement->subtype == 'C';
	Oid			type;

	if (!adds && (char) statement->subtype != 'O')
		return;
	if (adds && statement->def && IsA(statement->def, Constraint) && ((Constraint *) statement->def)->skip_validation)
		return;
	type = type_named(statement->typeName);
	if (!OidIsValid(type))
		return;
	measure_users(type, &total, 0);
	if (OidIsValid(total.relid) && taskapi_guard_is_large(&total))
		taskapi_guard_found(adds ? "Add the constraint NOT VALID, and "
								   "ALTER DOMAIN ... VALIDATE CONSTRAINT in a transaction of its own." :
							"Add CHECK (VALUE IS NOT NULL) NOT VALID instead, and validate it in a transaction of its own.",
							"a constraint of domain \"%s\" is checked in table \"%s\" and others that use it%s, "
							"whose writers wait meanwhile",
							strVal(llast(statement->typeName)), get_rel_name(total.relid), taskapi_guard_size(&total));
}

/*
 * Tables with columns of a domain, or of one that is made of it.
 */
static void
measure_users(Oid type, TaskapiGuardTable *total, int depth)
{
	Relation	rel = table_open(DependRelationId, AccessShareLock);
	ScanKeyData key[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(TypeRelationId));
	ScanKeyInit(&key[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(type));
	scan = systable_beginscan(rel, DependReferenceIndexId, true, NULL, 2, key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend depend = (Form_pg_depend) GETSTRUCT(tuple);
		TaskapiGuardTable table;

		if (depend->classid == RelationRelationId && depend->objsubid > 0 && taskapi_guard_table_of(depend->objid, &table) &&
			table.relkind == RELKIND_RELATION && !table.own)
		{
			total->bytes += table.bytes;
			total->relid = table.relid;
		}
		else if (depend->classid == TypeRelationId && depth < 10 && get_typtype(depend->objid) == TYPTYPE_DOMAIN)
			measure_users(depend->objid, total, depth + 1);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

static Oid
type_named(List *names)
{
	const char *name = names != NIL ? strVal(llast(names)) : NULL;
	Oid			schema;

	if (name == NULL || list_length(names) > 3)
		return InvalidOid;
	if (list_length(names) == 1)
		return TypenameGetTypid(name);
	schema = LookupNamespaceNoError(strVal(list_nth(names, list_length(names) - 2)));
	if (!OidIsValid(schema))
		return InvalidOid;
	return GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum(name), ObjectIdGetDatum(schema));
}

/*
 * NULL for a name of too many parts, which the statement will refuse.
 */
static RangeVar *
relation_named(List *names)
{
	int			n = list_length(names);
	RangeVar   *name;

	if (n < 1 || n > 3)
		return NULL;
	name = makeRangeVar(n > 1 ? strVal(list_nth(names, n - 2)) : NULL, strVal(llast(names)), -1);
	if (n == 3)
		name->catalogname = strVal(linitial(names));
	return name;
}
