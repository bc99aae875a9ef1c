/*-------------------------------------------------------------------------
 *
 * cursor_support.c
 *	  Planner support of the comparison operators of taskapi.cursor.
 *
 *		taskapi.cursor('created_at DESC, id DESC', created_at, id) > $1
 *
 * becomes, at plan time,
 *
 *		ROW(created_at, id) < ROW(cursor_key($1, ...), cursor_key($1, ...))
 *
 * which an ordinary btree index on (created_at, id) bounds.  Rules:
 *
 * - Only where both say the same for every row: all keys are columns that are NOT NULL (and stay so under joins, grouping
 *   and inheritance), all directions are alike.  A NULL in the cursor has no row comparison to be: a constant one is left to
 *   the operator, and cursor_key() refuses it at run time.
 * - The right side must not change within a scan: no volatile function, no column of this query, no subquery.
 * - cursor_key() checks the order_by, so a cursor of another query is cursor_mismatch here as in the operator.
 *   A constant one is found while planning.
 * - The comparison is built as the parser would: default btree operators of each key's type, the key's collation.
 * - Partition pruning does not see a row comparison, so for a partitioned table the leading key is compared by itself as well.
 * - Under row-level security an operator that is not leakproof cannot be an index condition.  Where only the leading key's is,
 *   that one is compared by itself as well; where not even that, the cursor's own operator, which is leakproof, stays.  In the
 *   subquery of a security barrier, where only a leakproof qual is let in, it stays as soon as one key's is not.
 * - An expression index on the cursor itself beats the rewrite where the query orders by it, or where no ordinary
 *   index holds the keys.
 * - In any doubt it declines.
 *
 * Our own functions are found by the schema of the call, never through search_path.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/index.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "nodes/supportnodes.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "cursor/cursor_shape.h"
#include "cursor/order_by.h"

/* A comparison that may be rewritten */
typedef struct Keyset
{
	PlannerInfo *root;
	Oid			schema;
	FuncExpr   *constructor;	/* cursor('...', column, ...) */
	Expr	   *other;			/* what it is compared with */
	int			strategy;		/* of constructor OP other, in page order */
	Const	   *order_text;
	TaskapiOrderBy *order_by;
	int			varno;			/* the relation of all keys */
	bool		partitioned;
} Keyset;

/* A key's half of the comparison */
typedef struct KeyComparison
{
	Expr	   *left;
	Expr	   *right;
	Oid			opfamily;
	Oid			opcintype;
	Oid			opno;
	Oid			collation;
} KeyComparison;

static Node *rewrite(PlannerInfo *root, FuncExpr *call);
static int	strategy_of(Oid funcid);
static FuncExpr *as_constructor(Node *node, Oid schema);
static bool is_fixed(PlannerInfo *root, Node *node);
static void check_constant(Keyset *keyset);
static bool holds_null(Const *cursor, int nterms);
static bool keys_never_null(Keyset *keyset);
static Var *key_column(Node *key);
static bool behind_barrier(PlannerInfo *root);
static bool on_nullable_side(Node *jtnode, int rtindex, bool nullable);
static bool prefers_cursor_index(Keyset *keyset, bool leakproof_lost);
static bool orders_by_cursor(Keyset *keyset);
static bool index_holds_keys(Relation index, Keyset *keyset);
static bool compare_key(Keyset *keyset, Oid key_function, int term, int strategy, KeyComparison *cmp);
static Expr *comparison_clause(const KeyComparison *cmp, Oid opno);

PG_FUNCTION_INFO_V1(taskapi_cursor_support);
Datum
taskapi_cursor_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);
	Node	   *result = NULL;

	if (IsA(request, SupportRequestSimplify))
	{
		SupportRequestSimplify *simplify = (SupportRequestSimplify *) request;

		if (simplify->root != NULL)
			result = rewrite(simplify->root, simplify->fcall);
	}
	PG_RETURN_POINTER(result);
}

static Node *
rewrite(PlannerInfo *root, FuncExpr *call)
{
	Keyset		keyset = {.root = root};
	KeyComparison keys[TASKAPI_MAX_ORDER_TERMS];
	Oid			key_function;
	oidvector  *key_args;
	Oid			key_argtypes[4];
	char	   *error;
	int			nkeys;
	int			strategy;
	bool		all_leakproof = true;
	bool		secure = root->qual_security_level > 0;
	Node	   *left;
	Node	   *right;
	List	   *clauses = NIL;

	if (list_length(call->args) != 2)
		return NULL;
	keyset.strategy = strategy_of(call->funcid);
	keyset.schema = get_func_namespace(call->funcid);
	left = linitial(call->args);
	right = lsecond(call->args);
	if ((keyset.constructor = as_constructor(left, keyset.schema)) != NULL && is_fixed(root, right))
		keyset.other = (Expr *) right;
	else if ((keyset.constructor = as_constructor(right, keyset.schema)) != NULL && is_fixed(root, left))
	{
		keyset.other = (Expr *) left;
		keyset.strategy = BTMaxStrategyNumber + 1 - keyset.strategy;
	}
	else
		return NULL;

	keyset.order_text = linitial(keyset.constructor->args);
	keyset.order_by = taskapi_order_by_try(VARDATA_ANY(DatumGetTextPP(keyset.order_text->constvalue)),
										   VARSIZE_ANY_EXHDR(DatumGetTextPP(keyset.order_text->constvalue)),
										   &error);
	nkeys = list_length(keyset.constructor->args) - 1;
	if (keyset.order_by == NULL || keyset.order_by->nterms != nkeys)
		return NULL;			/* the constructor says so, in its own words */
	check_constant(&keyset);

	for (int i = 1; i < nkeys; i++)
	{
		if (keyset.order_by->terms[i].descending != keyset.order_by->terms[0].descending)
			return NULL;
	}
	if (!keys_never_null(&keyset))
		return NULL;
	if (IsA(keyset.other, Const) && holds_null((Const *) keyset.other, nkeys))
		return NULL;

	key_argtypes[0] = exprType((Node *) keyset.constructor);
	key_argtypes[1] = TEXTOID;
	key_argtypes[2] = INT4OID;
	key_argtypes[3] = ANYELEMENTOID;
	key_args = buildoidvector(key_argtypes, 4);
	key_function = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum("cursor_key"),
								   PointerGetDatum(key_args), ObjectIdGetDatum(keyset.schema));
	if (!OidIsValid(key_function))
		return NULL;

	strategy = keyset.strategy;
	if (keyset.order_by->terms[0].descending)
		strategy = BTMaxStrategyNumber + 1 - strategy;
	for (int i = 0; i < nkeys; i++)
	{
		if (!compare_key(&keyset, key_function, i, strategy, &keys[i]))
			return NULL;
		all_leakproof &= get_func_leakproof(get_opcode(keys[i].opno));
	}
	if (!all_leakproof &&
		(behind_barrier(root) || (secure && !get_func_leakproof(get_opcode(keys[0].opno)))))
		return NULL;
	if (prefers_cursor_index(&keyset, secure && !all_leakproof))
		return NULL;

	if (strategy == BTEqualStrategyNumber)
	{
		for (int i = 0; i < nkeys; i++)
			clauses = lappend(clauses, comparison_clause(&keys[i], keys[i].opno));
	}
	else if (nkeys == 1)
		return (Node *) comparison_clause(&keys[0], keys[0].opno);
	else
	{
		RowCompareExpr *row = makeNode(RowCompareExpr);

		taskapi_set_row_compare_strategy(row, strategy);
		for (int i = 0; i < nkeys; i++)
		{
			row->opnos = lappend_oid(row->opnos, keys[i].opno);
			row->opfamilies = lappend_oid(row->opfamilies, keys[i].opfamily);
			row->inputcollids = lappend_oid(row->inputcollids, keys[i].collation);
			row->largs = lappend(row->largs, keys[i].left);
			row->rargs = lappend(row->rargs, keys[i].right);
		}
		if (keyset.partitioned || (secure && !all_leakproof))
		{
			int			inclusive = strategy < BTEqualStrategyNumber ?
				BTLessEqualStrategyNumber : BTGreaterEqualStrategyNumber;
			Oid			opno = get_opfamily_member(keys[0].opfamily, keys[0].opcintype,
												   keys[0].opcintype, inclusive);

			if (OidIsValid(opno))
				clauses = lappend(clauses, comparison_clause(&keys[0], opno));
		}
		clauses = lappend(clauses, row);
	}
	return list_length(clauses) == 1 ? linitial(clauses) : (Node *) make_andclause(clauses);
}

static int
strategy_of(Oid funcid)
{
	static const char *const names[] = {
		[BTLessStrategyNumber] = "cursor_lt",
		[BTLessEqualStrategyNumber] = "cursor_le",
		[BTEqualStrategyNumber] = "cursor_eq",
		[BTGreaterEqualStrategyNumber] = "cursor_ge",
		[BTGreaterStrategyNumber] = "cursor_gt",
	};
	const char *name = get_func_name(funcid);

	for (int i = BTLessStrategyNumber; name && i <= BTGreaterStrategyNumber; i++)
	{
		if (strcmp(name, names[i]) == 0)
			return i;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INTERNAL_ERROR),
			 errmsg("function %u is no comparison of cursors", funcid)));
}

/*
 * cursor('...', key, ...) with a constant order_by and at least one column of this query; else NULL.
 */
static FuncExpr *
as_constructor(Node *node, Oid schema)
{
	FuncExpr   *call = (FuncExpr *) node;
	Const	   *order_text;
	char	   *name;

	if (!IsA(node, FuncExpr) || call->funcvariadic || list_length(call->args) < 2 ||
		get_func_namespace(call->funcid) != schema)
		return NULL;
	name = get_func_name(call->funcid);
	if (name == NULL || strcmp(name, "cursor") != 0)
		return NULL;
	order_text = linitial(call->args);
	if (!IsA(order_text, Const) || order_text->constisnull || order_text->consttype != TEXTOID ||
		!contain_vars_of_level(node, 0))
		return NULL;
	return call;
}

static bool
is_fixed(PlannerInfo *root, Node *node)
{
	return !contain_vars_of_level(node, 0) &&
		!contain_volatile_functions(node) &&
		!contain_subplans(node);
}

/*
 * A constant cursor of another order_by is wrong for every row: say so now, whether there are rows or not.
 */
static void
check_constant(Keyset *keyset)
{
	Const	   *constant = (Const *) keyset->other;
	TaskapiBytes order;
	TaskapiCursorView view;

	if (!IsA(constant, Const) || constant->constisnull)
		return;
	taskapi_cursor_view(PG_DETOAST_DATUM_PACKED(constant->constvalue), &view);
	taskapi_cursor_order_descriptor(keyset->order_by, &order);
	if (!taskapi_cursor_order_matches(order.data, order.len, view.descriptor, view.descriptor_len))
		taskapi_cursor_mismatch(CURSOR_OTHER_ORDER);
	pfree(order.data);
}

static bool
holds_null(Const *cursor, int nterms)
{
	TaskapiCursorShapeCache cache = {.parent = CurrentMemoryContext};
	TaskapiCursorView view;
	TaskapiCursorShape *shape;
	const uint8 *pos;
	bool		found = false;

	taskapi_cursor_view(PG_DETOAST_DATUM_PACKED(cursor->constvalue), &view);
	shape = taskapi_cursor_shape_of_cursor(&cache, &view);
	pos = view.keys;
	for (int i = 0; i < nterms && !found; i++)
	{
		found = taskapi_cursor_key_is_null(&shape->keys[i], pos);
		pos = taskapi_cursor_key_skip(&shape->keys[i], pos, view.keys_end);
	}
	taskapi_cursor_shape_cache_free(&cache);
	return found;
}

/*
 * Are all keys columns, of one table of this query, and never NULL where the comparison is evaluated?
 */
static bool
keys_never_null(Keyset *keyset)
{
	Query	   *parse = keyset->root->parse;
	RangeTblEntry *rte = NULL;
	Relation	rel;
	bool		never = true;
	ListCell   *lc;

	/* a column that a grouping set leaves out is NULL above it */
	if (parse->groupingSets != NIL)
		return false;

	for_each_from(lc, keyset->constructor->args, 1)
	{
		Var		   *var = key_column(lfirst(lc));

		if (var == NULL || var->varlevelsup != 0 || var->varattno <= 0 || !taskapi_var_is_plain(var) ||
			IS_SPECIAL_VARNO(var->varno))
			return false;
		if (keyset->varno != 0 && keyset->varno != var->varno)
			return false;
		keyset->varno = var->varno;
	}

	if (keyset->varno < 1 || keyset->varno > list_length(parse->rtable))
		return false;
	rte = rt_fetch(keyset->varno, parse->rtable);
	if (rte->rtekind != RTE_RELATION ||
		(rte->relkind != RELKIND_RELATION && rte->relkind != RELKIND_PARTITIONED_TABLE))
		return false;
	keyset->partitioned = (rte->relkind == RELKIND_PARTITIONED_TABLE);

	/* the quals of a table's children are simplified again: what was decided for the table stands */
	if (keyset->root->append_rel_array && keyset->varno < keyset->root->simple_rel_array_size)
	{
		AppendRelInfo *child = keyset->root->append_rel_array[keyset->varno];

		if (child && rt_fetch(child->parent_relid, parse->rtable)->rtekind == RTE_RELATION)
			return false;
	}

	/* a child that is no partition may be without its parent's NOT NULL */
	if (rte->relkind == RELKIND_RELATION && rte->inh && has_subclass(rte->relid))
		return false;
	if (on_nullable_side((Node *) parse->jointree, keyset->varno, false))
		return false;

	rel = table_open(rte->relid, NoLock);
	for_each_from(lc, keyset->constructor->args, 1)
		never &= taskapi_att_is_not_null(RelationGetDescr(rel), key_column(lfirst(lc))->varattno);
	table_close(rel, NoLock);
	return never;
}

/*
 * The column behind a key, perhaps under another name of its type; NULL for any other expression.
 */
static Var *
key_column(Node *key)
{
	while (IsA(key, RelabelType))
		key = (Node *) ((RelabelType *) key)->arg;
	return IsA(key, Var) ? (Var *) key : NULL;
}

/*
 * May this be the subquery of a security barrier view, into which the comparison was pushed?
 */
static bool
behind_barrier(PlannerInfo *root)
{
	for (root = root->parent_root; root != NULL; root = root->parent_root)
	{
		ListCell   *lc;

		foreach(lc, root->parse->rtable)
		{
			RangeTblEntry *rte = lfirst(lc);

			if (rte->rtekind == RTE_SUBQUERY && rte->security_barrier)
				return true;
		}
	}
	return false;
}

static bool
on_nullable_side(Node *jtnode, int rtindex, bool nullable)
{
	if (jtnode == NULL)
		return false;
	if (IsA(jtnode, RangeTblRef))
		return nullable && ((RangeTblRef *) jtnode)->rtindex == rtindex;
	if (IsA(jtnode, FromExpr))
	{
		ListCell   *lc;

		foreach(lc, ((FromExpr *) jtnode)->fromlist)
		{
			if (on_nullable_side(lfirst(lc), rtindex, nullable))
				return true;
		}
		return false;
	}
	if (IsA(jtnode, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) jtnode;
		bool		left = nullable || join->jointype == JOIN_RIGHT || join->jointype == JOIN_FULL;
		bool		right = nullable || join->jointype == JOIN_LEFT || join->jointype == JOIN_FULL ||
			join->jointype == JOIN_ANTI;

		return on_nullable_side(join->larg, rtindex, left) || on_nullable_side(join->rarg, rtindex, right);
	}
	return true;
}

/*
 * Would an expression index on the cursor serve better than the rewrite?
 */
static bool
prefers_cursor_index(Keyset *keyset, bool leakproof_lost)
{
	RangeTblEntry *rte = rt_fetch(keyset->varno, keyset->root->parse->rtable);
	Relation	rel = table_open(rte->relid, NoLock);
	List	   *indexes = RelationGetIndexList(rel);
	bool		cursor_index = false;
	bool		key_index = false;
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (index->rd_rel->relam == BTREE_AM_OID && index->rd_index->indisvalid)
		{
			List	   *expressions = RelationGetIndexExpressions(index);
			ListCell   *le;

			foreach(le, expressions)
			{
				Node	   *expression = lfirst(le);

				if (keyset->varno != 1)
					ChangeVarNodes(expression, 1, keyset->varno, 0);
				cursor_index |= equal(expression, keyset->constructor);
			}
			key_index |= index_holds_keys(index, keyset);
		}
		index_close(index, AccessShareLock);
	}
	list_free(indexes);
	table_close(rel, NoLock);
	return cursor_index && (leakproof_lost || !key_index || orders_by_cursor(keyset));
}

static bool
orders_by_cursor(Keyset *keyset)
{
	Query	   *parse = keyset->root->parse;
	SortGroupClause *sort;

	if (parse->sortClause == NIL)
		return false;
	sort = linitial(parse->sortClause);
	return equal(get_sortgroupclause_expr(sort, parse->targetList), keyset->constructor);
}

/*
 * Does the index have all keys as columns, one after the other?
 */
static bool
index_holds_keys(Relation index, Keyset *keyset)
{
	List	   *args = keyset->constructor->args;
	int			nkeys = list_length(args) - 1;
	Form_pg_index form = index->rd_index;

	for (int start = 0; start + nkeys <= form->indnkeyatts; start++)
	{
		int			i;

		for (i = 0; i < nkeys; i++)
		{
			Var		   *column = key_column(list_nth(args, i + 1));

			if (column == NULL || form->indkey.values[start + i] != column->varattno)
				break;
		}
		if (i == nkeys)
			return true;
	}
	return false;
}

/*
 * One key's operator and sides; false where its type has none that fits.
 */
static bool
compare_key(Keyset *keyset, Oid key_function, int term, int strategy, KeyComparison *cmp)
{
	Expr	   *key = list_nth(keyset->constructor->args, term + 1);
	Oid			keytype = exprType((Node *) key);
	Oid			type;
	TypeCacheEntry *entry = lookup_type_cache(keytype, TYPECACHE_BTREE_OPFAMILY);

	if (!OidIsValid(entry->btree_opf))
		return false;
	cmp->opfamily = entry->btree_opf;
	cmp->opcintype = entry->btree_opintype;
	cmp->collation = exprCollation((Node *) key);
	cmp->opno = get_opfamily_member(cmp->opfamily, cmp->opcintype, cmp->opcintype, strategy);
	if (!OidIsValid(cmp->opno))
		return false;

	type = IsPolymorphicType(cmp->opcintype) ? getBaseType(keytype) : cmp->opcintype;
	if (type != keytype)
	{
		if (!IsBinaryCoercible(keytype, type))
			return false;
		key = (Expr *) makeRelabelType(key, type, -1, cmp->collation, COERCE_IMPLICIT_CAST);
	}
	cmp->left = key;
	cmp->right = (Expr *)
		makeFuncExpr(key_function, type,
					 list_make4(copyObject(keyset->other),
								copyObject(keyset->order_text),
								makeConst(INT4OID, -1, InvalidOid, sizeof(int32), Int32GetDatum(term + 1), false, true),
								makeNullConst(type, -1, get_typcollation(type))),
					 cmp->collation, InvalidOid, COERCE_EXPLICIT_CALL);
	if (IsA(keyset->other, Const))
		cmp->right = (Expr *) eval_const_expressions(keyset->root, (Node *) cmp->right);
	return true;
}

static Expr *
comparison_clause(const KeyComparison *cmp, Oid opno)
{
	OpExpr	   *clause = (OpExpr *) make_opclause(opno, BOOLOID, false, copyObject(cmp->left), copyObject(cmp->right),
												  InvalidOid, cmp->collation);

	set_opfuncid(clause);
	return (Expr *) clause;
}
