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
 *   and inheritance), all directions are alike.
 * - The right side must not change within a scan: no volatile function, no column of any query, no subquery.
 * - The right side must be a cursor of these keys, without a NULL, whose values fit the columns; cursor_key() is NULL else.  Of a
 *   constant that is known: one that is not is left to the operator.  For anything else a cursor_check() must stand among the
 *   conditions of WHERE, which are evaluated before any row is read (a One-Time Filter).  The planner hook puts it there
 *   (cursor_check.c).  What that hook cannot see (the first statement of a session that loads this library while it is planned,
 *   the body of an SQL function that is inlined in FROM) gets the check from here, if the comparison is such a condition
 *   itself, and not in a sub-select among expressions, which may run by a row that is hidden.
 * - The comparison is built as the parser would: default btree operators of each key's type, the key's collation.
 * - Partition pruning does not see a row comparison, so for a partitioned table the leading key is compared by itself as well.
 * - Under row-level security an operator that is not leakproof cannot be an index condition.  If only the leading key's is,
 *   that one is compared by itself as well; if not even that, the cursor's own operator, which is leakproof, stays.  In the
 *   subquery of a security barrier, where only a leakproof qual is let in, it stays as soon as one key's is not.
 * - An expression index on the cursor itself beats the rewrite if the query orders by it, or if no ordinary
 *   index holds the keys.
 * - In any doubt it declines.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "nodes/supportnodes.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "cursor/cursor_check.h"
#include "cursor/cursor_plan.h"

/* One key of a comparison, as it is rewritten */
typedef struct KeyComparison
{
	Expr	   *left;
	Expr	   *right;
	Oid			opfamily;
	Oid			opcintype;
	Oid			opno;
	Oid			collation;
	bool		leakproof;
} KeyComparison;

static Node *rewrite(PlannerInfo *root, FuncExpr *call);
static bool find_sides(TaskapiCursorComparison *comparison);
static bool is_uniform(const TaskapiOrderBy *order_by);
static bool compares_with_constant(TaskapiCursorComparison *comparison);
static bool compare_keys(TaskapiCursorComparison *comparison, int strategy, KeyComparison *keys);
static bool compare_key(TaskapiCursorComparison *comparison, int term, int strategy, KeyComparison *cmp);
static bool may_rewrite(TaskapiCursorComparison *comparison, const KeyComparison *keys, bool all_leakproof);
static List *build_clauses(TaskapiCursorComparison *comparison, int strategy, KeyComparison *keys, bool all_leakproof);
static Expr *row_comparison(const KeyComparison *keys, int nkeys, int strategy);
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
	TaskapiCursorComparison comparison = {.root = root, .call = call};
	KeyComparison keys[TASKAPI_MAX_ORDER_TERMS];
	int			strategy;
	bool		all_leakproof = true;
	bool		checked = true;
	List	   *clauses;

	if (!find_sides(&comparison))
		return NULL;
	if (IsA(comparison.other, Const) && !compares_with_constant(&comparison))
		return NULL;
	if (!is_uniform(comparison.order_by) || !taskapi_cursor_keys_never_null(&comparison))
		return NULL;

	strategy = comparison.strategy;
	if (comparison.order_by->terms[0].descending)
		strategy = BTMaxStrategyNumber + 1 - strategy;
	if (!compare_keys(&comparison, strategy, keys))
		return NULL;
	for (int i = 0; i < comparison.order_by->nterms; i++)
		all_leakproof &= keys[i].leakproof;
	if (!may_rewrite(&comparison, keys, all_leakproof))
		return NULL;
	if (!IsA(comparison.other, Const))
	{
		checked = taskapi_cursor_is_checked(&comparison);
		if (!checked && !(taskapi_cursor_is_condition(&comparison) && taskapi_cursor_is_in_from(root)))
			return NULL;
	}

	clauses = build_clauses(&comparison, strategy, keys, all_leakproof);
	if (!checked)
		clauses = lcons(taskapi_cursor_make_check(taskapi_cursor_objects(), comparison.constructor, comparison.other,
												  false, true), clauses);
	return list_length(clauses) == 1 ? linitial(clauses) : (Node *) make_andclause(clauses);
}

/*
 * Which side is cursor('...', column, ...), and is the other one the same for every row?
 */
static bool
find_sides(TaskapiCursorComparison *comparison)
{
	const TaskapiCursorObjects *objects = taskapi_cursor_objects();
	List	   *args = comparison->call->args;

	if (objects == NULL || list_length(args) != 2)
		return false;
	comparison->strategy = taskapi_cursor_strategy_of_function(objects, comparison->call->funcid);
	if (comparison->strategy < BTLessStrategyNumber || comparison->strategy > BTMaxStrategyNumber)
		return false;
	for (int i = 0; i < 2; i++)
	{
		Node	   *node = list_nth(args, i);

		comparison->constructor = taskapi_cursor_call(node);
		if (comparison->constructor && contain_vars_of_level(node, 0) && taskapi_cursor_is_fixed(list_nth(args, 1 - i)))
		{
			comparison->other = list_nth(args, 1 - i);
			if (i == 1)
				comparison->strategy = BTMaxStrategyNumber + 1 - comparison->strategy;
			comparison->order_by = taskapi_cursor_call_order(comparison->constructor);
			return comparison->order_by != NULL &&
				comparison->order_by->nterms == list_length(comparison->constructor->args) - 1;
		}
	}
	return false;
}

static bool
is_uniform(const TaskapiOrderBy *order_by)
{
	for (int i = 1; i < order_by->nterms; i++)
	{
		if (order_by->terms[i].descending != order_by->terms[0].descending)
			return false;
	}
	return true;
}

/*
 * Is a constant cursor one of these keys?  If not, the operator answers, by the order between classes.  It is refused if
 * the planner hook has not seen the query, which refuses a constant of the query itself.
 */
static bool
compares_with_constant(TaskapiCursorComparison *comparison)
{
	Const	   *constant = (Const *) comparison->other;
	TaskapiCursorView view;
	TaskapiCursorShape *shape;
	TaskapiCursorMatch match;
	char	   *error;

	if (constant->constisnull ||
		!taskapi_cursor_try_view((struct varlena *) PG_DETOAST_DATUM_PACKED(constant->constvalue), &view))
		return false;
	shape = taskapi_cursor_call_shape(comparison->constructor, CurrentMemoryContext, &error);
	if (shape == NULL)
		return false;
	match = taskapi_cursor_shape_compares(shape, &view);
	if (match != CURSOR_MATCHES && taskapi_planning_depth() == 0)
		taskapi_cursor_mismatch(match);
	return match == CURSOR_MATCHES;
}

static bool
compare_keys(TaskapiCursorComparison *comparison, int strategy, KeyComparison *keys)
{
	for (int i = 0; i < comparison->order_by->nterms; i++)
	{
		if (!compare_key(comparison, i, strategy, &keys[i]))
			return false;
	}
	return true;
}

/*
 * One key's operator and sides; false if its type has none that fits, or if a constant holds no value of the type there.
 *
 * The key is asked for as its own type, which an operator class may take for another one (cidr for inet, regclass for oid,
 * varchar for text).
 */
static bool
compare_key(TaskapiCursorComparison *comparison, int term, int strategy, KeyComparison *cmp)
{
	Expr	   *key = list_nth(comparison->constructor->args, term + 1);
	Oid			keytype = exprType((Node *) key);
	Oid			type = taskapi_cursor_key_base_type(keytype);
	TypeCacheEntry *entry = lookup_type_cache(keytype, TYPECACHE_BTREE_OPFAMILY);

	if (!OidIsValid(entry->btree_opf))
		return false;
	cmp->opfamily = entry->btree_opf;
	cmp->opcintype = entry->btree_opintype;
	cmp->collation = exprCollation((Node *) key);
	cmp->opno = get_opfamily_member(cmp->opfamily, cmp->opcintype, cmp->opcintype, strategy);
	if (!OidIsValid(cmp->opno))
		return false;
	cmp->leakproof = get_func_leakproof(get_opcode(cmp->opno));

	cmp->right = (Expr *)
		makeFuncExpr(taskapi_cursor_objects()->key, type,
					 list_make4(copyObject(comparison->other),
								copyObject(linitial(comparison->constructor->args)),
								makeConst(INT4OID, -1, InvalidOid, sizeof(int32), Int32GetDatum(term + 1), false, true),
								makeNullConst(type, -1, get_typcollation(type))),
					 cmp->collation, InvalidOid, COERCE_EXPLICIT_CALL);
	if (IsA(comparison->other, Const))
	{
		cmp->right = (Expr *) eval_const_expressions(comparison->root, (Node *) cmp->right);
		if (!IsA(cmp->right, Const) || ((Const *) cmp->right)->constisnull)
			return false;
	}
	cmp->left = key;
	if (IsPolymorphicType(cmp->opcintype))
	{
		if (keytype != type)
			cmp->left = (Expr *) makeRelabelType(key, type, -1, cmp->collation, COERCE_IMPLICIT_CAST);
		return true;
	}
	if (!IsBinaryCoercible(type, cmp->opcintype) || !IsBinaryCoercible(keytype, cmp->opcintype))
		return false;
	if (keytype != cmp->opcintype)
		cmp->left = (Expr *) makeRelabelType(key, cmp->opcintype, -1, cmp->collation, COERCE_IMPLICIT_CAST);
	if (type != cmp->opcintype)
		cmp->right = (Expr *) makeRelabelType(cmp->right, cmp->opcintype, -1, cmp->collation, COERCE_IMPLICIT_CAST);
	return true;
}

static bool
may_rewrite(TaskapiCursorComparison *comparison, const KeyComparison *keys, bool all_leakproof)
{
	bool		secure = comparison->root->qual_security_level > 0;

	if (!all_leakproof &&
		(taskapi_cursor_behind_barrier(comparison->root) || (secure && !keys[0].leakproof)))
		return false;
	return !taskapi_cursor_prefers_index(comparison, secure && !all_leakproof);
}

static List *
build_clauses(TaskapiCursorComparison *comparison, int strategy, KeyComparison *keys, bool all_leakproof)
{
	bool		secure = comparison->root->qual_security_level > 0;
	int			nkeys = comparison->order_by->nterms;
	int			inclusive = strategy < BTEqualStrategyNumber ? BTLessEqualStrategyNumber : BTGreaterEqualStrategyNumber;
	List	   *clauses = NIL;
	Oid			opno;

	if (strategy == BTEqualStrategyNumber || nkeys == 1)
	{
		for (int i = 0; i < nkeys; i++)
			clauses = lappend(clauses, comparison_clause(&keys[i], keys[i].opno));
		return clauses;
	}
	if (comparison->partitioned || (secure && !all_leakproof))
	{
		opno = get_opfamily_member(keys[0].opfamily, keys[0].opcintype, keys[0].opcintype, inclusive);
		if (OidIsValid(opno))
			clauses = lappend(clauses, comparison_clause(&keys[0], opno));
	}
	return lappend(clauses, row_comparison(keys, nkeys, strategy));
}

static Expr *
row_comparison(const KeyComparison *keys, int nkeys, int strategy)
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
	return (Expr *) row;
}

static Expr *
comparison_clause(const KeyComparison *cmp, Oid opno)
{
	OpExpr	   *clause = (OpExpr *) make_opclause(opno, BOOLOID, false, copyObject(cmp->left), copyObject(cmp->right),
												  InvalidOid, cmp->collation);

	set_opfuncid(clause);
	return (Expr *) clause;
}
