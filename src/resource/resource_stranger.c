/*-------------------------------------------------------------------------
 *
 * resource_stranger.c
 *	  Whose code a DELETE that is done with the owner's rights would run
 *	  (resource_stranger.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "rewrite/prs2lock.h"
#include "rewrite/rewriteDefine.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
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

static ProcessUtility_hook_type next_ProcessUtility_hook = NULL;

/* Whose code would run with whose rights. */
typedef struct Question
{
	Oid			owner;			/* who has them */
	Oid			first;			/* the owner's table, of which a row is deleted */
} Question;

static void refuse_to(const TaskapiTable *table, Oid fired_by);
static bool acts(char action);
static void refuse_all(const TaskapiTable *table, Oid owner, bool before);
static void refuse(const Question *question, Oid relid, bool with_before, bool updated);
static const char *code_of(Relation rel, bool with_before, bool updated);
static bool runs_code(Relation rel, const Trigger *trigger, bool with_before);
static bool has_rule(Relation rel);
static bool rechecks_expressions(Relation rel);
static void run_command(PlannedStmt *stmt, const char *text, bool read_only_tree, ProcessUtilityContext context,
						ParamListInfo params, QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *completion);

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
	if (strangers->generation == generation && !strangers->refused)
	{
		if (is_new)
			refuse_to(table, strangers->fired_by);
		return;
	}
	if (strangers->refused)
		taskapi_problem(PROBLEM_FORBIDDEN, NIL, NULL,
						"A table changed while a row that it refers to was being purged.");
	strangers->refused = strangers->asking = true;
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
	strangers->refused = false;
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
		if (!s->asking && s->relids != NIL && (s->refused || s->generation != taskapi_relation_generation()))
			taskapi_strangers_refuse(s, NULL);
	}
}

void
taskapi_strangers_init(void)
{
	next_ProcessUtility_hook = ProcessUtility_hook;
	ProcessUtility_hook = run_command;
}

/*
 * What has been done is seen, and refused, before the code that did it can go on.
 */
static void
run_command(PlannedStmt *stmt, const char *text, bool read_only_tree, ProcessUtilityContext context, ParamListInfo params,
			QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *completion)
{
	taskapi_strangers_check();
	if (next_ProcessUtility_hook)
		next_ProcessUtility_hook(stmt, text, read_only_tree, context, params, environment, dest, completion);
	else
		standard_ProcessUtility(stmt, text, read_only_tree, context, params, environment, dest, completion);
	if (unlikely(watched != NULL))
	{
		CommandCounterIncrement();
		taskapi_strangers_check();
	}
}

/*
 * With the BEFORE triggers of the table itself, or only those that run after.
 */
static void
refuse_all(const TaskapiTable *table, Oid owner, bool before)
{
	Question	question = {.owner = owner, .first = table->entry.relid};
	List	   *deleted = list_make1_oid(table->entry.relid);
	List	   *updated = NIL;
	ListCell   *lc;

	/* the lists grow as we go */
	for (int i = 0; i < list_length(deleted); i++)
	{
		Oid			relid = list_nth_oid(deleted, i);

		refuse(&question, relid, before && i == 0, false);
		foreach(lc, taskapi_resource_table(relid)->incoming)
		{
			const TaskapiForeignKey *fk = lfirst(lc);

			if (fk->on_delete == FKCONSTR_ACTION_CASCADE)
				deleted = list_append_unique_oid(deleted, fk->other);
			else if (acts(fk->on_delete))
				updated = list_append_unique_oid(updated, fk->other);
		}
		CHECK_FOR_INTERRUPTS();
	}
	/* a BEFORE trigger may change any column of theirs */
	for (int i = 0; i < list_length(updated); i++)
	{
		Oid			relid = list_nth_oid(updated, i);

		refuse(&question, relid, false, true);
		foreach(lc, taskapi_resource_table(relid)->incoming)
		{
			const TaskapiForeignKey *fk = lfirst(lc);

			if (acts(fk->on_update))
				updated = list_append_unique_oid(updated, fk->other);
		}
		CHECK_FOR_INTERRUPTS();
	}
	list_free(deleted);
	list_free(updated);
}

static bool
acts(char action)
{
	return action == FKCONSTR_ACTION_CASCADE || action == FKCONSTR_ACTION_SETNULL || action == FKCONSTR_ACTION_SETDEFAULT;
}

/*
 * A partition has triggers and an owner of its own.
 */
static void
refuse(const Question *question, Oid relid, bool with_before, bool updated)
{
	List	   *relids;
	ListCell   *lc;

	/* find_all_inheritors() locks those that inherit from it, but not the table */
	LockRelationOid(relid, RowExclusiveLock);
	relids = find_all_inheritors(relid, RowExclusiveLock, NULL);
	foreach(lc, relids)
	{
		Relation	rel = table_open(lfirst_oid(lc), NoLock);
		const char *code = NULL;

		if (!has_privs_of_role(rel->rd_rel->relowner, question->owner))
			code = code_of(rel, with_before, updated);
		if (code != NULL)
			taskapi_problem(PROBLEM_FORBIDDEN, NIL, "Ask the owners of the two tables.",
							"A %s of %s, which belongs to another role, would run with the rights of the owner of %s.",
							code, RelationGetRelationName(rel), get_rel_name(question->first));
		table_close(rel, NoLock);
	}
	list_free(relids);
}

/*
 * What is there that would run?  NULL: nothing.
 */
static const char *
code_of(Relation rel, bool with_before, bool updated)
{
	for (int i = 0; rel->trigdesc && i < rel->trigdesc->numtriggers; i++)
	{
		if (runs_code(rel, &rel->trigdesc->triggers[i], with_before))
			return "trigger";
	}
	if (has_rule(rel))
		return "rule";
	if (updated && rechecks_expressions(rel))
		return "deferrable constraint";
	return NULL;
}

/*
 * BEFORE triggers of a table that refers to the first one run as its own owner, within the statement of referential integrity.
 */
static bool
runs_code(Relation rel, const Trigger *trigger, bool with_before)
{
	return !trigger->tgisinternal && trigger->tgenabled != TRIGGER_DISABLED &&
		(with_before || TRIGGER_FOR_AFTER(trigger->tgtype)) &&
		(TRIGGER_FOR_DELETE(trigger->tgtype) || TRIGGER_FOR_UPDATE(trigger->tgtype) ||
		 (TRIGGER_FOR_INSERT(trigger->tgtype) && rel->rd_rel->relispartition)) &&
		get_func_namespace(trigger->tgfoid) != taskapi_schema_oid();
}

static bool
has_rule(Relation rel)
{
	for (int i = 0; rel->rd_rules && i < rel->rd_rules->numLocks; i++)
	{
		const RewriteRule *rule = rel->rd_rules->rules[i];

		if (rule->enabled != RULE_DISABLED && (rule->event == CMD_DELETE || rule->event == CMD_UPDATE))
			return true;
	}
	return false;
}

/*
 * A constraint that can be deferred, and not only a column, is checked again by an internal trigger.
 */
static bool
rechecks_expressions(Relation rel)
{
	bool		found = false;
	List	   *indexes = RelationGetIndexList(rel);
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		found = found || (!index->rd_index->indimmediate && !heap_attisnull(index->rd_indextuple, Anum_pg_index_indexprs, NULL));
		index_close(index, NoLock);
	}
	list_free(indexes);
	return found;
}
