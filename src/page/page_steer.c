/*-------------------------------------------------------------------------
 *
 * page_steer.c
 *	  The planner's hooks of page() (page_steer.h).
 *
 * Indexes go before paths are made, since a path that seems cheap crowds out the better one; what else a
 * pinned plan must not be goes afterwards.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/partition.h"
#include "catalog/pg_am.h"
#include "nodes/pathnodes.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/plancat.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "base/compat.h"
#include "cursor/cursor_check.h"
#include "page/page_steer.h"

static const TaskapiSteering *current = NULL;

#ifdef TASKAPI_HAVE_SIMPLE_REL_HOOK
static build_simple_rel_hook_type next_relation_hook = NULL;

static void relation_hook(PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rte);
#else
static get_relation_info_hook_type next_relation_hook = NULL;

static void relation_hook(PlannerInfo *root, Oid relid, bool inhparent, RelOptInfo *rel);
#endif
static set_rel_pathlist_hook_type next_set_rel_pathlist_hook = NULL;

static void choose_indexes(PlannerInfo *root, Oid relid, RelOptInfo *rel);
static void choose_paths(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte);
static bool steered(PlannerInfo *root, RelOptInfo *rel, Oid relid);
static bool bounding_index(Oid indexoid);
static bool bounding_path(PlannerInfo *root, Path *path);
static bool misleading_index(const IndexOptInfo *index, Oid relid);
static bool is_member(Oid relid, AttrNumber attno, const Bitmapset *set);
static AttrNumber own_column(Oid relid, AttrNumber attno);

void
taskapi_page_steer_init(void)
{
#ifdef TASKAPI_HAVE_SIMPLE_REL_HOOK
	next_relation_hook = build_simple_rel_hook;
	build_simple_rel_hook = relation_hook;
#else
	next_relation_hook = get_relation_info_hook;
	get_relation_info_hook = relation_hook;
#endif
	next_set_rel_pathlist_hook = set_rel_pathlist_hook;
	set_rel_pathlist_hook = choose_paths;
}

void
taskapi_page_steer(TaskapiSteering *steering)
{
	steering->outer = current;
	steering->depth = taskapi_planning_depth();
	current = steering;
}

void
taskapi_page_steer_end(void)
{
	if (current)
		current = current->outer;
}

void
taskapi_page_steer_abort(const TaskapiSteering *steering)
{
	for (const TaskapiSteering *s = current; s != NULL; s = s->outer)
	{
		if (s == steering)
			current = s->outer;
	}
}

#ifdef TASKAPI_HAVE_SIMPLE_REL_HOOK
static void
relation_hook(PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rte)
{
	if (next_relation_hook)
		next_relation_hook(root, rel, rte);
	if (rte->rtekind == RTE_RELATION)
		choose_indexes(root, rte->relid, rel);
}
#else
static void
relation_hook(PlannerInfo *root, Oid relid, bool inhparent, RelOptInfo *rel)
{
	if (next_relation_hook)
		next_relation_hook(root, relid, inhparent, rel);
	choose_indexes(root, relid, rel);
}
#endif

static void
choose_indexes(PlannerInfo *root, Oid relid, RelOptInfo *rel)
{
	List	   *kept = NIL;
	bool		found = false;
	ListCell   *cell;

	if (!steered(root, rel, relid))
		return;

	foreach(cell, rel->indexlist)
		found |= bounding_index(((IndexOptInfo *) lfirst(cell))->indexoid);
	if (!found)
		return;
	foreach(cell, rel->indexlist)
	{
		IndexOptInfo *index = lfirst(cell);

		if (bounding_index(index->indexoid) || (!current->pinned && !misleading_index(index, relid)))
			kept = lappend(kept, index);
	}
	rel->indexlist = kept;
}

static void
choose_paths(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte)
{
	List	   *kept = NIL;
	ListCell   *cell;

	if (next_set_rel_pathlist_hook)
		next_set_rel_pathlist_hook(root, rel, rti, rte);
	if (rte->rtekind != RTE_RELATION || !steered(root, rel, rte->relid) || !current->pinned || root->query_pathkeys == NIL)
		return;

	foreach(cell, rel->pathlist)
	{
		if (bounding_path(root, lfirst(cell)))
			kept = lappend(kept, lfirst(cell));
	}
	if (kept == NIL)
		return;
	rel->pathlist = kept;
	rel->partial_pathlist = NIL;
}

/*
 * Is this the relation that a page is fetched from, or a partition of it?
 */
static bool
steered(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	int			top;

	if (current == NULL || !OidIsValid(current->indexoid) || root->query_level != 1 ||
		taskapi_planning_depth() != current->depth + 1)
		return false;
	if (rel->reloptkind == RELOPT_BASEREL)
		return relid == current->relid;
	return rel->reloptkind == RELOPT_OTHER_MEMBER_REL && bms_get_singleton_member(rel->top_parent_relids, &top) &&
		planner_rt_fetch(top, root)->relid == current->relid;
}

static bool
bounding_index(Oid indexoid)
{
	while (indexoid != current->indexoid)
	{
		if (!get_rel_relispartition(indexoid))
			return false;
		indexoid = get_partition_parent(indexoid, true);
	}
	return true;
}

static bool
bounding_path(PlannerInfo *root, Path *path)
{
	return IsA(path, IndexPath) && pathkeys_contained_in(root->query_pathkeys, path->pathkeys) &&
		bounding_index(((IndexPath *) path)->indexinfo->indexoid);
}

/*
 * Could an index that does not bound the order give it all the same?
 */
static bool
misleading_index(const IndexOptInfo *index, Oid relid)
{
	if (index->relam != BTREE_AM_OID || (current->leading == 0 && !OidIsValid(current->cursor_function)))
		return false;
	for (int i = 0; i < index->nkeycolumns; i++)
	{
		AttrNumber	attno = index->indexkeys[i];

		if (attno == 0)
		{
			Node	   *expression = linitial(index->indexprs);

			return IsA(expression, FuncExpr) && ((FuncExpr *) expression)->funcid == current->cursor_function;
		}
		if (attno < 0)
			return false;
		if (is_member(relid, attno, current->constant))
			continue;
		return current->leading != 0 && attno == own_column(relid, current->leading) &&
			!is_member(relid, attno, current->filtered);
	}
	return false;
}

static bool
is_member(Oid relid, AttrNumber attno, const Bitmapset *set)
{
	int			member = -1;

	while ((member = bms_next_member(set, member)) >= 0)
	{
		if (own_column(relid, member) == attno)
			return true;
	}
	return false;
}

/*
 * The number that a column of the paged table has in a partition.
 */
static AttrNumber
own_column(Oid relid, AttrNumber attno)
{
	if (relid == current->relid)
		return attno;
	return get_attnum(relid, get_attname(current->relid, attno, false));
}
