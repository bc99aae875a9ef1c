/*-------------------------------------------------------------------------
 *
 * function_result.c
 *	  The result of a function as rows (function_result.h).
 *
 * A function that returns a set is called to its end, and gives it as a whole in
 * a tuplestore, also if it gives a row at a time by itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "resource/function_result.h"

static void require_type(const TaskapiFunctionResult *result, TupleDesc desc);
static void require_row_type(const TaskapiFunctionResult *result, Oid type, int32 typmod);
static void keep_row(TaskapiFunctionResult *result, HeapTuple row);
static HeapTuple row_of(TaskapiFunctionResult *result, Datum value, bool isnull);
static Datum call_set(TaskapiFunctionResult *result, FunctionCallInfo fcinfo);
static Tuplestorestate *begin_set(TaskapiFunctionResult *result, FunctionCallInfo fcinfo);
static void take_set(TaskapiFunctionResult *result, Tuplestorestate *from, Tuplestorestate *to);

void
taskapi_function_result_begin(TaskapiFunctionResult *result, FunctionCallInfo fcinfo)
{
	Oid			type;
	TypeFuncClass class;

	memset(result, 0, sizeof(*result));
	if (CALLED_AS_TRIGGER(fcinfo))
	{
		result->form = TASKAPI_RESULT_TRIGGER;
		result->desc = RelationGetDescr(((TriggerData *) fcinfo->context)->tg_relation);
	}
	else
	{
		class = get_call_result_type(fcinfo, &type, &result->desc);
		result->rows = (class == TYPEFUNC_COMPOSITE || class == TYPEFUNC_COMPOSITE_DOMAIN);
		if (class == TYPEFUNC_SCALAR)
		{
			result->desc = CreateTemplateTupleDesc(1);
			TupleDescInitEntry(result->desc, 1, "value", type, -1, 0);
			taskapi_finish_tupdesc(result->desc);
		}
		else if (!result->rows)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("an idempotent function must have a result of a known type")));
		result->desc = BlessTupleDesc(result->desc);
		result->form = fcinfo->flinfo->fn_retset ? TASKAPI_RESULT_SET :
			result->rows ? TASKAPI_RESULT_ROW : TASKAPI_RESULT_VALUE;
	}
	result->type = taskapi_answer_type(result->desc);
	taskapi_answer_begin(&result->body);
}

/*
 * What the function returned, or what is given again, is of the type that it had before the call?  The owner of the type can
 * alter it meanwhile, by the function itself too, and no lock prevents that.
 */
static void
require_type(const TaskapiFunctionResult *result, TupleDesc desc)
{
	bool		same = desc->natts == result->desc->natts;

	for (int i = 0; same && i < desc->natts; i++)
	{
		Form_pg_attribute was = TupleDescAttr(result->desc, i);
		Form_pg_attribute is = TupleDescAttr(desc, i);

		same = (was->attisdropped || was->atttypid == is->atttypid) && was->attlen == is->attlen && was->attalign == is->attalign;
	}
	if (!same)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the result type of an idempotent function changed while it was called"),
				 errhint("Send the request again.")));
}

static void
require_row_type(const TaskapiFunctionResult *result, Oid type, int32 typmod)
{
	TupleDesc	desc = lookup_rowtype_tupdesc_domain(type, typmod, false);

	require_type(result, desc);
	ReleaseTupleDesc(desc);
}

static void
keep_row(TaskapiFunctionResult *result, HeapTuple row)
{
	taskapi_answer_append(&result->body, result->type, result->desc, row);
}

/*
 * A result as a row; NULL for a row that is null.
 */
static HeapTuple
row_of(TaskapiFunctionResult *result, Datum value, bool isnull)
{
	HeapTupleHeader header;
	HeapTupleData tuple = {0};

	if (!result->rows)
		return heap_form_tuple(result->desc, &value, &isnull);
	if (isnull)
		return NULL;
	header = DatumGetHeapTupleHeader(value);
	require_row_type(result, HeapTupleHeaderGetTypeId(header), HeapTupleHeaderGetTypMod(header));
	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_data = header;
	return heap_copytuple(&tuple);
}

Datum
taskapi_function_result_call(TaskapiFunctionResult *result, FunctionCallInfo fcinfo)
{
	Datum		value;
	HeapTuple	row;

	if (result->form == TASKAPI_RESULT_SET)
		return call_set(result, fcinfo);

	value = fcinfo->flinfo->fn_addr(fcinfo);
	row = result->form == TASKAPI_RESULT_TRIGGER ? (HeapTuple) DatumGetPointer(value) :
		row_of(result, value, fcinfo->isnull);
	if (row != NULL)
		keep_row(result, row);
	return value;
}

/*
 * A tuplestore for the whole set, of which the caller is told.
 */
static Tuplestorestate *
begin_set(TaskapiFunctionResult *result, FunctionCallInfo fcinfo)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext oldcontext;
	Tuplestorestate *set;

	if (rsinfo == NULL || !IsA(rsinfo, ReturnSetInfo) || !(rsinfo->allowedModes & SFRM_Materialize))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("set-valued function called in context that cannot accept a set")));
	oldcontext = MemoryContextSwitchTo(rsinfo->econtext->ecxt_per_query_memory);
	set = tuplestore_begin_heap((rsinfo->allowedModes & SFRM_Materialize_Random) != 0, false, work_mem);
	rsinfo->returnMode = SFRM_Materialize;
	rsinfo->setResult = set;
	rsinfo->setDesc = CreateTupleDescCopy(result->desc);
	MemoryContextSwitchTo(oldcontext);
	return set;
}

static Datum
call_set(TaskapiFunctionResult *result, FunctionCallInfo fcinfo)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ReturnSetInfo inner;
	Tuplestorestate *set = begin_set(result, fcinfo);

	inner = *rsinfo;
	fcinfo->resultinfo = (Node *) &inner;
	for (;;)
	{
		Datum		value;
		HeapTuple	row;

		CHECK_FOR_INTERRUPTS();
		inner.returnMode = SFRM_ValuePerCall;
		inner.isDone = ExprSingleResult;
		inner.setResult = NULL;
		inner.setDesc = NULL;
		fcinfo->isnull = false;
		value = fcinfo->flinfo->fn_addr(fcinfo);
		if (inner.returnMode == SFRM_Materialize)
		{
			/* by the protocol its rows are as they were expected if it does not say of which type */
			require_type(result, inner.setDesc ? inner.setDesc : inner.expectedDesc);
			if (inner.setResult != NULL)
				take_set(result, inner.setResult, set);
			break;
		}
		if (inner.isDone == ExprEndResult)
			break;
		row = row_of(result, value, fcinfo->isnull);
		if (row == NULL)
		{
			Datum	   *values = palloc0(sizeof(Datum) * Max(result->desc->natts, 1));
			bool	   *nulls = palloc(sizeof(bool) * Max(result->desc->natts, 1));

			memset(nulls, true, sizeof(bool) * result->desc->natts);
			row = heap_form_tuple(result->desc, values, nulls);
		}
		keep_row(result, row);
		tuplestore_puttuple(set, row);
		if (inner.isDone == ExprSingleResult)
			break;
	}
	fcinfo->resultinfo = (Node *) rsinfo;
	fcinfo->isnull = true;
	return (Datum) 0;
}

static void
take_set(TaskapiFunctionResult *result, Tuplestorestate *from, Tuplestorestate *to)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(result->desc, &TTSOpsMinimalTuple);

	while (tuplestore_gettupleslot(from, true, false, slot))
	{
		HeapTuple	row = ExecCopySlotHeapTuple(slot);

		CHECK_FOR_INTERRUPTS();
		keep_row(result, row);
		tuplestore_puttuple(to, row);
		heap_freetuple(row);
	}
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_end(from);
}

struct varlena *
taskapi_function_result_body(TaskapiFunctionResult *result)
{
	return taskapi_answer_end(&result->body);
}

bool
taskapi_function_result_load(TaskapiFunctionResult *result, struct varlena *body)
{
	return taskapi_answer_rows(body, result->type, result->desc, &result->loaded, &result->nloaded) &&
		(result->form == TASKAPI_RESULT_SET || result->nloaded <= 1);
}

Datum
taskapi_function_result_give(TaskapiFunctionResult *result, FunctionCallInfo fcinfo)
{
	HeapTuple	row = result->nloaded > 0 ? result->loaded[0] : NULL;
	Tuplestorestate *set;

	switch (result->form)
	{
		case TASKAPI_RESULT_TRIGGER:
			return PointerGetDatum(row);
		case TASKAPI_RESULT_VALUE:
			if (row != NULL)
				return heap_getattr(row, 1, result->desc, &fcinfo->isnull);
			break;
		case TASKAPI_RESULT_ROW:
			/* the functions that read its values may have altered its type */
			require_row_type(result, result->desc->tdtypeid, result->desc->tdtypmod);
			if (row != NULL)
				return heap_copy_tuple_as_datum(row, result->desc);
			break;
		case TASKAPI_RESULT_SET:
			set = begin_set(result, fcinfo);
			for (int i = 0; i < result->nloaded; i++)
				tuplestore_puttuple(set, result->loaded[i]);
			break;
	}
	fcinfo->isnull = true;
	return (Datum) 0;
}
