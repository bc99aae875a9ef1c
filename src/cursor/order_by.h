/*-------------------------------------------------------------------------
 *
 * order_by.h
 *	  The order_by grammar, shared by cursors and pages.
 *
 *		order_by := term (',' term)*
 *		term     := name [ASC | DESC] [NULLS FIRST | NULLS LAST]		SQL's spelling
 *				  | name ['.asc' | '.desc'] ['.nullsfirst' | '.nullslast']	PostgREST's
 *		name     := identifier, folded to lower case | "quoted identifier"
 *
 * Keywords in any case; white space is free.  The defaults are PostgreSQL's:
 * NULLs last ascending, first descending.  One to TASKAPI_MAX_ORDER_TERMS terms,
 * no name twice.  Anything else is the problem invalid_order_by.
 *
 * The parser knows nothing of tables: it is pure, needs no catalog and no
 * server beyond palloc.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_ORDER_BY_H
#define TASKAPI_ORDER_BY_H

#define TASKAPI_MAX_ORDER_TERMS 32

typedef struct TaskapiOrderTerm
{
	char		name[NAMEDATALEN];
	bool		descending;
	bool		nulls_first;
} TaskapiOrderTerm;

typedef struct TaskapiOrderBy
{
	int			nterms;
	TaskapiOrderTerm terms[FLEXIBLE_ARRAY_MEMBER];
} TaskapiOrderBy;

/*
 * Parse text of "len" bytes, palloc'd in the current context.  The second form returns NULL
 * where the text is no order_by, and in *error a sentence about why; it never throws.
 */
extern TaskapiOrderBy *taskapi_order_by_parse(const char *str, int len);
extern TaskapiOrderBy *taskapi_order_by_try(const char *str, int len, char **error);

/*
 * The canonical spelling, equal for two order_bys that mean the same: every name quoted where SQL
 * needs it, directions and NULLS placement written only where they differ from the default.
 */
extern char *taskapi_order_by_canonical(const TaskapiOrderBy *order_by);

#endif							/* TASKAPI_ORDER_BY_H */
