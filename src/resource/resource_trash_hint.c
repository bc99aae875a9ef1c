/*-------------------------------------------------------------------------
 *
 * resource_trash_hint.c
 *	  Tells who meets a value that a deleted row keeps taken where it is
 *	  (resource_trash_hint.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "nodes/primnodes.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"

#include "base/compat.h"
#include "resource/resource_trash_hint.h"
#include "resource/resource_write.h"

static bool keeps_deleted_rows(Relation index, AttrNumber deleted_at);
static bool may_see_deleted(const TaskapiView *view);

List *
taskapi_trash_taken(Relation source, const char *deleted_at_column)
{
	List	   *relids = list_make1_oid(RelationGetRelid(source));
	List	   *taken = NIL;
	ListCell   *lc;
	ListCell   *li;

	if (source->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		relids = find_all_inheritors(RelationGetRelid(source), AccessShareLock, NULL);
	foreach(lc, relids)
	{
		Relation	rel = table_open(lfirst_oid(lc), NoLock);
		AttrNumber	deleted_at = get_attnum(RelationGetRelid(rel), deleted_at_column);

		foreach(li, RelationGetIndexList(rel))
		{
			Relation	index = index_open(lfirst_oid(li), AccessShareLock);

			if (keeps_deleted_rows(index, deleted_at))
				taken = lappend(taken, pstrdup(RelationGetRelationName(index)));
			index_close(index, NoLock);
		}
		table_close(rel, NoLock);
	}
	return taken;
}

static bool
keeps_deleted_rows(Relation index, AttrNumber deleted_at)
{
	ListCell   *lc;

	if (index->rd_index->indisprimary || !(index->rd_index->indisunique || index->rd_index->indisexclusion))
		return false;
	foreach(lc, RelationGetIndexPredicate(index))
	{
		const NullTest *test = lfirst(lc);

		if (IsA(test, NullTest) && test->nulltesttype == IS_NULL && IsA(test->arg, Var) &&
			((const Var *) test->arg)->varattno == deleted_at)
			return false;
	}
	return true;
}

static bool
may_see_deleted(const TaskapiView *view)
{
	const TaskapiRegistration *registration = &view->registration;

	return pg_class_aclcheck(registration->deleted, GetUserId(), ACL_SELECT) == ACLCHECK_OK &&
		(pg_class_aclcheck(registration->source, GetUserId(), ACL_SELECT) == ACLCHECK_OK ||
		 pg_attribute_aclcheck(registration->source,
							   get_attnum(registration->source, NameStr(registration->deleted_at_column)),
							   GetUserId(), ACL_SELECT) == ACLCHECK_OK);
}

void
taskapi_trash_look(const TaskapiWrite *write)
{
	TaskapiView *view = write->view;
	TaskapiVersion version;

	write->statement->key_in_trash = false;
	if (!view->registration.soft_delete || !write->statement->may_read)
		return;
	for (int i = 0; i < view->nkeys; i++)
	{
		if (!bms_is_member(view->keys[i].column, write->given))
			return;
	}
	write->statement->key_in_trash = may_see_deleted(view) &&
		taskapi_resource_probe(write, write->new, &version) == TASKAPI_ROW_DELETED;
}

void
taskapi_trash_hint(MemoryContext context, bool key_in_trash, const List *taken)
{
	int			code = geterrcode();
	MemoryContext oldcontext;
	ErrorData  *edata;
	bool		is_taken = false;
	ListCell   *lc;

	if ((code != ERRCODE_UNIQUE_VIOLATION && code != ERRCODE_EXCLUSION_VIOLATION) || (!key_in_trash && taken == NIL))
		return;
	oldcontext = MemoryContextSwitchTo(context);
	edata = CopyErrorData();
	MemoryContextSwitchTo(oldcontext);
	foreach(lc, taken)
		is_taken |= edata->constraint_name != NULL && strcmp(edata->constraint_name, lfirst(lc)) == 0;
	FreeErrorData(edata);
	if (is_taken)
		errhint("If no live row has the same key, a deleted one does: restore it, or purge it.");
	else if (key_in_trash)
		errhint("A deleted row has the same key: restore it, or purge it.");
}
