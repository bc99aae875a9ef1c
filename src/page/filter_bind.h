/*-------------------------------------------------------------------------
 *
 * filter_bind.h
 *	  Filters bound to a relation: SQL with parameters.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_FILTER_BIND_H
#define TASKAPI_FILTER_BIND_H

#include "nodes/bitmapset.h"

#include "page/filter.h"
#include "page/page_source.h"

/* What a condition becomes on a given relation */
typedef struct TaskapiFilterBinding
{
	const TaskapiPageColumn *column;
	TaskapiFilterOp op;
	Oid			argtype;		/* InvalidOid without a parameter */
	char	   *sql;			/* with %d where the parameter's number goes, once */
} TaskapiFilterBinding;

/* An array of bindings, one for each condition. */
extern TaskapiFilterBinding *taskapi_filter_bind(List *conditions, const TaskapiPageSource *source);

/*
 * Base attribute numbers of the columns that "n" conditions are about, that they hold equal to a value, and that they
 * hold NULL (which IS NULL of a composite does not: it is true of several values).  Is that all they say?
 */
extern bool taskapi_filter_constants(const TaskapiFilterBinding *bindings, int n,
									 Bitmapset **filtered, Bitmapset **equal, Bitmapset **isnull);

/* Are "n" conditions equalities and IS NULL only, and leakproof, so that they need not wait for row-level security? */
extern bool taskapi_filter_is_leakproof(const TaskapiFilterBinding *bindings, int n);

/* The parameters, one for each condition that has one, in order. */
extern void taskapi_filter_values(List *conditions, const TaskapiFilterBinding *bindings, Datum *values);

#endif							/* TASKAPI_FILTER_BIND_H */
