/*-------------------------------------------------------------------------
 *
 * page_source.h
 *	  What page() has to know of a relation: columns, a key, and the table behind a
 *	  simple view.
 *
 * A simple view (base/simple_view.h) has the table's key, NOT NULL columns and indexes, as far as it passes the columns
 * through; views on views are seen through.  Any other view has none of these.
 *
 * A key is the primary key, else the unique index of NOT NULL columns with the
 * fewest of them, whose columns can all be read.  A materialized view has no NOT
 * NULL columns, so that its unique index is a tie-breaker but no proof.
 *
 * Describing takes AccessShareLock on every relation involved, kept until the
 * transaction ends.  The result holds for as long as no relcache invalidation comes for one of
 * "relids" and "watched", and no schema, operator, collation or type that was looked up changes; readability is the
 * present user's.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_PAGE_SOURCE_H
#define TASKAPI_PAGE_SOURCE_H

#include "access/attnum.h"
#include "nodes/bitmapset.h"
#include "nodes/nodes.h"
#include "nodes/pg_list.h"

typedef struct TaskapiPageColumn
{
	AttrNumber	attno;
	AttrNumber	base_attno;		/* in the table behind, 0 where it is no plain column of it */
	bool		dropped;
	bool		readable;
	bool		notnull;
	bool		believed;		/* NOT NULL to the planner, though a foreign server need not keep it */
	Node	   *generated;		/* of a virtual column: its expression, as an index has it; else NULL */
	Oid			typid;
	int32		typmod;
	Oid			basetype;		/* no domain, and text for varchar */
	Oid			collation;
	char	   *name;
	char	   *sql;			/* r."name" */
} TaskapiPageColumn;

typedef struct TaskapiPageSource
{
	Oid			relid;
	char	   *schema;
	char	   *name;
	char	   *sql;			/* schema-qualified and quoted */
	int			natts;
	TaskapiPageColumn *columns; /* by attribute number - 1 */
	bool		all_readable;

	Oid			base_relid;		/* InvalidOid behind a view that is not simple */
	char		base_relkind;
	bool		base_rls;		/* row security is on there, so that rows may be filtered */
	Bitmapset  *base_policed;	/* base attribute numbers that its policies look at; 0 for anything but columns */
	bool		base_filtered;	/* the view, or one that it is made of, has a WHERE */
	const char *opaque;			/* what keeps the planner from flattening one of these views, so that no index bounds; or NULL */
	List	   *base_quals;		/* that of the innermost view, ANDed; Vars have varno 1 and the table's attribute numbers */

	int			nkeys;			/* 0 is no key */
	AttrNumber *keys;			/* numbers of the source's own columns */
	bool		key_proven;		/* no two rows are equal in it */

	List	   *relids;			/* the source, the views behind it and the table */
	List	   *watched;		/* partitioned partitions: a partition may come to them */
} TaskapiPageSource;

/* Describe a relation, palloc'd.  Errors: no such relation, no relation with rows, nothing of it readable. */
extern TaskapiPageSource *taskapi_page_source(Oid relid);

/* The column of that name; NULL where there is none that the user may read. */
extern const TaskapiPageColumn *taskapi_page_column(const TaskapiPageSource *source, const char *name);

/* The column that shows the table's column; NULL where none does. */
extern const TaskapiPageColumn *taskapi_page_base_column(const TaskapiPageSource *source, AttrNumber base_attno);

/*
 * The type as which the operators of an access method take the column, and the column's SQL as of that type.  An
 * operator is written by its name, and the parser finds it by the types on both sides: so neither is a domain, nor a
 * type that only is binary coercible to the operator's, and the one that is found is the one that was meant.
 */
extern Oid	taskapi_page_operand_type(const TaskapiPageColumn *column, Oid opclass_input);
extern char *taskapi_page_operand(const TaskapiPageColumn *column, Oid type);

/* OPERATOR(schema.name), independent of search_path. */
extern char *taskapi_operator_sql(Oid opno);

#endif							/* TASKAPI_PAGE_SOURCE_H */
