/*-------------------------------------------------------------------------
 *
 * resource_default.c
 *	  The defaults of a resource's table (resource_default.h).
 *
 * SQL: sql/install/60_resource.sql
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/pathnodes.h"
#include "nodes/supportnodes.h"
#include "rewrite/rewriteHandler.h"
#include "utils/acl.h"
#include "utils/datum.h"
#include "utils/rel.h"

#include "base/args.h"
#include "base/compat.h"
#include "resource/resource_default.h"
#include "resource/resource_insert_mark.h"

static Node *default_expression(Relation rel, AttrNumber attno);
static Datum evaluate(Relation rel, AttrNumber attno, bool *isnull);

/*
 * NULL if the column has none, or one that only the table can make.  An identity is its sequence's next value, for those who
 * may use the sequence.
 */
static Node *
default_expression(Relation rel, AttrNumber attno)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), attno - 1);
	Node	   *expr;

	if (att->attisdropped || att->attgenerated != '\0' || att->attidentity == ATTRIBUTE_IDENTITY_ALWAYS)
		return NULL;
	expr = build_column_default(rel, attno);
	if (expr != NULL && IsA(expr, NextValueExpr) &&
		pg_class_aclcheck(((NextValueExpr *) expr)->seqid, GetUserId(), ACL_USAGE | ACL_UPDATE) != ACLCHECK_OK)
		return NULL;
	return expr;
}

/*
 * The result is in the current memory context.
 */
static Datum
evaluate(Relation rel, AttrNumber attno, bool *isnull)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), attno - 1);
	Node	   *expr = default_expression(rel, attno);
	EState	   *estate;
	Datum		value;

	*isnull = true;
	if (expr == NULL)
		return (Datum) 0;
	estate = CreateExecutorState();
	value = ExecEvalExprSwitchContext(ExecPrepareExpr((Expr *) expr, estate), GetPerTupleExprContext(estate), isnull);
	if (!*isnull)
		value = datumCopy(value, att->attbyval, att->attlen);
	FreeExecutorState(estate);
	return value;
}

/*
 * table_default(source regclass, attnum smallint, type anyelement) -> anyelement
 *
 * The default of a table's column, as the caller, who must be allowed to insert it: NULL if he is not, or if there is none.  The
 * third argument says the type.  Errors: undefined_column, datatype_mismatch.
 */
PG_FUNCTION_INFO_V1(taskapi_table_default);
Datum
taskapi_table_default(PG_FUNCTION_ARGS)
{
	Relation	rel;
	AttrNumber	attno;
	Datum		value = (Datum) 0;
	bool		isnull = true;

	taskapi_require_arg(fcinfo, 0, "source");
	taskapi_require_arg(fcinfo, 1, "attnum");
	attno = PG_GETARG_INT16(1);
	rel = try_table_open(PG_GETARG_OID(0), AccessShareLock);
	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", PG_GETARG_OID(0))));
	if (attno < 1 || attno > RelationGetNumberOfAttributes(rel) ||
		TupleDescAttr(RelationGetDescr(rel), attno - 1)->attisdropped)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("table \"%s\" has no column %d", RelationGetRelationName(rel), attno)));
	if (TupleDescAttr(RelationGetDescr(rel), attno - 1)->atttypid != get_fn_expr_rettype(fcinfo->flinfo))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column %d of table \"%s\" is of another type", attno, RelationGetRelationName(rel)),
				 errhint("Call taskapi.expose() again.")));
	if (pg_class_aclcheck(RelationGetRelid(rel), GetUserId(), ACL_INSERT) == ACLCHECK_OK ||
		pg_attribute_aclcheck(RelationGetRelid(rel), attno, GetUserId(), ACL_INSERT) == ACLCHECK_OK)
		value = evaluate(rel, attno, &isnull);
	table_close(rel, NoLock);
	if (isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(value);
}

/*
 * In an INSERT into a resource that leaves the column to its default nobody needs the value: the INSERT on the table makes it.
 */
PG_FUNCTION_INFO_V1(taskapi_table_default_support);
Datum
taskapi_table_default_support(PG_FUNCTION_ARGS)
{
	SupportRequestSimplify *request = (SupportRequestSimplify *) PG_GETARG_POINTER(0);
	Oid			resource;
	const TaskapiView *view;
	const Const *source;
	const Const *attnum;

	if (!IsA(request, SupportRequestSimplify) || request->root == NULL || list_length(request->fcall->args) != 3 ||
		!OidIsValid(resource = taskapi_insert_resource(request->root->parse)))
		PG_RETURN_POINTER(NULL);
	source = linitial(request->fcall->args);
	attnum = lsecond(request->fcall->args);
	if (!IsA(source, Const) || source->constisnull || !IsA(attnum, Const) || attnum->constisnull)
		PG_RETURN_POINTER(NULL);

	taskapi_insert_require_mark(request->root->parse);
	view = taskapi_resource_view_as_is(resource);
	if (DatumGetObjectId(source->constvalue) != view->registration.source)
		PG_RETURN_POINTER(NULL);
	for (int i = 0; i < view->ncolumns; i++)
	{
		if (view->columns[i].source_attno == DatumGetInt16(attnum->constvalue) &&
			taskapi_insert_leaves_out(request->root->parse, i))
			PG_RETURN_POINTER(makeNullConst(request->fcall->funcresulttype, -1, request->fcall->funccollid));
	}
	PG_RETURN_POINTER(NULL);
}

HeapTuple
taskapi_resource_fill_defaults(const TaskapiWrite *write)
{
	const TaskapiView *view = write->view;
	int		   *columns = palloc(sizeof(int) * Max(view->ncolumns, 1));
	Datum	   *values = palloc(sizeof(Datum) * Max(view->ncolumns, 1));
	bool	   *nulls = palloc(Max(view->ncolumns, 1));
	int			n = 0;
	int			i = -1;
	Relation	rel = table_open(view->registration.source, AccessShareLock);

	while ((i = bms_next_member(view->writable, i)) >= 0)
	{
		if (bms_is_member(i, write->given) || bms_is_member(i, view->by_server))
			continue;
		columns[n] = i + 1;
		values[n] = evaluate(rel, view->columns[i].source_attno, &nulls[n]);
		n++;
	}
	table_close(rel, NoLock);
	return heap_modify_tuple_by_cols(write->new, write->desc, n, columns, values, nulls);
}
