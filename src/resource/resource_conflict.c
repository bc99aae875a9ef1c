/*-------------------------------------------------------------------------
 *
 * resource_conflict.c
 *	  ON CONFLICT of a client's INSERT into a resource (resource_conflict.h).
 *
 * The text is a length, the clause of that many bytes, and the values of its
 * arguments.  Clause and values are nodes in the server's own form.  They are read
 * back only from a mark that this backend has made; even so it may have been made
 * for another view, or before the view changed, so all that depends on the view is
 * compared with it when an expression is used.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "http/problem.h"
#include "resource/resource_conflict.h"

/* More clauses on one view than this, and it starts again from none. */
#define MAX_CONFLICTS 64

/* The members of a clause, a List. */
typedef enum ClauseMember
{
	CLAUSE_NUMBERS,				/* list of int: see ClauseNumber */
	CLAUSE_MERGED,				/* list of int: column indexes */
	CLAUSE_ARBITER,				/* list of InferenceElem */
	CLAUSE_ARBITER_WHERE,
	CLAUSE_SET,					/* list of TargetEntry: the other assignments */
	CLAUSE_WHERE,
	CLAUSE_MEMBERS
} ClauseMember;

typedef enum ClauseNumber
{
	CLAUSE_VIEW,
	CLAUSE_UPDATE,
	CLAUSE_TARGET,
	CLAUSE_EXCLUDED,
	CLAUSE_ARGUMENTS,
	CLAUSE_NUMBER_COUNT
} ClauseNumber;

/* For turning an expression about the view into one about the table. */
typedef struct TableExpression
{
	const TaskapiConflict *conflict;
	const TaskapiView *view;
	ParseState *pstate;
	int			nargs;
} TableExpression;

static Node *number_arguments(Node *node, void *context);
static const char *clause_of(const char *text, int *len);
static TaskapiConflict *build_conflict(TaskapiView *view, const char *clause, int len);
static void read_assignments(TaskapiConflict *conflict, const TaskapiView *view, List *merged, List *set);
static TaskapiConflict *creating(const TaskapiConflict *conflict, const TaskapiView *view);
static bool is_primary_key(const TaskapiView *view, const TaskapiConflict *conflict, List *arbiter);
static const TaskapiViewColumn *column_of(const TaskapiConflict *conflict, const TaskapiView *view, const Var *var);
static Node *of_table(Node *node, void *context);
pg_noreturn static void refuse(const char *detail);

static void
refuse(const char *detail)
{
	taskapi_problem_sqlstate(PROBLEM_INVALID_ON_CONFLICT, ERRCODE_FEATURE_NOT_SUPPORTED, NIL, NULL, "%s", detail);
}

/* ---------- in the client's query ---------- */

/*
 * The client's parameters are numbered anew, from 1, and "context" lists them.
 */
static Node *
number_arguments(Node *node, void *context)
{
	List	  **arguments = context;

	if (node == NULL)
		return NULL;
	if (IsA(node, Param))
	{
		Param	   *param = copyObject((Param *) node);
		int			number = 1;
		ListCell   *lc;

		if (param->paramkind != PARAM_EXTERN)
			refuse("ON CONFLICT on a resource takes no value of another query.");
		foreach(lc, *arguments)
		{
			if (lfirst_node(Param, lc)->paramid == param->paramid)
				break;
			number++;
		}
		if (lc == NULL)
			*arguments = lappend(*arguments, copyObject(param));
		param->paramid = number;
		return (Node *) param;
	}
	return expression_tree_mutator(node, TASKAPI_MUTATOR(number_arguments), context);
}

char *
taskapi_conflict_take(Query *query, List **arguments)
{
	OnConflictExpr *on_conflict = query->onConflict;
	Oid			view = rt_fetch(query->resultRelation, query->rtable)->relid;
	List	   *merged = NIL;
	List	   *set = NIL;
	List	   *clause;
	ListCell   *lc;
	char	   *text;

	*arguments = NIL;
	if (on_conflict == NULL)
		return NULL;
	if (on_conflict->action != ONCONFLICT_UPDATE && on_conflict->action != ONCONFLICT_NOTHING)
		refuse("ON CONFLICT on a resource can DO NOTHING or DO UPDATE.");
	if (checkExprHasSubLink((Node *) on_conflict))
		refuse("ON CONFLICT on a resource takes no subquery.");
	foreach(lc, on_conflict->onConflictSet)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		const Var  *var = (const Var *) tle->expr;

		if (tle->resjunk)
			continue;
		if (IsA(var, Var) && var->varno == on_conflict->exclRelIndex && var->varattno == tle->resno)
			merged = lappend_int(merged, tle->resno - 1);
		else
			set = lappend(set, tle);
	}
	clause = list_make5(NIL, merged, number_arguments((Node *) on_conflict->arbiterElems, arguments),
						number_arguments(on_conflict->arbiterWhere, arguments),
						number_arguments((Node *) set, arguments));
	clause = lappend(clause, number_arguments(on_conflict->onConflictWhere, arguments));
	linitial(clause) = list_make5_int((int) view, on_conflict->action == ONCONFLICT_UPDATE, query->resultRelation,
									  on_conflict->exclRelIndex, list_length(*arguments));
	query->onConflict = NULL;
	text = nodeToString(clause);
	return psprintf("%zu %s", strlen(text), text);
}

char *
taskapi_conflict_with_arguments(const char *text, List *values)
{
	int			len;
	const char *clause = clause_of(text, &len);

	return psprintf("%d %.*s%s", len, len, clause, nodeToString(values));
}

/* ---------- at the row ---------- */

static const char *
clause_of(const char *text, int *len)
{
	char	   *end;
	long		value = strtol(text, &end, 10);

	if (*end != ' ' || value <= 0 || value > (long) strlen(end + 1))
		elog(ERROR, "ON CONFLICT of a resource is not readable");
	*len = (int) value;
	return end + 1;
}

const TaskapiConflict *
taskapi_conflict(TaskapiView *view, const char *text)
{
	const char *clause;
	int			len;
	TaskapiConflict *conflict;
	MemoryContext oldcontext;
	ListCell   *lc;

	if (text == NULL)
		return NULL;
	clause = clause_of(text, &len);
	foreach(lc, view->conflicts)
	{
		conflict = lfirst(lc);
		if (strlen(conflict->text) == len && memcmp(conflict->text, clause, len) == 0)
			return conflict;
	}

	oldcontext = MemoryContextSwitchTo(view->entry.context);
	conflict = build_conflict(view, clause, len);
	view->conflicts = lappend(view->conflicts, conflict);
	MemoryContextSwitchTo(oldcontext);
	if (list_length(view->conflicts) > MAX_CONFLICTS)
		view->entry.valid = false;	/* for whoever looks it up next */
	return conflict;
}

static TaskapiConflict *
build_conflict(TaskapiView *view, const char *clause, int len)
{
	TaskapiConflict *conflict = palloc0(sizeof(TaskapiConflict));
	List	   *members;
	List	   *numbers;
	List	   *arbiter;
	Node	   *arbiter_where;
	List	   *set;
	ListCell   *lc;

	conflict->text = pnstrdup(clause, len);
	conflict->unchanged = view->keys[0].column;
	members = castNode(List, stringToNode(conflict->text));
	numbers = (List *) list_nth(members, CLAUSE_NUMBERS);	/* of integers, which is another node */
	if ((Oid) list_nth_int(numbers, CLAUSE_VIEW) != view->entry.relid)
		elog(ERROR, "ON CONFLICT of another resource");
	conflict->update = list_nth_int(numbers, CLAUSE_UPDATE) != 0;
	conflict->target = list_nth_int(numbers, CLAUSE_TARGET);
	conflict->excluded = list_nth_int(numbers, CLAUSE_EXCLUDED);
	conflict->arguments = list_nth_int(numbers, CLAUSE_ARGUMENTS);
	arbiter = (List *) list_nth(members, CLAUSE_ARBITER);
	arbiter_where = list_nth(members, CLAUSE_ARBITER_WHERE);
	set = (List *) list_nth(members, CLAUSE_SET);
	conflict->where = list_nth(members, CLAUSE_WHERE);
	conflict->arbiter = arbiter;
	conflict->has_arbiter_where = arbiter_where != NULL;

	/* in the order in which the text has them */
	foreach(lc, arbiter)
	{
		InferenceElem *elem = lfirst_node(InferenceElem, lc);

		if (OidIsValid(elem->infercollid) || OidIsValid(elem->inferopclass))
			refuse("ON CONFLICT on a resource takes no collation and no operator class.");
		if (!IsA(elem->expr, Var))
			conflict->expressions = lappend(conflict->expressions, elem->expr);
	}
	if (arbiter_where)
		conflict->expressions = lappend(conflict->expressions, arbiter_where);
	conflict->first_set = list_length(conflict->expressions);
	read_assignments(conflict, view, (List *) list_nth(members, CLAUSE_MERGED), set);
	if (conflict->where)
		conflict->expressions = lappend(conflict->expressions, conflict->where);

	conflict->replaces = conflict->update && conflict->set == NIL && arbiter_where == NULL &&
		is_primary_key(view, conflict, arbiter) && !contain_var_clause(conflict->where);
	if (conflict->replaces)
		conflict->create = creating(conflict, view);
	return conflict;
}

/*
 * The columns that only the server writes are not written by this either; a version is a precondition, if it is the new
 * row's.
 */
static void
read_assignments(TaskapiConflict *conflict, const TaskapiView *view, List *merged, List *set)
{
	ListCell   *lc;

	foreach(lc, merged)
	{
		int			column = lfirst_int(lc);

		if (column < 0 || column >= view->ncolumns)
			elog(ERROR, "ON CONFLICT of another resource");
		if (column == view->version)
			conflict->sends_version = true;
		else if (view->columns[column].written)
			conflict->merged = bms_add_member(conflict->merged, column);
	}
	foreach(lc, set)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		int			column = tle->resno - 1;

		if (column < 0 || column >= view->ncolumns)
			elog(ERROR, "ON CONFLICT of another resource");
		if (column == view->version)
			refuse("ON CONFLICT on a resource can set the version to that of the new row only, which is a precondition.");
		if (!view->columns[column].written)
			continue;
		conflict->set = lappend_int(conflict->set, column);
		conflict->expressions = lappend(conflict->expressions, tle->expr);
	}
}

/*
 * The same arbiter, and nothing that is changed: a column is set to itself, one that the client may write.
 */
static TaskapiConflict *
creating(const TaskapiConflict *conflict, const TaskapiView *view)
{
	TaskapiConflict *result = palloc(sizeof(TaskapiConflict));
	int			i = -1;

	*result = *conflict;
	result->merged = NULL;
	result->where = NULL;
	result->expressions = NIL;
	result->arguments = 0;
	while ((i = bms_next_member(conflict->merged, i)) >= 0)
	{
		result->unchanged = i;
		/* without a key the row is locked less */
		if (!bms_is_member(i, view->key_columns))
			break;
	}
	return result;
}

static bool
is_primary_key(const TaskapiView *view, const TaskapiConflict *conflict, List *arbiter)
{
	Bitmapset  *columns = NULL;
	ListCell   *lc;

	foreach(lc, arbiter)
	{
		const Var  *var = (const Var *) lfirst_node(InferenceElem, lc)->expr;

		if (!IsA(var, Var) || var->varno != conflict->target || var->varattno <= 0)
			return false;
		columns = bms_add_member(columns, var->varattno - 1);
	}
	return bms_equal(columns, view->key_columns);
}

List *
taskapi_conflict_arguments(const TaskapiConflict *conflict, const char *text)
{
	int			len;
	const char *clause = clause_of(text, &len);
	List	   *values;

	if (conflict->arguments == 0)
		return NIL;
	values = clause[len] == '\0' ? NIL : castNode(List, stringToNode(clause + len));
	if (list_length(values) != conflict->arguments)
		elog(ERROR, "ON CONFLICT of a resource lacks its arguments");
	return values;
}

/* ---------- in the statement on the table ---------- */

/*
 * The parameters of the text follow each other as the expressions do.
 */
void
taskapi_conflict_append_arbiter(const TaskapiConflict *conflict, const TaskapiView *view, StringInfo buf, int nargs)
{
	const char *separator = " (";
	ListCell   *lc;

	if (conflict->arbiter == NIL)
		return;
	foreach(lc, conflict->arbiter)
	{
		const Node *expr = (const Node *) lfirst_node(InferenceElem, lc)->expr;

		if (IsA(expr, Var))
			appendStringInfo(buf, "%s%s", separator, column_of(conflict, view, (const Var *) expr)->name);
		else
			appendStringInfo(buf, "%s($%d)", separator, ++nargs);
		separator = ", ";
	}
	appendStringInfoChar(buf, ')');
	if (conflict->has_arbiter_where)
		appendStringInfo(buf, " WHERE $%d", ++nargs);
}

void
taskapi_conflict_append_assignments(const TaskapiConflict *conflict, const TaskapiView *view, StringInfo buf, int nargs)
{
	const char *separator = "";
	int			number = nargs + conflict->first_set;
	int			i = -1;
	ListCell   *lc;

	while ((i = bms_next_member(conflict->merged, i)) >= 0)
	{
		appendStringInfo(buf, "%s%s = excluded.%s", separator, view->columns[i].name, view->columns[i].name);
		separator = ", ";
	}
	foreach(lc, conflict->set)
	{
		appendStringInfo(buf, "%s%s = $%d", separator, view->columns[lfirst_int(lc)].name, ++number);
		separator = ", ";
	}
	/* what is set may be the server's to write, all of it */
	if (*separator == '\0')
		appendStringInfo(buf, "%s = t.%s", view->columns[conflict->unchanged].name, view->columns[conflict->unchanged].name);
}

void
taskapi_conflict_append_condition(const TaskapiConflict *conflict, StringInfo buf, int nargs)
{
	if (conflict->where)
		appendStringInfo(buf, " AND $%d", nargs + list_length(conflict->expressions));
}

/*
 * The column of the table that a column of the view is; a problem if it is computed.
 */
static const TaskapiViewColumn *
column_of(const TaskapiConflict *conflict, const TaskapiView *view, const Var *var)
{
	const TaskapiViewColumn *column;

	if ((var->varno != conflict->target && var->varno != conflict->excluded) || var->varlevelsup != 0)
		elog(ERROR, "ON CONFLICT of another resource");
	if (var->varattno <= 0)
		refuse("ON CONFLICT on a resource takes neither whole rows nor system columns.");
	if (var->varattno > view->ncolumns || var->vartype != view->columns[var->varattno - 1].type)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("resource \"%s\" changed while a row of it was being written", get_rel_name(view->entry.relid)),
				 errhint("Send the request again.")));
	column = &view->columns[var->varattno - 1];
	if (column->source_attno == 0)
		refuse("ON CONFLICT on a resource takes no column that its table does not have.");
	return column;
}

Node *
taskapi_conflict_expression(const TaskapiConflict *conflict, const TaskapiView *view, ParseState *pstate, int number, int nargs)
{
	TableExpression context = {conflict, view, pstate, nargs};

	if (number - nargs > list_length(conflict->expressions))
		elog(ERROR, "there is no parameter $%d", number);
	return of_table((Node *) list_nth(conflict->expressions, number - nargs - 1), &context);
}

/*
 * Columns of the view become columns of the table, for which the parser notes the right to read, and arguments follow the
 * parameters of the statement.
 */
static Node *
of_table(Node *node, void *context)
{
	const TableExpression *expression = context;

	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		const Var  *var = (const Var *) node;
		const TaskapiViewColumn *column = column_of(expression->conflict, expression->view, var);
		bool		excluded = var->varno == expression->conflict->excluded;
		ParseNamespaceItem *item = refnameNamespaceItem(expression->pstate, NULL, excluded ? "excluded" : "t", -1, NULL);
		Var		   *result;

		if (item == NULL)
			elog(ERROR, "ON CONFLICT of a resource is not about its table");
		result = makeVar(item->p_rtindex, column->source_attno, var->vartype, var->vartypmod, var->varcollid, 0);
		markVarForSelectPriv(expression->pstate, result);
		return (Node *) result;
	}
	if (IsA(node, Param))
	{
		Param	   *param = copyObject((Param *) node);

		param->paramid += expression->nargs;
		return (Node *) param;
	}
	return expression_tree_mutator(node, TASKAPI_MUTATOR(of_table), context);
}
