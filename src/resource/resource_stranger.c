/*-------------------------------------------------------------------------
 *
 * resource_stranger.c
 *	  Whose code a DELETE that is done with the owner's rights would run
 *	  (resource_stranger.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "base/own_objects.h"
#include "http/problem.h"
#include "resource/resource_stranger.h"

static bool acts_on_delete(const TaskapiForeignKey *fk);
static void refuse_all(const TaskapiTable *table, Oid owner, bool before);
static void refuse(Oid relid, Oid owner, bool is_first);
static bool runs_code(const Trigger *trigger, bool is_first);

void
taskapi_resource_refuse_strangers(const TaskapiTable *table)
{
	refuse_all(table, table->owner, true);
}

void
taskapi_resource_refuse_strangers_to(const TaskapiTable *table, Oid fired_by)
{
	refuse_all(table, table->owner, true);
	if (fired_by != table->owner)
		refuse_all(table, fired_by, false);
}

/*
 * With the BEFORE triggers of the table itself, or only those that run after.
 */
static void
refuse_all(const TaskapiTable *table, Oid owner, bool before)
{
	List	   *reached = list_make1_oid(table->entry.relid);

	/* the list grows as we go */
	for (int i = 0; i < list_length(reached); i++)
	{
		Oid			relid = list_nth_oid(reached, i);
		ListCell   *lc;

		refuse(relid, owner, before && i == 0);
		foreach(lc, taskapi_resource_table(relid)->incoming)
		{
			const TaskapiForeignKey *fk = lfirst(lc);

			if (acts_on_delete(fk))
				reached = list_append_unique_oid(reached, fk->other);
		}
		CHECK_FOR_INTERRUPTS();
	}
	list_free(reached);
}

static bool
acts_on_delete(const TaskapiForeignKey *fk)
{
	return fk->on_delete == FKCONSTR_ACTION_CASCADE || fk->on_delete == FKCONSTR_ACTION_SETNULL ||
		fk->on_delete == FKCONSTR_ACTION_SETDEFAULT;
}

/*
 * A partition has triggers and an owner of its own.
 */
static void
refuse(Oid relid, Oid owner, bool is_first)
{
	List	   *relids = find_all_inheritors(relid, RowExclusiveLock, NULL);
	ListCell   *lc;

	foreach(lc, relids)
	{
		Relation	rel = table_open(lfirst_oid(lc), NoLock);

		if (rel->trigdesc && !has_privs_of_role(rel->rd_rel->relowner, owner))
		{
			for (int i = 0; i < rel->trigdesc->numtriggers; i++)
			{
				if (runs_code(&rel->trigdesc->triggers[i], is_first))
					taskapi_problem(PROBLEM_FORBIDDEN, NIL, "Ask the owners of the two tables.",
									"A trigger of %s, which belongs to another role, would run with the rights of the owner of %s.",
									RelationGetRelationName(rel), get_rel_name(relid));
			}
		}
		table_close(rel, NoLock);
	}
	list_free(relids);
}

/*
 * BEFORE triggers of a table that refers to the first one run as its own owner, within the statement of referential integrity.
 */
static bool
runs_code(const Trigger *trigger, bool is_first)
{
	return !trigger->tgisinternal && trigger->tgenabled != TRIGGER_DISABLED &&
		(is_first || TRIGGER_FOR_AFTER(trigger->tgtype)) &&
		(TRIGGER_FOR_DELETE(trigger->tgtype) || TRIGGER_FOR_UPDATE(trigger->tgtype)) &&
		get_func_namespace(trigger->tgfoid) != taskapi_schema_oid();
}
