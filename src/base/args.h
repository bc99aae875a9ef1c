/*-------------------------------------------------------------------------
 *
 * args.h
 *	  Arguments of SQL-callable functions.
 *
 * A function that is not STRICT must look at each argument before it takes it.
 * A header without a .c: all of it is inlined.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_ARGS_H
#define TASKAPI_ARGS_H

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

/* An error if the argument is NULL; "name" is its name in SQL, or what it is. */
static inline void
taskapi_require_arg(FunctionCallInfo fcinfo, int argno, const char *name)
{
	if (PG_ARGISNULL(argno))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
}

/* A text argument as a palloc'd string; NULL if it is NULL. */
static inline char *
taskapi_arg_cstring(FunctionCallInfo fcinfo, int argno)
{
	return PG_ARGISNULL(argno) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(argno));
}

/* A varlena argument, detoasted; NULL if it is NULL. */
static inline struct varlena *
taskapi_arg_varlena(FunctionCallInfo fcinfo, int argno)
{
	return PG_ARGISNULL(argno) ? NULL : PG_DETOAST_DATUM_PACKED(PG_GETARG_DATUM(argno));
}

/* What the function returns, if that is as it was created: a row of these types, by that name. */
static inline TupleDesc
taskapi_require_row_type(FunctionCallInfo fcinfo, const char *name, int n, const Oid *types)
{
	TupleDesc	desc;
	bool		matches;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	matches = (desc->natts == n);
	for (int i = 0; i < n && matches; i++)
		matches = TupleDescAttr(desc, i)->atttypid == types[i] && !TupleDescAttr(desc, i)->attisdropped;
	if (!matches)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("type %s has changed", name)));
	return desc;
}

#endif							/* TASKAPI_ARGS_H */
