/*-------------------------------------------------------------------------
 *
 * page_fetch.c
 *	  The rows that follow a position (page_fetch.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/spi.h"
#include "tcop/dest.h"

#include "base/compat.h"
#include "cursor/cursor_compare.h"
#include "page/page_fetch.h"
#include "page/page_plan.h"
#include "page/page_steer.h"
#include "page/page_unbounded.h"

/* Takes in the rows of all branches, in the order in which they come */
typedef struct RowReceiver
{
	DestReceiver pub;
	MemoryContext context;
	TaskapiPageQuery *query;
	int			nrows;
	int			wanted;
	TaskapiPageRow *rows;
} RowReceiver;

static bool receive_row(TupleTableSlot *slot, DestReceiver *self);
static void receive_start(DestReceiver *self, int operation, TupleDesc typeinfo);
static void receive_end(DestReceiver *self);
static void check_same_order(const TaskapiPageQuery *query, const TaskapiPageQuery *other);

ParamListInfo
taskapi_page_params(TaskapiPageQuery *query, List *conditions, const TaskapiPagePosition *position)
{
	int			nterms = query->order->nterms;
	ParamListInfo params = makeParamList(query->nparams);
	Datum	   *filter = palloc(sizeof(Datum) * Max(query->nfilter, 1));

	taskapi_filter_values(conditions, query->bindings, filter);
	for (int i = 0; i < query->nparams; i++)
	{
		ParamExternData *param = &params->params[i];
		int			term = i - query->nfilter;

		param->ptype = query->argtypes[i];
		param->pflags = PARAM_FLAG_CONST;
		param->value = (Datum) 0;
		param->isnull = term >= 0 && (position == NULL || (term < nterms && position->isnull[term]));
		if (term < 0)
			param->value = filter[i];
		else if (position)
			param->value = term < nterms ? position->values[term] :
				PointerGetDatum(taskapi_cursor_build(query->index_cursor, position->values, position->isnull));
	}
	return params;
}

int
taskapi_page_fetch(TaskapiPageQuery *query, List *conditions, const TaskapiPagePosition *position,
				   bool backward, int count, TaskapiPageRow **rows)
{
	TaskapiBranch branches[TASKAPI_MAX_BRANCHES];
	int			nbranches;
	ParamListInfo params = taskapi_page_params(query, conditions, position);
	RowReceiver receiver = {
		.pub = {
			.receiveSlot = receive_row,
			.rStartup = receive_start,
			.rShutdown = receive_end,
			.rDestroy = receive_end,
			.mydest = DestTuplestore
		},
		.context = CurrentMemoryContext,
		.query = query,
		.wanted = count,
		.rows = palloc(sizeof(TaskapiPageRow) * count)
	};

	taskapi_page_count_unbounded(query);
	nbranches = taskapi_page_branches(query, position ? position->isnull : NULL, backward,
									  position && position->inclusive, branches);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	for (int i = 0; i < nbranches && receiver.nrows < count; i++)
		taskapi_page_run(query, &branches[i], params, count - receiver.nrows, &receiver.pub);
	SPI_finish();
	*rows = receiver.rows;
	return receiver.nrows;
}

static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	RowReceiver *receiver = (RowReceiver *) self;
	MemoryContext old = MemoryContextSwitchTo(receiver->context);
	TaskapiPageRow *row = &receiver->rows[receiver->nrows++];

	row->query = receiver->query;
	row->tuple = ExecCopySlotHeapTuple(slot);
	MemoryContextSwitchTo(old);
	return receiver->nrows < receiver->wanted;
}

static void
receive_start(DestReceiver *self, int operation, TupleDesc typeinfo)
{
	TupleDesc	desc = ((RowReceiver *) self)->query->desc;
	bool		matches = typeinfo->natts == desc->natts;

	taskapi_page_steer_end();
	for (int i = 0; i < desc->natts && matches; i++)
		matches = TupleDescAttr(typeinfo, i)->atttypid == TupleDescAttr(desc, i)->atttypid;
	if (!matches)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("the columns of the page have changed while it was fetched")));
}

static void
receive_end(DestReceiver *self)
{
}

int
taskapi_page_fetch_both(TaskapiPageQuery *query, TaskapiPageQuery *other, List *conditions,
						const TaskapiPagePosition *position, bool backward, int count, TaskapiPageRow **rows)
{
	TaskapiPageRow *a;
	TaskapiPageRow *b;
	int			na;
	int			nb;
	int			n = 0;

	check_same_order(query, other);
	na = taskapi_page_fetch(query, conditions, position, backward, count, &a);
	nb = taskapi_page_fetch(other, conditions, position, backward, count, &b);
	*rows = palloc(sizeof(TaskapiPageRow) * count);
	for (int i = 0, j = 0; n < count && (i < na || j < nb);)
	{
		bool		take_a = j == nb;

		if (i < na && j < nb)
		{
			int			order = taskapi_page_compare_rows(&a[i], &b[j]);

			take_a = backward ? order >= 0 : order <= 0;
		}
		(*rows)[n++] = take_a ? a[i++] : b[j++];
	}
	return n;
}

static void
check_same_order(const TaskapiPageQuery *query, const TaskapiPageQuery *other)
{
	bool		same = query->order->nterms == other->order->nterms;

	for (int i = 0; i < query->order->nterms && same; i++)
		same = query->order->terms[i].argtype == other->order->terms[i].argtype &&
			query->order->terms[i].keytype == other->order->terms[i].keytype &&
			query->order->terms[i].column->collation == other->order->terms[i].column->collation;
	if (!same)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("cannot order rows of \"%s\" and \"%s\" together", query->source->name, other->source->name)));
}

void
taskapi_page_row_position(const TaskapiPageRow *row, TaskapiPagePosition *position)
{
	const TaskapiPageQuery *query = row->query;

	position->backward = position->inclusive = false;
	for (int i = 0; i < query->order->nterms; i++)
	{
		AttrNumber	attno = query->column_of_term[i];

		position->values[i] = heap_getattr(row->tuple, attno, query->desc, &position->isnull[i]);
		if (!position->isnull[i] && TupleDescAttr(query->desc, attno - 1)->attlen == -1)
			position->values[i] = PointerGetDatum(PG_DETOAST_DATUM(position->values[i]));
	}
}

int
taskapi_page_compare_rows(const TaskapiPageRow *a, const TaskapiPageRow *b)
{
	TaskapiCursorShape *shape = a->query->cursor;
	TaskapiPagePosition x;
	TaskapiPagePosition y;

	taskapi_page_row_position(a, &x);
	taskapi_page_row_position(b, &y);
	return taskapi_cursor_compare_positions(shape, taskapi_cursor_build(shape, x.values, x.isnull),
											taskapi_cursor_build(shape, y.values, y.isnull));
}
