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
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "base/own_objects.h"
#include "base/table_cache.h"
#include "http/problem.h"
#include "resource/resource_stranger.h"

/* The purges that are under way, the innermost first. */
static TaskapiStrangers *watched = NULL;

static void refuse_to(const TaskapiTable *table, Oid fired_by);
static bool acts_on_delete(const TaskapiForeignKey *fk);
static void refuse_all(const TaskapiTable *table, Oid owner, bool before);
static void refuse(Oid relid, Oid owner, Oid first, bool with_before);
static bool runs_code(const Trigger *trigger, bool with_before);

static void
refuse_to(const TaskapiTable *table, Oid fired_by)
{
	refuse_all(table, table->owner, true);
	if (fired_by != table->owner)
		refuse_all(table, fired_by, false);
}

void
taskapi_strangers_refuse(TaskapiStrangers *strangers, const TaskapiTable *table)
{
	uint64		generation = taskapi_relation_generation();
	bool		is_new = (table != NULL && !list_member_oid(strangers->relids, table->entry.relid));
	ListCell   *lc;

	if (is_new)
		strangers->relids = lappend_oid(strangers->relids, table->entry.relid);
	if (strangers->generation == generation)
	{
		if (is_new)
			refuse_to(table, strangers->fired_by);
		return;
	}
	/* What has been refused may be caught by the code that made the trigger: so it has been asked only if it is not refused. */
	strangers->generation = 0;
	strangers->asking = true;
	PG_TRY();
	{
		foreach(lc, strangers->relids)
			refuse_to(taskapi_resource_table(lfirst_oid(lc)), strangers->fired_by);
	}
	PG_FINALLY();
	{
		strangers->asking = false;
	}
	PG_END_TRY();
	strangers->generation = generation;
}

void
taskapi_strangers_fire(TaskapiStrangers *strangers, const TaskapiTable *table)
{
	if (strangers->fired_by != table->owner)
	{
		list_free(strangers->relids);
		strangers->relids = NIL;
		strangers->fired_by = table->owner;
	}
	taskapi_strangers_refuse(strangers, table);
}

void
taskapi_strangers_watch(TaskapiStrangers *strangers)
{
	strangers->outer = watched;
	watched = strangers;
}

void
taskapi_strangers_unwatch(TaskapiStrangers *strangers)
{
	watched = strangers->outer;
}

void
taskapi_strangers_check(void)
{
	for (TaskapiStrangers *s = watched; s != NULL; s = s->outer)
	{
		if (!s->asking && s->relids != NIL && s->generation != taskapi_relation_generation())
			taskapi_strangers_refuse(s, NULL);
	}
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

		refuse(relid, owner, table->entry.relid, before && i == 0);
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
refuse(Oid relid, Oid owner, Oid first, bool with_before)
{
	List	   *relids;
	ListCell   *lc;

	/* find_all_inheritors() locks those that inherit from it, but not the table */
	LockRelationOid(relid, RowExclusiveLock);
	relids = find_all_inheritors(relid, RowExclusiveLock, NULL);
	foreach(lc, relids)
	{
		Relation	rel = table_open(lfirst_oid(lc), NoLock);

		if (rel->trigdesc && !has_privs_of_role(rel->rd_rel->relowner, owner))
		{
			for (int i = 0; i < rel->trigdesc->numtriggers; i++)
			{
				if (runs_code(&rel->trigdesc->triggers[i], with_before))
					taskapi_problem(PROBLEM_FORBIDDEN, NIL, "Ask the owners of the two tables.",
									"A trigger of %s, which belongs to another role, would run with the rights of the owner of %s.",
									RelationGetRelationName(rel), get_rel_name(first));
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
runs_code(const Trigger *trigger, bool with_before)
{
	return !trigger->tgisinternal && trigger->tgenabled != TRIGGER_DISABLED &&
		(with_before || TRIGGER_FOR_AFTER(trigger->tgtype)) &&
		(TRIGGER_FOR_DELETE(trigger->tgtype) || TRIGGER_FOR_UPDATE(trigger->tgtype)) &&
		get_func_namespace(trigger->tgfoid) != taskapi_schema_oid();
}
