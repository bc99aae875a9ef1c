/*-------------------------------------------------------------------------
 *
 * function_result.h
 *	  The result of a function, whatever its form, as rows that the ledger keeps.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_FUNCTION_RESULT_H
#define TASKAPI_FUNCTION_RESULT_H

#include "access/tupdesc.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/tuplestore.h"

#include "resource/resource_answer.h"

typedef enum TaskapiResultForm
{
	TASKAPI_RESULT_VALUE,
	TASKAPI_RESULT_ROW,
	TASKAPI_RESULT_SET,
	TASKAPI_RESULT_TRIGGER
} TaskapiResultForm;

typedef struct TaskapiFunctionResult
{
	TaskapiResultForm form;
	bool		rows;			/* a SET of rows, not of values */
	TupleDesc	desc;			/* of its rows; a value is a row with one column */
	TaskapiAnswerType *type;
	StringInfoData body;		/* of a call */
	HeapTuple  *loaded;			/* of a stored one */
	int			nloaded;
} TaskapiFunctionResult;

/* Find out about the form, in the current context.  An error if it depends on the call. */
extern void taskapi_function_result_begin(TaskapiFunctionResult *result, FunctionCallInfo fcinfo);

/* Call the function that fcinfo->flinfo names, to its end, keep its result and return it as the function would have. */
extern Datum taskapi_function_result_call(TaskapiFunctionResult *result, FunctionCallInfo fcinfo);

/* What was kept, as a json for the ledger. */
extern struct varlena *taskapi_function_result_body(TaskapiFunctionResult *result);

/* Read what the ledger has, and return it as the function would have.  False if it is no such result. */
extern bool taskapi_function_result_load(TaskapiFunctionResult *result, struct varlena *body);
extern Datum taskapi_function_result_give(TaskapiFunctionResult *result, FunctionCallInfo fcinfo);

#endif							/* TASKAPI_FUNCTION_RESULT_H */
