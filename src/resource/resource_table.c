/*-------------------------------------------------------------------------
 *
 * resource_table.c
 *	  A table, its key and the foreign keys around it (resource_table.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/partition.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "base/own_objects.h"
#include "base/primary_key.h"
#include "base/table_cache.h"
#include "resource/resource_parent.h"
#include "resource/resource_publish.h"
#include "resource/resource_registry.h"
#include "resource/resource_table.h"

static TaskapiTable *build_table(Oid relid);
static int	table_column(TaskapiTable *table, Relation rel, AttrNumber attno);
static void find_key(TaskapiTable *table, Relation rel);
static void find_foreign_keys(TaskapiTable *table, Relation rel);
static void add_foreign_key(TaskapiTable *table, Relation rel, HeapTuple tuple, bool incoming);
static void make_condition(TaskapiTable *table, TaskapiForeignKey *fk, Relation rel, HeapTuple tuple, bool incoming);
static void append_partitions(StringInfo buf, Oid relid);
static void require_no_children(Relation rel);
static void find_triggers(TaskapiTable *table, Relation rel);
static bool has_plain_delete(Relation rel);
static bool is_own_function(Oid function, const char *name);
static bool fires(const Trigger *trigger, bool replica);
static void require_fit(Relation rel, const char *deleted_at);
static const char *column_fault(Relation rel, const char *name, const Oid *types, int ntypes);

Oid
taskapi_resource_root(Oid relid)
{
	List	   *ancestors;

	if (!get_rel_relispartition(relid))
		return relid;
	ancestors = get_partition_ancestors(relid);
	return ancestors == NIL ? relid : llast_oid(ancestors);
}

TaskapiTable *
taskapi_resource_table(Oid relid)
{
	TaskapiTable *table;
	Oid			root = taskapi_resource_root(relid);

	taskapi_registry_load();
	table = (TaskapiTable *) taskapi_resource_cache_get(TASKAPI_CACHE_TABLE, root);
	if (table == NULL)
	{
		uint64		since = taskapi_relation_generation();

		table = build_table(root);
		taskapi_resource_cache_put(TASKAPI_CACHE_TABLE, &table->entry, since);
	}
	return table;
}

TaskapiTable *
taskapi_resource_table_again(TaskapiTable *table)
{
	taskapi_registry_load();
	return taskapi_resource_cache_is_current(&table->entry) ? table : taskapi_resource_table(table->entry.relid);
}

static TaskapiTable *
build_table(Oid relid)
{
	TaskapiTable *table = (TaskapiTable *) taskapi_resource_cache_new(relid, sizeof(TaskapiTable), "table");
	MemoryContext oldcontext = MemoryContextSwitchTo(table->entry.context);
	Relation	rel = table_open(relid, AccessShareLock);
	const TaskapiRegistration *registration;

	table->entry.depends = list_make1_oid(relid);
	table->owner = rel->rd_rel->relowner;
	table->name = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
											 RelationGetRelationName(rel));
	require_no_children(rel);
	registration = taskapi_resource_of_table(relid, true);
	if (registration != NULL)
	{
		NameData	deleted_at = registration->deleted_at_column;

		table->soft = true;
		table->deleted_at = pstrdup(quote_identifier(NameStr(deleted_at)));
		table->deleted_at_attno = get_attnum(RelationGetRelid(rel), NameStr(deleted_at));
		table->deletion_id_attno = get_attnum(RelationGetRelid(rel), "deletion_id");
		require_fit(rel, NameStr(deleted_at));
	}
	registration = taskapi_resource_with_changes(relid);
	if (registration != NULL && OidIsValid(registration->departures))
	{
		table->departed = registration->departures;
		table->entry.depends = lappend_oid(table->entry.depends, table->departed);
	}
	table->columns = palloc0(sizeof(TaskapiTableColumn) * Max(RelationGetDescr(rel)->natts, 1));
	find_key(table, rel);
	find_foreign_keys(table, rel);
	find_triggers(table, rel);
	table->plain_delete = has_plain_delete(rel);

	table_close(rel, NoLock);
	MemoryContextSwitchTo(oldcontext);
	return table;
}

/*
 * Rows of a table that inherits from this one are none that its key or its triggers know.
 */
static void
require_no_children(Relation rel)
{
	if (rel->rd_rel->relkind == RELKIND_RELATION && rel->rd_rel->relhassubclass &&
		find_inheritance_children(RelationGetRelid(rel), NoLock) != NIL &&
		taskapi_resource_of_table(RelationGetRelid(rel), false) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" cannot be a resource", RelationGetRelationName(rel)),
				 errdetail("Other tables inherit from it.")));
}

/*
 * A table with soft deletion: the code relies on its two columns.
 */
static void
require_fit(Relation rel, const char *deleted_at)
{
	const char *fault = taskapi_resource_table_fault(rel, deleted_at, false);

	if (fault != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" no longer fits its resource", RelationGetRelationName(rel)),
				 errdetail_internal("%s", fault),
				 errhint("Call taskapi.expose() again.")));
}

static const char *
column_fault(Relation rel, const char *name, const Oid *types, int ntypes)
{
	AttrNumber	attno = get_attnum(RelationGetRelid(rel), name);
	Form_pg_attribute att;
	bool		fits = false;

	if (attno <= 0)
		return psprintf("Table \"%s\" has no column \"%s\".", RelationGetRelationName(rel), name);
	att = TupleDescAttr(RelationGetDescr(rel), attno - 1);
	for (int i = 0; i < ntypes; i++)
		fits = fits || att->atttypid == types[i];
	if (!fits || att->attgenerated != '\0' || att->attidentity != '\0')
		return psprintf("Column \"%s\" of table \"%s\" does not fit: it must be an ordinary column of type %s.",
						name, RelationGetRelationName(rel), format_type_be(types[0]));
	return NULL;
}

const char *
taskapi_resource_table_fault(Relation rel, const char *deleted_at, bool versioned)
{
	static const Oid deleted_at_types[] = {TIMESTAMPTZOID};
	static const Oid deletion_id_types[] = {UUIDOID};
	static const Oid version_types[] = {INT4OID, INT8OID, INT2OID};
	static const Oid updated_at_types[] = {TIMESTAMPTZOID, TIMESTAMPOID};
	const char *fault = NULL;

	/* an INSTEAD rule leaves undone what the code has counted as done */
	if (rel->rd_rules != NULL)
		return psprintf("Table \"%s\" has rules.", RelationGetRelationName(rel));
	if (deleted_at != NULL)
		fault = column_fault(rel, deleted_at, deleted_at_types, lengthof(deleted_at_types));
	if (fault == NULL && deleted_at != NULL)
		fault = column_fault(rel, "deletion_id", deletion_id_types, lengthof(deletion_id_types));
	if (fault == NULL && versioned)
		fault = column_fault(rel, "version", version_types, lengthof(version_types));
	if (fault == NULL && versioned)
		fault = column_fault(rel, "updated_at", updated_at_types, lengthof(updated_at_types));
	return fault;
}

AttrNumber
taskapi_resource_table_attno(const TaskapiTable *table, int column, Relation rel)
{
	const TaskapiTableColumn *wanted = &table->columns[column];
	TupleDesc	desc = RelationGetDescr(rel);
	AttrNumber	attno = wanted->attno;

	if (RelationGetRelid(rel) != table->entry.relid)
	{
		const char *name = get_attname(table->entry.relid, attno, true);

		attno = name ? get_attnum(RelationGetRelid(rel), name) : InvalidAttrNumber;
	}
	if (attno <= 0 || attno > desc->natts || TupleDescAttr(desc, attno - 1)->attisdropped ||
		TupleDescAttr(desc, attno - 1)->atttypid != wanted->type)
		taskapi_resource_refuse_changed();
	return attno;
}

/*
 * The index of a column, which is added if it is new.
 */
static int
table_column(TaskapiTable *table, Relation rel, AttrNumber attno)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), attno - 1);
	TaskapiTableColumn *column;

	for (int i = 0; i < table->ncolumns; i++)
	{
		if (table->columns[i].attno == attno)
			return i;
	}
	column = &table->columns[table->ncolumns];
	column->attno = attno;
	column->name = pstrdup(quote_identifier(NameStr(att->attname)));
	column->type = att->atttypid;
	column->typlen = att->attlen;
	column->typbyval = att->attbyval;
	if (column->type >= FirstNormalObjectId)
		table->entry.user_types = true;
	return table->ncolumns++;
}

static void
find_key(TaskapiTable *table, Relation rel)
{
	TaskapiKeyColumn key[INDEX_MAX_KEYS];
	StringInfoData buf;

	table->nkeys = taskapi_primary_key(rel, key);
	table->keys = palloc(sizeof(int) * Max(table->nkeys, 1));
	initStringInfo(&buf);
	for (int i = 0; i < table->nkeys; i++)
	{
		TaskapiTableColumn *column;

		table->keys[i] = table_column(table, rel, key[i].attno);
		column = &table->columns[table->keys[i]];
		if (i > 0)
			appendStringInfoString(&buf, " AND ");
		generate_operator_clause(&buf, psprintf("t.%s", column->name), column->type, key[i].eq_operator,
								 psprintf("$%d", i + 1), column->type);
	}
	table->key_condition = buf.data;
}

/*
 * Those of the table and of its partitions.  A partition's part of a key goes without saying, as we look at the whole.
 * There is no index on confrelid; but this is read once in a while.  By their OIDs, so that of several that stand in the
 * way it is always the same that is named.
 */
static void
find_foreign_keys(TaskapiTable *table, Relation rel)
{
	List	   *relids = list_make1_oid(RelationGetRelid(rel));
	Relation	constraints;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
	{
		relids = find_all_inheritors(RelationGetRelid(rel), AccessShareLock, NULL);
		table->entry.depends = list_concat_unique_oid(table->entry.depends, relids);
	}
	constraints = table_open(ConstraintRelationId, AccessShareLock);
	scan = systable_beginscan(constraints, ConstraintOidIndexId, true, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint con = (Form_pg_constraint) GETSTRUCT(tuple);

		CHECK_FOR_INTERRUPTS();
		if (con->contype != CONSTRAINT_FOREIGN || OidIsValid(con->conparentid) || !taskapi_constraint_is_enforced(con))
			continue;
		if (list_member_oid(relids, con->confrelid))
			add_foreign_key(table, rel, tuple, true);
		if (list_member_oid(relids, con->conrelid))
			add_foreign_key(table, rel, tuple, false);
	}
	systable_endscan(scan);
	table_close(constraints, AccessShareLock);
}

static void
add_foreign_key(TaskapiTable *table, Relation rel, HeapTuple tuple, bool incoming)
{
	Form_pg_constraint con = (Form_pg_constraint) GETSTRUCT(tuple);
	TaskapiForeignKey *fk = palloc0(sizeof(TaskapiForeignKey));
	Oid			here = incoming ? con->confrelid : con->conrelid;
	Oid			there = incoming ? con->conrelid : con->confrelid;
	const TaskapiRegistration *registration;
	NameData	deleted_at = {{0}};
	Relation	other;

	fk->name = pstrdup(NameStr(con->conname));
	fk->on_delete = con->confdeltype;
	fk->on_update = con->confupdtype;
	fk->other = taskapi_resource_root(there);
	registration = taskapi_resource_of_table(fk->other, true);
	fk->other_soft = (registration != NULL);
	table->entry.depends = list_append_unique_oid(table->entry.depends, there);
	table->entry.depends = list_append_unique_oid(table->entry.depends, fk->other);
	if (!incoming && !fk->other_soft)
		return;
	if (fk->other_soft)
	{
		deleted_at = registration->deleted_at_column;
		fk->other_deleted_at = pstrdup(quote_identifier(NameStr(deleted_at)));
	}
	if (taskapi_constraint_has_period(con))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("foreign key \"%s\" around table \"%s\" has a period", fk->name, RelationGetRelationName(rel)),
				 errdetail("Soft deletion follows foreign keys by equality only.")));

	other = table_open(fk->other, AccessShareLock);
	if (fk->other_soft)
		require_fit(other, NameStr(deleted_at));
	fk->other_owner = other->rd_rel->relowner;
	fk->other_relname = pstrdup(RelationGetRelationName(other));
	fk->other_name = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(other)),
												fk->other_relname);
	if (here != RelationGetRelid(rel))
		fk->only_in = find_all_inheritors(here, AccessShareLock, NULL);
	make_condition(table, fk, rel, tuple, incoming);
	if (!incoming)
		taskapi_resource_parent_prepare(table, fk, tuple, other, NameStr(deleted_at));
	table_close(other, NoLock);
	if (incoming)
		table->incoming = lappend(table->incoming, fk);
	else
		table->outgoing = lappend(table->outgoing, fk);
}

static void
make_condition(TaskapiTable *table, TaskapiForeignKey *fk, Relation rel, HeapTuple tuple, bool incoming)
{
	Form_pg_constraint con = (Form_pg_constraint) GETSTRUCT(tuple);
	Oid			here = incoming ? con->confrelid : con->conrelid;
	Oid			there = incoming ? con->conrelid : con->confrelid;
	AttrNumber	conkey[INDEX_MAX_KEYS];
	AttrNumber	confkey[INDEX_MAX_KEYS];
	Oid			pf_eq_oprs[INDEX_MAX_KEYS];
	StringInfoData buf;

	DeconstructFkConstraintRow(tuple, &fk->nkeys, conkey, confkey, pf_eq_oprs, NULL, NULL, NULL, NULL);
	fk->columns = palloc(sizeof(int) * fk->nkeys);
	initStringInfo(&buf);
	for (int i = 0; i < fk->nkeys; i++)
	{
		const char *ours = get_attname(here, incoming ? confkey[i] : conkey[i], false);
		AttrNumber	theirs = incoming ? conkey[i] : confkey[i];
		char	   *column = psprintf("o.%s", quote_identifier(get_attname(there, theirs, false)));
		Oid			their_type = get_atttype(there, theirs);
		char	   *param = psprintf("$%d", i + 1);
		Oid			type;

		/* columns of a partition bear the names of the whole table's */
		fk->columns[i] = table_column(table, rel, get_attnum(RelationGetRelid(rel), ours));
		type = table->columns[fk->columns[i]].type;
		if (their_type >= FirstNormalObjectId || pf_eq_oprs[i] >= FirstNormalObjectId)
			table->entry.user_types = true;
		if (i > 0)
			appendStringInfoString(&buf, " AND ");
		/* the operators are primary key = foreign key */
		if (incoming)
			generate_operator_clause(&buf, param, type, pf_eq_oprs[i], column, their_type);
		else
			generate_operator_clause(&buf, column, their_type, pf_eq_oprs[i], param, type);
	}
	if (there != fk->other)
		append_partitions(&buf, there);
	fk->condition = buf.data;
}

/*
 * The key is one of a partition of the other table.
 */
static void
append_partitions(StringInfo buf, Oid relid)
{
	List	   *relids = find_all_inheritors(relid, AccessShareLock, NULL);
	ListCell   *lc;

	appendStringInfoString(buf, " AND o.tableoid OPERATOR(pg_catalog.=) ANY ('{");
	foreach(lc, relids)
		appendStringInfo(buf, "%s%u", lc == list_head(relids) ? "" : ",", lfirst_oid(lc));
	appendStringInfoString(buf, "}'::pg_catalog.oid[])");
}

/*
 * A trigger fires for all rows if it does in the table, or in every partition that has rows of its own: its owner may
 * disable it in one of them.
 */
static void
find_triggers(TaskapiTable *table, Relation rel)
{
	List	   *relids = list_make1_oid(RelationGetRelid(rel));
	ListCell   *lc;

	if (rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		relids = find_all_inheritors(RelationGetRelid(rel), AccessShareLock, NULL);
	for (int replica = 0; replica < 2; replica++)
		table->touches[replica] = table->references[replica] = table->publishes[replica] = true;
	foreach(lc, relids)
	{
		Relation	part = table_open(lfirst_oid(lc), NoLock);
		bool		touches[2] = {false};
		bool		references[2] = {false};
		bool		publishes[2] = {false};

		for (int i = 0; part->trigdesc != NULL && i < part->trigdesc->numtriggers; i++)
		{
			const Trigger *trigger = &part->trigdesc->triggers[i];
			bool	   *found = NULL;

			if (trigger->tgtype == (TRIGGER_TYPE_ROW | TRIGGER_TYPE_BEFORE | TRIGGER_TYPE_UPDATE) &&
				is_own_function(trigger->tgfoid, "resource_touch"))
				found = touches;
			else if (trigger->tgtype == (TRIGGER_TYPE_ROW | TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE) &&
					 is_own_function(trigger->tgfoid, "resource_reference"))
				found = references;
			else if (trigger->tgtype == (TRIGGER_TYPE_ROW | TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE) &&
					 is_own_function(trigger->tgfoid, "resource_publish"))
				found = publishes;
			if (found == NULL || trigger->tgqual != NULL || trigger->tgnattr > 0)
				continue;
			found[0] |= fires(trigger, false);
			found[1] |= fires(trigger, true);
		}
		for (int replica = 0; replica < 2 && part->rd_rel->relkind != RELKIND_PARTITIONED_TABLE; replica++)
		{
			table->touches[replica] &= touches[replica];
			table->references[replica] &= references[replica];
			table->publishes[replica] &= publishes[replica];
		}
		table_close(part, NoLock);
	}
}

/*
 * Referential integrity is triggers, too.
 */
static bool
has_plain_delete(Relation rel)
{
	const TriggerDesc *triggers = rel->trigdesc;

	if (rel->rd_rel->relkind != RELKIND_RELATION || rel->rd_rel->relhassubclass || rel->rd_rules != NULL)
		return false;
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		if (TRIGGER_FOR_DELETE(triggers->triggers[i].tgtype))
			return false;
	}
	return true;
}

static bool
is_own_function(Oid function, const char *name)
{
	const char *its_name = get_func_name(function);

	return its_name != NULL && strcmp(its_name, name) == 0 && get_func_namespace(function) == taskapi_schema_oid();
}

/*
 * As the server's TriggerEnabled().
 */
static bool
fires(const Trigger *trigger, bool replica)
{
	return trigger->tgenabled == TRIGGER_FIRES_ALWAYS ||
		trigger->tgenabled == (replica ? TRIGGER_FIRES_ON_REPLICA : TRIGGER_FIRES_ON_ORIGIN);
}

void
taskapi_resource_require_triggers(const TaskapiTable *table, bool versioned)
{
	int			replica = (SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA);
	const char *lacks = NULL;

	if (versioned && !table->touches[replica])
		lacks = "zz_taskapi_touch";
	else if (table->outgoing != NIL && !table->references[replica])
		lacks = "zz_taskapi_reference";
	else if (!table->publishes[replica] && taskapi_table_publishes(table->entry.relid))
		lacks = "00_taskapi_publish";
	if (lacks != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s lacks trigger \"%s\", which its resources need", table->name, lacks),
				 errdetail("It is missing or disabled, in the table or in a partition of it."),
				 errhint("Call taskapi.expose() again.")));
}
