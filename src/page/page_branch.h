/*-------------------------------------------------------------------------
 *
 * page_branch.h
 *	  Branches: what comes after a position, as ranges of an index, and their SQL.
 *
 * What comes after a position (A, B, I) in the order (a, b, id) is the
 * concatenation of branches, each one range of an index:
 *
 *		a = A AND b = B AND id > I,  then  a = A AND b > B,  then  a > A
 *
 * with < for a term that runs down.  Neighbouring terms in one direction that are NOT NULL
 * are one row comparison, so that a uniform order is a single branch.  A term that
 * may be NULL has one branch more where its NULLs lie ahead: a = A AND b IS NULL after
 * b > B, or a = A AND b IS NOT NULL after a position whose b is NULL and comes first.
 * Going backward is the same with every direction and NULLs placement reversed.
 * An inclusive position is one whose own row belongs to what is fetched.
 *
 * Branches are run in order and only until the page is full.  If an index on the cursor bounds the order there is but
 * one, whatever the directions and NULLs: the cursor of the row lies beyond the cursor of the position.
 *
 * Pure but for looking up names: nothing here runs a statement.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_PAGE_BRANCH_H
#define TASKAPI_PAGE_BRANCH_H

#include "page/page_query.h"

typedef enum TaskapiBranchKind
{
	BRANCH_ALL,					/* no position: the first page */
	BRANCH_AFTER,				/* beyond the position in terms first..last */
	BRANCH_FROM,				/* the same, inclusive */
	BRANCH_IS_NULL,
	BRANCH_IS_NOT_NULL
} TaskapiBranchKind;

typedef struct TaskapiBranch
{
	bool		backward;
	uint8		kind;
	uint8		first;			/* terms before it are equal to the position's */
	uint8		last;
	uint32		nulls;			/* of those before: the ones that are NULL in the position */
} TaskapiBranch;

/*
 * The branches that follow a position, in order; "isnull" NULL is no position.  Returns how many; at most
 * 2 * nscan + 1.
 */
#define TASKAPI_MAX_BRANCHES (2 * TASKAPI_MAX_ORDER_TERMS + 1)
extern int	taskapi_page_branches(const TaskapiPageQuery *query, const bool *isnull, bool backward, bool inclusive,
								  TaskapiBranch *branches);

/* Different for any two branches of a query that are not the same. */
extern uint64 taskapi_page_branch_id(const TaskapiBranch *branch);

/* The statement: its parameters are the query's. */
extern char *taskapi_page_branch_sql(const TaskapiPageQuery *query, const TaskapiBranch *branch);

#endif							/* TASKAPI_PAGE_BRANCH_H */
