/*-------------------------------------------------------------------------
 *
 * guard_alter.c
 *	  What the guard says of ALTER TABLE (guard_alter.h).
 *
 * What rewrites a table is not looked for here: table_rewrite knows it exactly.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "nodes/parsenodes.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "guard/guard.h"
#include "guard/guard_alter.h"
#include "guard/guard_resource.h"
#include "guard/guard_statement.h"

#define HINT_CHECK "Add the constraint NOT VALID, and VALIDATE CONSTRAINT in a transaction of its own."
#define HINT_FOREIGN_KEY_OF_PARTITIONS \
	"Add it NOT VALID to each partition and validate it there; then the partitioned table takes them over."
#define HINT_UNIQUE "CREATE UNIQUE INDEX CONCURRENTLY, then ADD CONSTRAINT ... USING INDEX."
#define HINT_UNIQUE_OF_PARTITIONS \
	"ALTER TABLE ONLY; make it on each partition USING INDEX, and ALTER INDEX ... ATTACH PARTITION."
#define HINT_NOT_NULL \
	"ADD CHECK (... IS NOT NULL) NOT VALID, VALIDATE CONSTRAINT in a transaction of its own, then SET NOT NULL."
#define HINT_NOT_NULL_18 "ADD NOT NULL ... NOT VALID, then VALIDATE CONSTRAINT in a transaction of its own."

/* So long a migration may wait for a lock that does not say itself how long, since all who come later wait behind it */
#define LOCK_TIMEOUT "1s"

static void bound_wait(const AlterTableStmt *statement);
static void add_column(const TaskapiGuardTable *table, ColumnDef *column);
static void add_constraint(const TaskapiGuardTable *table, Constraint *constraint);
static void add_key(const TaskapiGuardTable *table, Constraint *constraint);
static void set_not_null(const TaskapiGuardTable *table, const char *column);
static bool index_has_no_nulls(Oid relid, const char *index);
static void attach_partition(const TaskapiGuardTable *table, const RangeVar *name);

void
taskapi_guard_alter_table(AlterTableStmt *statement)
{
	TaskapiGuardTable table;
	ListCell   *lc;
	bool		large;

	if (!taskapi_guard_table(statement->relation, &table))
		return;
	large = (table.relkind == RELKIND_RELATION || table.relkind == RELKIND_PARTITIONED_TABLE) && taskapi_guard_is_large(&table);

	if (large)
		bound_wait(statement);
	foreach(lc, statement->cmds)
	{
		AlterTableCmd *command = lfirst_node(AlterTableCmd, lc);

		if (command->subtype == AT_DropColumn)
			taskapi_guard_drop_column(table.relid, command->name);
		if (command->subtype == AT_AttachPartition && table.relkind == RELKIND_PARTITIONED_TABLE && command->def)
			attach_partition(&table, castNode(PartitionCmd, command->def)->name);
		if (!large)
			continue;
		switch (command->subtype)
		{
			case AT_AddColumn:
				if (command->def && IsA(command->def, ColumnDef))
					add_column(&table, (ColumnDef *) command->def);
				break;
			case AT_AddConstraint:
				if (command->def && IsA(command->def, Constraint))
					add_constraint(&table, (Constraint *) command->def);
				break;
			case AT_SetNotNull:
				set_not_null(&table, command->name);
				break;
			case AT_ValidateConstraint:
				if (table.locked)
					taskapi_guard_found("VALIDATE CONSTRAINT in a transaction of its own, after the one that adds the constraint.",
										"validating constraint \"%s\" reads table \"%s\"%s, "
										"whose writers this transaction keeps waiting",
										command->name, table.name, taskapi_guard_size(&table));
				break;
			case AT_SetTableSpace:
				taskapi_guard_found("Run it while the table is small or not in use.",
									"table \"%s\"%s is to be copied to another tablespace while no other session may read it",
									table.name, taskapi_guard_size(&table));
				break;
			default:
				break;
		}
	}
}

/*
 * Not of what waits for transactions in the order of things: DETACH PARTITION CONCURRENTLY.
 */
static void
bound_wait(const AlterTableStmt *statement)
{
	ListCell   *lc;

	if (LockTimeout != 0 || !taskapi_guard_refuses())
		return;
	foreach(lc, statement->cmds)
	{
		AlterTableCmd *command = lfirst_node(AlterTableCmd, lc);

		if (command->subtype == AT_DetachPartition && command->def && castNode(PartitionCmd, command->def)->concurrent)
			return;
	}
	(void) set_config_option("lock_timeout", LOCK_TIMEOUT, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

/*
 * A new column without a value is NULL in every row, for which a foreign key need not be checked.
 */
static void
add_column(const TaskapiGuardTable *table, ColumnDef *column)
{
	bool		has_value = column->raw_default != NULL;
	ListCell   *lc;

	foreach(lc, column->constraints)
	{
		Constraint *constraint = lfirst_node(Constraint, lc);

		has_value |= constraint->contype == CONSTR_DEFAULT || constraint->contype == CONSTR_IDENTITY ||
			constraint->contype == CONSTR_GENERATED;
	}
	foreach(lc, column->constraints)
	{
		Constraint *constraint = lfirst_node(Constraint, lc);

		if (constraint->contype != CONSTR_NOTNULL && (constraint->contype != CONSTR_FOREIGN || has_value))
			add_constraint(table, constraint);
	}
}

static void
add_constraint(const TaskapiGuardTable *table, Constraint *constraint)
{
	const char *name = constraint->conname ? psprintf("constraint \"%s\"", constraint->conname) : "a constraint";
	bool		partitioned = table->relkind == RELKIND_PARTITIONED_TABLE;

	/* the grammar of 18 says only of these two whether they are enforced */
	if (constraint->skip_validation || ((constraint->contype == CONSTR_CHECK || constraint->contype == CONSTR_FOREIGN) &&
										!taskapi_constraint_is_enforced_node(constraint)))
		return;
	switch (constraint->contype)
	{
		case CONSTR_CHECK:
			taskapi_guard_found(HINT_CHECK, "adding %s reads table \"%s\"%s while no other session may",
								name, table->name, taskapi_guard_size(table));
			break;
		case CONSTR_FOREIGN:
			if (partitioned && taskapi_guard_partitions_refer(table->relid, taskapi_guard_relation(constraint->pktable)))
				break;
			taskapi_guard_found(partitioned && !TASKAPI_PARTITIONED_NOT_VALID ? HINT_FOREIGN_KEY_OF_PARTITIONS : HINT_CHECK,
								"adding %s to table \"%s\"%s keeps writers of it and of table \"%s\" "
								"waiting while both are compared",
								name, table->name, taskapi_guard_size(table), constraint->pktable->relname);
			break;
		case CONSTR_NOTNULL:
			if (constraint->keys != NIL)
				set_not_null(table, strVal(linitial(constraint->keys)));
			break;
		case CONSTR_PRIMARY:
		case CONSTR_UNIQUE:
			add_key(table, constraint);
			break;
		case CONSTR_EXCLUSION:
			taskapi_guard_found("No form of it lets other sessions go on: run it while the table is small or not in use.",
								"adding %s builds an index while no other session may read table \"%s\"%s",
								name, table->name, taskapi_guard_size(table));
			break;
		default:
			break;
	}
}

static void
add_key(const TaskapiGuardTable *table, Constraint *constraint)
{
	const char *kind = constraint->contype == CONSTR_PRIMARY ? "a primary key" : "a unique constraint";

	/* on the partitioned table only, it has nothing to read */
	if (table->relkind == RELKIND_PARTITIONED_TABLE && table->only)
		return;
	if (constraint->indexname == NULL)
		taskapi_guard_found(table->relkind == RELKIND_PARTITIONED_TABLE ? HINT_UNIQUE_OF_PARTITIONS : HINT_UNIQUE,
							"adding %s builds an index while no other session may read table \"%s\"%s",
							kind, table->name, taskapi_guard_size(table));
	else if (constraint->contype == CONSTR_PRIMARY && !index_has_no_nulls(table->relid, constraint->indexname))
		taskapi_guard_found("Make its columns NOT NULL first, by a valid constraint.",
							"adding a primary key reads table \"%s\"%s while no other session may, "
							"since a column of index \"%s\" may have NULLs",
							table->name, taskapi_guard_size(table), constraint->indexname);
}

static void
set_not_null(const TaskapiGuardTable *table, const char *column)
{
	AttrNumber	attno = get_attnum(table->relid, column);

	if (attno == InvalidAttrNumber || taskapi_guard_has_no_nulls(table->relid, attno))
		return;
	taskapi_guard_found(TASKAPI_NOT_NULL_NOT_VALID ? HINT_NOT_NULL_18 : HINT_NOT_NULL,
						"making column \"%s\" NOT NULL reads table \"%s\"%s while no other session may",
						column, table->name, taskapi_guard_size(table));
}

static bool
index_has_no_nulls(Oid relid, const char *name)
{
	Oid			index = get_relname_relid(name, get_rel_namespace(relid));
	HeapTuple	tuple = OidIsValid(index) ? SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index)) : NULL;
	bool		result = true;

	/* the statement will say that there is no such index */
	if (!HeapTupleIsValid(tuple))
		return true;
	for (int i = 0; i < ((Form_pg_index) GETSTRUCT(tuple))->indnkeyatts; i++)
		result &= taskapi_guard_has_no_nulls(relid, ((Form_pg_index) GETSTRUCT(tuple))->indkey.values[i]);
	ReleaseSysCache(tuple);
	return result;
}

/*
 * Whether a CHECK proves the bounds only the server can say.  Without any, it reads all rows.
 */
static void
attach_partition(const TaskapiGuardTable *table, const RangeVar *name)
{
	TaskapiGuardTable partition;

	if (taskapi_guard_table(name, &partition) && taskapi_guard_is_large(&partition))
	{
		if (!taskapi_guard_has_checks(partition.relid))
			taskapi_guard_found("Give it a CHECK that says its bounds, NOT VALID, and validate that first.",
								"attaching table \"%s\"%s reads it while no other session may",
								partition.name, taskapi_guard_size(&partition));
		if (!taskapi_guard_has_indexes_of(table->relid, partition.relid))
			taskapi_guard_found("CREATE INDEX CONCURRENTLY on it first, one for each index of the partitioned table.",
								"attaching table \"%s\"%s builds an index while no other session may read it",
								partition.name, taskapi_guard_size(&partition));
	}
	taskapi_guard_default_partition(get_default_partition_oid(table->relid));
}
