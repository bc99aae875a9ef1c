/*-------------------------------------------------------------------------
 *
 * page_order.c
 *	  Binding an order_by to a relation, and finding its index (page_order.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/stratnum.h"
#include "catalog/pg_am.h"
#include "catalog/pg_index.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "base/role.h"
#include "cursor/cursor_call.h"
#include "page/page_order.h"
#include "http/problem.h"

static TaskapiOrderBy *add_tie_breaker(const TaskapiPageSource *source, const TaskapiOrderBy *given);
static Oid	key_type(const TaskapiPageTerm *term);
static bool has_binary_form(Oid typid);
static void bind_term(TaskapiPageTerm *term, const TaskapiPageSource *source, const TaskapiOrderTerm *given);
static bool match_index(const TaskapiPageSource *source, const TaskapiPageOrder *order, Relation index,
						const Bitmapset *equal, const Bitmapset *isnull, TaskapiPageIndex *result);
static bool match_columns(const TaskapiPageSource *source, const TaskapiPageOrder *order, Relation index,
						  const Bitmapset *equal, const Bitmapset *isnull, TaskapiPageIndex *result);
static bool is_column(AttrNumber attno, const Node *expression, const TaskapiPageColumn *column);
static bool match_cursor(const TaskapiPageSource *source, const TaskapiPageOrder *order, Relation index,
						 const Bitmapset *equal, const Bitmapset *isnull, TaskapiPageIndex *result);
static bool cursor_of_order(const TaskapiPageOrder *order, Node *expression, TaskapiPageIndex *result);
static void add_constant_null(const TaskapiPageSource *source, Relation index, int column, TaskapiPageIndex *result);
static bool better(const TaskapiPageIndex *a, const TaskapiPageIndex *b);
static bool predicate_holds(const TaskapiPageSource *source, Relation index, const Bitmapset *isnull);

TaskapiPageOrder *
taskapi_page_order(const TaskapiPageSource *source, const char *order_by, int len)
{
	TaskapiPageOrder *order = palloc0(sizeof(TaskapiPageOrder));
	int			left = source->nkeys;

	if (order_by == NULL && source->nkeys == 0)
		taskapi_problem(PROBLEM_INVALID_ORDER_BY, NIL, "Give order_by.", "\"%s\" has no key to order by.", source->name);
	order->order_by = add_tie_breaker(source, order_by ? taskapi_order_by_parse(order_by, len) : NULL);
	order->nterms = order->order_by->nterms;
	order->unique = source->nkeys > 0 && source->key_proven;

	for (int i = 0; i < order->nterms; i++)
	{
		bind_term(&order->terms[i], source, &order->order_by->terms[i]);
		for (int k = 0; k < source->nkeys; k++)
			left -= source->keys[k] == order->terms[i].column->attno;
		if (order->nscan == 0 && left == 0 && order->unique)
			order->nscan = i + 1;
	}
	if (order->nscan == 0)
		order->nscan = order->nterms;
	return order;
}

static TaskapiOrderBy *
add_tie_breaker(const TaskapiPageSource *source, const TaskapiOrderBy *given)
{
	int			ngiven = given ? given->nterms : 0;
	bool		descending = given ? given->terms[ngiven - 1].descending : false;
	TaskapiOrderBy *result = palloc0(offsetof(TaskapiOrderBy, terms) +
									 sizeof(TaskapiOrderTerm) * (ngiven + source->nkeys));

	if (given)
		memcpy(result->terms, given->terms, sizeof(TaskapiOrderTerm) * ngiven);
	result->nterms = ngiven;
	for (int k = 0; k < source->nkeys; k++)
	{
		const char *name = source->columns[source->keys[k] - 1].name;
		bool		there = false;

		for (int i = 0; i < ngiven && !there; i++)
			there = strcmp(given->terms[i].name, name) == 0;
		if (!there)
		{
			TaskapiOrderTerm *term = &result->terms[result->nterms++];

			strlcpy(term->name, name, NAMEDATALEN);
			term->descending = descending;
			term->nulls_first = descending;
		}
	}
	if (result->nterms > TASKAPI_MAX_ORDER_TERMS)
		taskapi_problem(PROBLEM_INVALID_ORDER_BY, NIL, NULL, "With the key of \"%s\" it has more than %d terms.",
						source->name, TASKAPI_MAX_ORDER_TERMS);
	return result;
}

static void
bind_term(TaskapiPageTerm *term, const TaskapiPageSource *source, const TaskapiOrderTerm *given)
{
	static const int strategies[5] = {
		BTEqualStrategyNumber, BTLessStrategyNumber, BTLessEqualStrategyNumber,
		BTGreaterStrategyNumber, BTGreaterEqualStrategyNumber
	};
	const char **sql[5] = {&term->eq, &term->lt, &term->le, &term->gt, &term->ge};
	TypeCacheEntry *type;
	bool		ordered;

	term->column = taskapi_page_column(source, given->name);
	if (term->column == NULL)
		taskapi_problem(PROBLEM_INVALID_ORDER_BY, NIL, NULL, "There is no column \"%s\" that can be read.", given->name);
	term->descending = given->descending;
	term->nulls_first = given->nulls_first;

	/* LT_OPR besides, since only that looks whether an array's elements have an order */
	type = lookup_type_cache(term->column->basetype, TYPECACHE_BTREE_OPFAMILY | TYPECACHE_LT_OPR);
	ordered = OidIsValid(type->lt_opr);
	term->opfamily = type->btree_opf;
	term->argtype = taskapi_page_operand_type(term->column, type->btree_opintype);
	term->operand = taskapi_page_operand(term->column, term->argtype);
	term->leakproof = true;
	for (int i = 0; i < lengthof(strategies) && ordered; i++)
	{
		Oid			opno = get_opfamily_member(type->btree_opf, type->btree_opintype, type->btree_opintype, strategies[i]);

		/* An operator class may lack some */
		ordered = OidIsValid(opno);
		if (ordered)
		{
			*sql[i] = taskapi_operator_sql(opno);
			term->leakproof &= get_func_leakproof(get_opcode(opno));
		}
	}
	if (!ordered)
		taskapi_problem(PROBLEM_INVALID_ORDER_BY, NIL, NULL, "Column \"%s\" is of type %s, which has no order.",
						given->name, format_type_be(term->column->typid));
	term->keytype = key_type(term);
	if (!OidIsValid(term->keytype))
		taskapi_problem(PROBLEM_INVALID_ORDER_BY, NIL, NULL, "Column \"%s\" is of type %s, whose values have no binary form.",
						given->name, format_type_be(term->column->typid));
}

/*
 * The type of the term's key in a token; InvalidOid if there can be none.  Types that only the server uses send what they
 * do not take, as pg_node_tree; such a one is kept as the type that compares it.
 */
static Oid
key_type(const TaskapiPageTerm *term)
{
	if (has_binary_form(term->column->typid))
		return term->column->typid;
	return has_binary_form(term->argtype) ? term->argtype : InvalidOid;
}

/*
 * Can values be sent, and be received again?  That takes functions of the type and of all that it is made of.
 */
static bool
has_binary_form(Oid typid)
{
	Oid			base = getBaseType(typid);
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(base));
	Form_pg_type form;
	bool		result;
	char		typtype;
	Oid			element = get_element_type(base);

	check_stack_depth();
	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_type) GETSTRUCT(tuple);
	typtype = form->typtype;
	result = OidIsValid(form->typsend) && OidIsValid(form->typreceive) && typtype != TYPTYPE_PSEUDO &&
		base != PG_NODE_TREEOID && base != PG_NDISTINCTOID && base != PG_DEPENDENCIESOID && base != PG_MCV_LISTOID &&
		base != OIDVECTOROID && base != INT2VECTOROID;
	ReleaseSysCache(tuple);

	if (result && OidIsValid(element))
		return has_binary_form(element);
	if (result && typtype == TYPTYPE_RANGE)
		return has_binary_form(get_range_subtype(base));
	if (result && typtype == TYPTYPE_MULTIRANGE)
		return has_binary_form(get_multirange_range(base));
	if (result && typtype == TYPTYPE_COMPOSITE)
	{
		TupleDesc	desc = lookup_rowtype_tupdesc(base, -1);

		for (int i = 0; i < desc->natts && result; i++)
		{
			Form_pg_attribute att = TupleDescAttr(desc, i);

			result = att->attisdropped || has_binary_form(att->atttypid);
		}
		ReleaseTupleDesc(desc);
	}
	return result;
}

void
taskapi_page_find_index(const TaskapiPageSource *source, const TaskapiPageOrder *order,
						const Bitmapset *equal, const Bitmapset *isnull, TaskapiPageIndex *result)
{
	Relation	base;
	ListCell   *cell;
	TaskapiPageIndex candidate;
	bool		found = false;

	if (OidIsValid(source->base_relid) && source->opaque == NULL)
	{
		TaskapiRole saved;
		int			nestlevel;

		base = relation_open(source->base_relid, AccessShareLock);

		/*
		 * To look at the predicate or an expression of an index may run functions of its owner, which must not run with
		 * the rights of an administrator who asks for advice, nor leave settings to it.
		 */
		saved = taskapi_become(base->rd_rel->relowner, SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
		nestlevel = NewGUCNestLevel();
		foreach(cell, RelationGetIndexList(base))
		{
			Relation	index = index_open(lfirst_oid(cell), AccessShareLock);

			if (match_index(source, order, index, equal, isnull, &candidate) && (!found || better(&candidate, result)))
			{
				*result = candidate;
				found = true;
			}
			index_close(index, AccessShareLock);
		}
		AtEOXact_GUC(false, nestlevel);
		taskapi_role_restore(saved);
		relation_close(base, NoLock);
	}

	if (!found)
	{
		memset(result, 0, sizeof(TaskapiPageIndex));
		for (int i = 0; i < order->nscan; i++)
			result->items[result->nitems++] = (TaskapiSortItem)
			{
				.column = order->terms[i].column,
				.descending = order->terms[i].descending,
				.nulls_first = order->terms[i].nulls_first
			};
	}
}

/*
 * The index that leaves the fewest rows to look at: one that can bound the scan, then the one with more constant columns, then a
 * partial one, which was made for this, then one on columns, then the narrower one.
 */
static bool
better(const TaskapiPageIndex *a, const TaskapiPageIndex *b)
{
	int			difference = bms_num_members(a->constant) - bms_num_members(b->constant);

	if (a->leaky != b->leaky)
		return b->leaky;
	if (difference != 0)
		return difference > 0;
	if (a->partial != b->partial)
		return a->partial;
	if (OidIsValid(a->cursor_function) != OidIsValid(b->cursor_function))
		return OidIsValid(b->cursor_function);
	return a->nitems < b->nitems;
}

static bool
match_index(const TaskapiPageSource *source, const TaskapiPageOrder *order, Relation index,
			const Bitmapset *equal, const Bitmapset *isnull, TaskapiPageIndex *result)
{
	Form_pg_index form = index->rd_index;

	if (!form->indisvalid || !form->indisready || index->rd_rel->relam != BTREE_AM_OID)
		return false;
	memset(result, 0, sizeof(TaskapiPageIndex));
	result->indexoid = RelationGetRelid(index);
	if (!heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL))
	{
		if (!predicate_holds(source, index, isnull))
			return false;
		result->partial = true;
	}
	return match_columns(source, order, index, equal, isnull, result) ||
		match_cursor(source, order, index, equal, isnull, result);
}

static bool
match_columns(const TaskapiPageSource *source, const TaskapiPageOrder *order, Relation index,
			  const Bitmapset *equal, const Bitmapset *isnull, TaskapiPageIndex *result)
{
	Form_pg_index form = index->rd_index;
	List	   *expressions = RelationGetIndexExpressions(index);	/* a copy at each call */
	int			nexpressions = 0;
	int			next = 0;
	bool		directed = false;
	bool		opposite = false;

	for (int i = 0; i < form->indnkeyatts; i++)
	{
		AttrNumber	attno = form->indkey.values[i];
		bool		descending = (index->rd_indoption[i] & INDOPTION_DESC) != 0;
		bool		nulls_first = (index->rd_indoption[i] & INDOPTION_NULLS_FIRST) != 0;
		Node	   *expression = attno == 0 ? list_nth(expressions, nexpressions++) : NULL;
		const TaskapiPageTerm *term;

		/* A term that is constant need not be in the index */
		while (next < order->nscan && order->terms[next].column->base_attno != attno &&
			   bms_is_member(order->terms[next].column->base_attno, equal))
			next++;
		if (next == order->nscan)
			break;
		term = &order->terms[next];

		if (is_column(attno, expression, term->column))
		{
			bool		constant = bms_is_member(term->column->base_attno, equal);

			if (index->rd_opfamily[i] != term->opfamily || index->rd_indcollation[i] != term->column->collation)
				return false;
			if (!constant && !directed)
				opposite = (descending != term->descending);
			directed |= !constant;
			if (!constant && (opposite != (descending != term->descending) ||
							  (!term->column->notnull && nulls_first != (term->nulls_first != opposite))))
				return false;
			result->items[result->nitems++] = (TaskapiSortItem)
			{
				.column = term->column,
				.descending = descending,
				.nulls_first = nulls_first
			};
			if (constant || bms_is_member(term->column->base_attno, isnull))
				result->constant = bms_add_member(result->constant, term->column->base_attno);
			next++;
		}
		else if (attno > 0 && bms_is_member(attno, equal))
			result->constant = bms_add_member(result->constant, attno);
		else if (attno > 0 && bms_is_member(attno, isnull))
			add_constant_null(source, index, i, result);
		else
			return false;
	}
	while (next < order->nscan && bms_is_member(order->terms[next].column->base_attno, equal))
		next++;
	if (next < order->nscan)
		return false;

	/* So far the index's own directions */
	for (int i = 0; i < result->nitems; i++)
	{
		result->items[i].descending ^= opposite;
		result->items[i].nulls_first ^= opposite;
	}
	for (int i = 0; i < order->nscan; i++)
		result->leaky |= source->base_rls && !order->terms[i].leakproof;
	return true;
}

/*
 * Is the index's column "attno", or its expression, the one that is asked for?  A virtual column is its expression there.
 */
static bool
is_column(AttrNumber attno, const Node *expression, const TaskapiPageColumn *column)
{
	if (expression != NULL)
		return column->generated != NULL && equal(expression, column->generated);
	return attno > 0 && attno == column->base_attno;
}

/*
 * An index on the cursor, perhaps behind constant columns.
 */
static bool
match_cursor(const TaskapiPageSource *source, const TaskapiPageOrder *order, Relation index,
			 const Bitmapset *equal, const Bitmapset *isnull, TaskapiPageIndex *result)
{
	Form_pg_index form = index->rd_index;
	int			column = 0;
	Node	   *expression;
	bool		backward;

	result->nitems = 0;
	result->constant = NULL;
	for (; column < form->indnkeyatts && form->indkey.values[column] > 0; column++)
	{
		AttrNumber	attno = form->indkey.values[column];

		if (bms_is_member(attno, equal))
			result->constant = bms_add_member(result->constant, attno);
		else if (bms_is_member(attno, isnull))
			add_constant_null(source, index, column, result);
		else
			return false;
	}
	if (column == form->indnkeyatts || form->indkey.values[column] != 0)
		return false;
	expression = linitial(RelationGetIndexExpressions(index));
	if (!cursor_of_order(order, expression, result) ||
		index->rd_opfamily[column] != lookup_type_cache(exprType(expression), TYPECACHE_BTREE_OPFAMILY)->btree_opf)
		return false;

	/* A cursor is never NULL, but the planner wants to be told the index's own place for them. */
	backward = result->cursor_descending != ((index->rd_indoption[column] & INDOPTION_DESC) != 0);
	for (int i = 0; i < result->nitems; i++)
	{
		result->items[i].descending ^= backward;
		result->items[i].nulls_first ^= backward;
	}
	result->items[result->nitems++] = (TaskapiSortItem)
	{
		.descending = result->cursor_descending,
		.nulls_first = ((index->rd_indoption[column] & INDOPTION_NULLS_FIRST) != 0) != backward
	};
	return true;
}

/*
 * Is the expression taskapi.cursor('...', a, b, id) over the columns to scan by, in their order or its opposite?
 */
static bool
cursor_of_order(const TaskapiPageOrder *order, Node *expression, TaskapiPageIndex *result)
{
	FuncExpr   *call = taskapi_cursor_call(expression);
	Const	   *text_arg;
	TaskapiOrderBy *order_by;

	if (call == NULL || list_length(call->args) != order->nscan + 1)
		return false;
	order_by = taskapi_cursor_call_order(call);
	if (order_by == NULL || order_by->nterms != order->nscan)
		return false;
	text_arg = linitial(call->args);
	result->cursor_function = call->funcid;
	result->cursor_order = TextDatumGetCString(text_arg->constvalue);

	result->cursor_descending = order_by->terms[0].descending != order->terms[0].descending;
	for (int i = 0; i < order->nscan; i++)
	{
		const TaskapiPageTerm *term = &order->terms[i];
		Var		   *var = list_nth(call->args, i + 1);

		if (!IsA(var, Var) || var->varattno <= 0 || var->varattno != term->column->base_attno ||
			order_by->terms[i].descending != (term->descending != result->cursor_descending) ||
			(!term->column->notnull && order_by->terms[i].nulls_first != (term->nulls_first != result->cursor_descending)))
			return false;
	}
	return true;
}

/*
 * The planner does not know that IS NULL makes a column constant, so order by it as well.
 */
static void
add_constant_null(const TaskapiPageSource *source, Relation index, int column, TaskapiPageIndex *result)
{
	AttrNumber	attno = index->rd_index->indkey.values[column];

	result->constant = bms_add_member(result->constant, attno);
	result->items[result->nitems++] = (TaskapiSortItem)
	{
		.column = taskapi_page_base_column(source, attno),
		.descending = (index->rd_indoption[column] & INDOPTION_DESC) != 0,
		.nulls_first = (index->rd_indoption[column] & INDOPTION_NULLS_FIRST) != 0
	};
}

/*
 * Does a partial index have all rows that the view, and conditions IS NULL, leave?
 */
static bool
predicate_holds(const TaskapiPageSource *source, Relation index, const Bitmapset *isnull)
{
	List	   *clauses = list_copy(source->base_quals);
	int			attno = -1;

	while ((attno = bms_next_member(isnull, attno)) >= 0)
	{
		const TaskapiPageColumn *column = taskapi_page_base_column(source, attno);
		NullTest   *test = makeNode(NullTest);

		test->arg = (Expr *) makeVar(1, attno, column->typid, column->typmod, column->collation, 0);
		test->nulltesttype = IS_NULL;
		test->location = -1;
		clauses = lappend(clauses, test);
	}
	return predicate_implied_by(RelationGetIndexPredicate(index), clauses, false);
}
