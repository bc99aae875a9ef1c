/*-------------------------------------------------------------------------
 *
 * page_source.c
 *	  Describing a relation for page() (page_source.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
#include "rewrite/rowsecurity.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "base/simple_view.h"
#include "cursor/cursor_key.h"
#include "page/page_source.h"

#define MAX_VIEW_DEPTH 16

static void check_relation(Oid relid);
static void describe_columns(TaskapiPageSource *source, Relation rel);
static void see_through(TaskapiPageSource *source, Relation rel);
static bool constraints_hold(TaskapiPageSource *source, Relation base);
static const char *not_flattened(Relation view, const Query *query);
static Bitmapset *policed_columns(Relation rel);
static void find_key(TaskapiPageSource *source, Relation base);
static bool key_of_index(TaskapiPageSource *source, Relation base, Relation index, AttrNumber *keys, bool *proven);

TaskapiPageSource *
taskapi_page_source(Oid relid)
{
	TaskapiPageSource *source = palloc0(sizeof(TaskapiPageSource));
	Relation	rel;

	check_relation(relid);
	rel = relation_open(relid, AccessShareLock);
	source->relid = relid;
	source->schema = get_namespace_name(RelationGetNamespace(rel));
	source->name = pstrdup(RelationGetRelationName(rel));
	source->sql = quote_qualified_identifier(source->schema, source->name);
	source->relids = list_make1_oid(relid);
	describe_columns(source, rel);
	see_through(source, rel);
	relation_close(rel, NoLock);
	return source;
}

const TaskapiPageColumn *
taskapi_page_column(const TaskapiPageSource *source, const char *name)
{
	for (int i = 0; i < source->natts; i++)
	{
		const TaskapiPageColumn *column = &source->columns[i];

		if (!column->dropped && strcmp(column->name, name) == 0)
			return column->readable ? column : NULL;
	}
	return NULL;
}

const TaskapiPageColumn *
taskapi_page_base_column(const TaskapiPageSource *source, AttrNumber base_attno)
{
	for (int i = 0; i < source->natts; i++)
	{
		if (source->columns[i].base_attno == base_attno && source->columns[i].readable)
			return &source->columns[i];
	}
	return NULL;
}

Oid
taskapi_page_operand_type(const TaskapiPageColumn *column, Oid opclass_input)
{
	/* A polymorphic input type is that of the column, which is no domain then */
	return OidIsValid(opclass_input) && get_typtype(opclass_input) != TYPTYPE_PSEUDO ? opclass_input : column->basetype;
}

char *
taskapi_page_operand(const TaskapiPageColumn *column, Oid type)
{
	HeapTuple	tuple;
	Form_pg_type form;
	char	   *sql;

	if (column->typid == type)
		return column->sql;
	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("type with OID %u does not exist", type)));
	form = (Form_pg_type) GETSTRUCT(tuple);
	sql = psprintf("%s::%s", column->sql,
				   quote_qualified_identifier(get_namespace_name(form->typnamespace), NameStr(form->typname)));
	ReleaseSysCache(tuple);
	return sql;
}

char *
taskapi_operator_sql(Oid opno)
{
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(opno));
	Form_pg_operator form;
	char	   *sql;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", opno);
	form = (Form_pg_operator) GETSTRUCT(tuple);
	sql = psprintf("OPERATOR(%s.%s)", quote_identifier(get_namespace_name(form->oprnamespace)), NameStr(form->oprname));
	ReleaseSysCache(tuple);
	return sql;
}

/*
 * Refuse before locking what has no rows, and what the user may read nothing of.
 */
static void
check_relation(Oid relid)
{
	char		relkind = get_rel_relkind(relid);

	switch (relkind)
	{
		case '\0':
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_TABLE),
					 errmsg("relation with OID %u does not exist", relid)));
			break;
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
		case RELKIND_VIEW:
		case RELKIND_MATVIEW:
		case RELKIND_FOREIGN_TABLE:
			break;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("\"%s\" is not a table or view", get_rel_name(relid))));
	}

	if (pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK &&
		pg_attribute_aclcheck_all(relid, GetUserId(), ACL_SELECT, ACLMASK_ANY) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, get_relkind_objtype(relkind), get_rel_name(relid));
}

static void
describe_columns(TaskapiPageSource *source, Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);

	source->all_readable = pg_class_aclcheck(source->relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK;
	source->natts = desc->natts;
	source->columns = palloc0(sizeof(TaskapiPageColumn) * Max(desc->natts, 1));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		TaskapiPageColumn *column = &source->columns[i];

		column->attno = i + 1;
		column->dropped = att->attisdropped;
		if (att->attisdropped)
			continue;
		column->name = pstrdup(NameStr(att->attname));
		column->sql = psprintf("r.%s", quote_identifier(column->name));
		column->typid = att->atttypid;
		column->typmod = att->atttypmod;
		column->basetype = taskapi_cursor_key_base_type(att->atttypid);
		column->collation = att->attcollation;
		column->readable = source->all_readable ||
			pg_attribute_aclcheck(source->relid, i + 1, GetUserId(), ACL_SELECT) == ACLCHECK_OK;
	}
}

/*
 * Find the table behind, and what it says of the columns.
 */
static void
see_through(TaskapiPageSource *source, Relation rel)
{
	AttrNumber *map = palloc(sizeof(AttrNumber) * Max(source->natts, 1));
	Relation	base = rel;
	bool		proven;

	for (int i = 0; i < source->natts; i++)
		map[i] = i + 1;

	for (int depth = 0; base->rd_rel->relkind == RELKIND_VIEW; depth++)
	{
		Query	   *query = get_view_query(base);
		int			rtindex;
		RangeTblEntry *rte = taskapi_simple_view(query, &rtindex);
		Relation	next;
		AttrNumber *inner;

		if (rte == NULL || depth == MAX_VIEW_DEPTH)
		{
			if (base != rel)
				relation_close(base, NoLock);
			source->base_quals = NIL;
			source->base_filtered = true;
			return;
		}

		inner = taskapi_simple_view_columns(query, rtindex, RelationGetNumberOfAttributes(base));
		for (int i = 0; i < source->natts; i++)
			map[i] = map[i] > 0 ? inner[map[i] - 1] : 0;

		if (source->opaque == NULL)
			source->opaque = not_flattened(base, query);

		/* Those of the innermost view are about the table */
		source->base_quals = NIL;
		if (query->jointree->quals)
		{
			Node	   *quals = copyObject(query->jointree->quals);

			ChangeVarNodes(quals, rtindex, 1, 0);
			source->base_quals = make_ands_implicit((Expr *) quals);
			source->base_filtered = true;
		}

		next = relation_open(rte->relid, AccessShareLock);
		source->relids = lappend_oid(source->relids, rte->relid);
		if (base != rel)
			relation_close(base, NoLock);
		base = next;
	}

	source->base_relid = RelationGetRelid(base);
	source->base_relkind = base->rd_rel->relkind;
	source->base_rls = base->rd_rel->relrowsecurity;
	source->base_policed = policed_columns(base);
	proven = constraints_hold(source, base);
	for (int i = 0; i < source->natts; i++)
	{
		TaskapiPageColumn *column = &source->columns[i];

		if (!column->dropped && map[i] > 0)
		{
			column->base_attno = map[i];
			column->notnull = proven && taskapi_att_is_not_null(RelationGetDescr(base), map[i]);
			column->believed = !proven && taskapi_att_is_not_null(RelationGetDescr(base), map[i]);
			if (taskapi_att_is_virtual(TupleDescAttr(RelationGetDescr(base), map[i] - 1)))
			{
				column->generated = eval_const_expressions(NULL, taskapi_generation_expression(base, map[i]));
				fix_opfuncids(column->generated);
			}
		}
	}
	find_key(source, base);
	if (base != rel)
		relation_close(base, NoLock);
}

/*
 * Of the policies for reading, whichever roles they are for.
 */
static Bitmapset *
policed_columns(Relation rel)
{
	Bitmapset  *result = NULL;
	ListCell   *policies;
	ListCell   *vars;

	if (!rel->rd_rel->relrowsecurity)
		return NULL;

	/* What a hook adds is not known */
	if (row_security_policy_hook_permissive || row_security_policy_hook_restrictive)
		result = bms_add_member(result, 0);
	foreach(policies, rel->rd_rsdesc->policies)
	{
		RowSecurityPolicy *policy = lfirst(policies);

		if (policy->polcmd != '*' && policy->polcmd != ACL_SELECT_CHR)
			continue;
		foreach(vars, pull_vars_of_level((Node *) policy->qual, 0))
		{
			Var		   *var = lfirst(vars);

			result = bms_add_member(result, IsA(var, Var) ? Max(var->varattno, 0) : 0);
		}
	}
	return result;
}

/*
 * Do NOT NULL constraints hold for all rows?  A foreign server's do not bind it, not even in a partition, and a table
 * that inherits may lack them.
 */
static bool
constraints_hold(TaskapiPageSource *source, Relation base)
{
	ListCell   *cell;
	bool		hold = true;

	if (base->rd_rel->relkind == RELKIND_RELATION)
		return !base->rd_rel->relhassubclass || find_inheritance_children(RelationGetRelid(base), NoLock) == NIL;
	if (base->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		return base->rd_rel->relkind != RELKIND_FOREIGN_TABLE;

	foreach(cell, find_all_inheritors(RelationGetRelid(base), NoLock, NULL))
	{
		char		relkind = get_rel_relkind(lfirst_oid(cell));

		if (relkind == RELKIND_FOREIGN_TABLE)
			hold = false;
		else if (relkind == RELKIND_PARTITIONED_TABLE && lfirst_oid(cell) != RelationGetRelid(base))
			source->watched = lappend_oid(source->watched, lfirst_oid(cell));
	}
	return hold;
}

/*
 * What keeps the planner (is_simple_subquery) from flattening a view that is simple to us?  Order and LIMIT stay outside
 * of it then.
 */
static const char *
not_flattened(Relation view, const Query *query)
{
	if (RelationIsSecurityView(view))
		return "security_barrier";
	if (query->sortClause != NIL)
		return "ORDER BY";
	if (query->hasForUpdate || query->rowMarks != NIL)
		return "row locks";
	if (contain_volatile_functions((Node *) query->targetList))
		return "a volatile column";
	return NULL;
}

static void
find_key(TaskapiPageSource *source, Relation base)
{
	char	   *best_name = NULL;
	ListCell   *cell;

	foreach(cell, RelationGetIndexList(base))
	{
		Relation	index = index_open(lfirst_oid(cell), AccessShareLock);
		AttrNumber	keys[INDEX_MAX_KEYS];
		bool		proven;

		if (key_of_index(source, base, index, keys, &proven))
		{
			int			nkeys = index->rd_index->indnkeyatts;
			bool		primary = index->rd_index->indisprimary;
			char	   *name = RelationGetRelationName(index);

			if (primary || best_name == NULL || (proven && !source->key_proven) ||
				(proven == source->key_proven &&
				 (nkeys < source->nkeys || (nkeys == source->nkeys && strcmp(name, best_name) < 0))))
			{
				best_name = pstrdup(name);
				source->nkeys = nkeys;
				source->key_proven = proven;
				source->keys = palloc(sizeof(AttrNumber) * nkeys);
				memcpy(source->keys, keys, sizeof(AttrNumber) * nkeys);
				if (primary)
				{
					index_close(index, AccessShareLock);
					return;
				}
			}
		}
		index_close(index, AccessShareLock);
	}
}

/*
 * Does the index say that no two rows are equal in columns that can be read?
 */
static bool
key_of_index(TaskapiPageSource *source, Relation base, Relation index, AttrNumber *keys, bool *proven)
{
	Form_pg_index form = index->rd_index;
	bool		temporal = index->rd_rel->relam == GIST_AM_OID;
	Oid		   *operators = NULL;
	Oid		   *procs;
	uint16	   *strategies;

	if (!form->indisunique || !form->indimmediate || !form->indisvalid || !form->indisready ||
		(index->rd_rel->relam != BTREE_AM_OID && !temporal) ||
		!heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL) ||
		!heap_attisnull(index->rd_indextuple, Anum_pg_index_indexprs, NULL))
		return false;

	/* WITHOUT OVERLAPS (18): what is equal in all columns overlaps, since no empty range is let in */
	if (temporal)
		RelationGetExclusionInfo(index, &operators, &procs, &strategies);

	*proven = true;
	for (int i = 0; i < form->indnkeyatts; i++)
	{
		AttrNumber	base_attno = form->indkey.values[i];
		const TaskapiPageColumn *column = base_attno > 0 ? taskapi_page_base_column(source, base_attno) : NULL;
		TypeCacheEntry *type;

		if (column == NULL)
			return false;
		type = lookup_type_cache(column->basetype, TYPECACHE_BTREE_OPFAMILY | TYPECACHE_EQ_OPR);
		if (index->rd_indcollation[i] != column->collation ||
			(temporal ? i + 1 < form->indnkeyatts && operators[i] != type->eq_opr : index->rd_opfamily[i] != type->btree_opf))
			return false;
		if (!column->notnull)
		{
			if (source->base_relkind != RELKIND_MATVIEW)
				return false;
			*proven = false;
		}
		keys[i] = column->attno;
	}
	return true;
}
