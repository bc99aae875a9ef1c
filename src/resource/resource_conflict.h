/*-------------------------------------------------------------------------
 *
 * resource_conflict.h
 *	  ON CONFLICT of a client's INSERT into a resource.
 *
 * On a view with an INSTEAD OF trigger PostgreSQL cannot infer what the clause is
 * about: the planner raises 42P10.  So the clause is taken off the query while it
 * is planned, and travels in the plan, as text in the mark that comes with each
 * row (resource_insert_mark.h).  What a plan was made for is what it does, in
 * whatever request it runs.  The trigger's own INSERT has the same clause, in terms
 * of the table, so that the table's ON CONFLICT does the rest.
 *
 * The expressions of the clause are not deparsed and parsed again: they stand in
 * the text of the trigger's statement as parameters, for which a hook of the
 * parser puts the expressions themselves.
 *
 * A TaskapiConflict belongs to a view's entry, and lives as long.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_CONFLICT_H
#define TASKAPI_RESOURCE_CONFLICT_H

#include "lib/stringinfo.h"
#include "nodes/parsenodes.h"
#include "parser/parse_node.h"

#include "resource/resource_statement.h"

typedef struct TaskapiConflict
{
	char	   *text;			/* of which it was made */
	bool		update;			/* DO UPDATE */
	bool		replaces;		/* DO UPDATE of the primary key, and every column that is set is set to the new row's: a PUT, if
								 * the method says so */
	Bitmapset  *merged;			/* the columns that are set to the new row's, by index */
	List	   *set;			/* of int: those that are set to something else */
	bool		sends_version;	/* the version is set to the new row's */
	List	   *arbiter;		/* of InferenceElem; NIL: any */
	bool		has_arbiter_where;
	Node	   *where;			/* of DO UPDATE, in terms of the view, or NULL */
	List	   *expressions;	/* what parameters in the statement stand for: of the arbiter, its WHERE, "set", "where" */
	int			first_set;		/* how many of them come before those of "set" */
	int			target;			/* range table indexes in the expressions */
	int			excluded;
	int			unchanged;		/* the column that is set to itself if there is no other */
	struct TaskapiConflict *create; /* of one that replaces: for creating the row if it is not there */
	int			arguments;		/* how many parameters of the client's statement are in them */
} TaskapiConflict;

/*
 * Take the clause off an INSERT that is being planned: its text, or NULL if there is none.  "arguments" are the parameters of the
 * client's statement that its expressions are about, whose values the plan has to hand over.  A problem if it cannot be done.
 */
extern char *taskapi_conflict_take(Query *query, List **arguments);

/* The text, with the values of the arguments. */
extern char *taskapi_conflict_with_arguments(const char *text, List *values);

/* What a text says; NULL is no clause. */
extern const TaskapiConflict *taskapi_conflict(TaskapiView *view, const char *text);

/* The values of its arguments. */
extern List *taskapi_conflict_arguments(const TaskapiConflict *conflict, const char *text);

/* Append the parts of the clause to an INSERT on the table, as t, that has "nargs" parameters of its own. */
extern void taskapi_conflict_append_arbiter(const TaskapiConflict *conflict, const TaskapiView *view, StringInfo buf, int nargs);
extern void taskapi_conflict_append_assignments(const TaskapiConflict *conflict, const TaskapiView *view, StringInfo buf,
												int nargs);
extern void taskapi_conflict_append_condition(const TaskapiConflict *conflict, StringInfo buf, int nargs);

/* The expression that parameter "number", above "nargs", stands for, in terms of the table. */
extern Node *taskapi_conflict_expression(const TaskapiConflict *conflict, const TaskapiView *view, ParseState *pstate,
										 int number, int nargs);

#endif							/* TASKAPI_RESOURCE_CONFLICT_H */
