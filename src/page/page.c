/*-------------------------------------------------------------------------
 *
 * page.c
 *	  page() and page_rows(): one page of a relation, in any order, at a cost that
 *	  does not depend on how deep it is.
 *
 * A page is fetched with one row more than it shows, which tells exactly whether
 * there is another page that way.  Every branch (page_branch.h) runs with the snapshot of
 * the calling statement, as the caller, and only reads, so that a page is one consistent
 * state, row-level security applies, and a standby will do.
 *
 * A source without a proven key may have rows that are equal in all terms.  A page must not end
 * between two of them, since the next one would begin behind both.
 *
 * Tokens: next is the last row's position, forward; previous the first row's, backward.
 * Where a page that a token asked for is empty, the position is the token's own: going back
 * from there includes it exactly if going there did not.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/optimizer.h"
#include "tcop/dest.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"
#include "utils/typcache.h"

#include "base/args.h"
#include "base/compat.h"
#include "cursor/cursor_compare.h"
#include "page/page_json.h"
#include "page/page_link.h"
#include "page/page_plan.h"
#include "page/page_steer.h"
#include "page/page_token.h"
#include "http/layer.h"
#include "http/problem.h"
#include "http/response.h"
#include "page/page.h"

static int	default_page_size = 50;
static int	max_page_size = 1000;

/* The arguments behind the source, which page() and page_rows() share */
typedef struct PageRequest
{
	Oid			relid;
	TaskapiPageArguments given;
	int			size;
	List	   *conditions;
} PageRequest;

typedef struct PageResult
{
	int			nrows;
	HeapTuple  *rows;			/* in page order */
	bool		has_next;
	bool		has_previous;
	char	   *next_token;		/* "" is none */
	char	   *previous_token;
} PageResult;

/* Takes in the rows of all branches, in the order in which they come */
typedef struct RowReceiver
{
	DestReceiver pub;
	MemoryContext context;
	int			nrows;
	int			wanted;
	TupleDesc	desc;			/* what the rows are expected to be */
	HeapTuple  *rows;
} RowReceiver;

/* Of page_result */
static const Oid result_types[] = {JSONOID, TEXTOID, TEXTOID, BOOLOID, BOOLOID};

static void check_result_type(TupleDesc desc);
static void check_row_type(TupleDesc desc, TupleDesc expected, TupleDesc fetched);
static void read_request(FunctionCallInfo fcinfo, Oid relid, PageRequest *request);
static int	page_size(FunctionCallInfo fcinfo, int arg);
static TaskapiPageQuery *borrow_query(const PageRequest *request);
static void fetch_page(TaskapiPageQuery *query, const PageRequest *request, bool row_type, PageResult *page);
static void return_rows(const TaskapiPageQuery *query, const PageResult *page, Oid row_type, ReturnSetInfo *rsinfo);
static void fetch_rows(TaskapiPageQuery *query, const PageRequest *request, const TaskapiPagePosition *position,
					   int fetch, RowReceiver *receiver);
static bool receive_row(TupleTableSlot *slot, DestReceiver *self);
static void receive_start(DestReceiver *self, int operation, TupleDesc typeinfo);
static void receive_end(DestReceiver *self);
static void check_boundary(TaskapiPageQuery *query, HeapTuple last, HeapTuple beyond);
static void row_position(const TaskapiPageQuery *query, HeapTuple row, TaskapiPagePosition *position);
static void make_tokens(TaskapiPageQuery *query, PageResult *page, const uint8 *binding,
						const TaskapiPagePosition *position);
static text *items_json(const TaskapiPageQuery *query, const PageResult *page);

void
taskapi_page_init(void)
{
	DefineCustomIntVariable("taskapi.default_page_size",
							"Sets the default number of rows per page.",
							NULL, &default_page_size, 50, 1, 1000000, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("taskapi.max_page_size",
							"Sets the maximum number of rows per page.",
							"A larger requested size is lowered to this value.",
							&max_page_size, 1000, 1, 1000000, PGC_USERSET, 0, NULL, NULL, NULL);
	taskapi_page_query_init();
	taskapi_page_steer_init();
}

/*
 * page(source regclass, order_by text, page_size int, page_token text, filter jsonb)
 *		-> page_result (items json, next_page_token text, previous_page_token text, has_next bool, has_previous bool)
 *
 * Errors: invalid_order_by, invalid_page_size, invalid_filter, invalid_cursor, cursor_expired, cursor_mismatch;
 * and the ordinary ones for a source that is not there or may not be read.  AIP-158, Relay, RFC 8288.
 */
PG_FUNCTION_INFO_V1(taskapi_page);
Datum
taskapi_page(PG_FUNCTION_ARGS)
{
	PageRequest request;
	TaskapiPageQuery *query;
	PageResult	page;
	TupleDesc	desc;
	Datum		values[lengthof(result_types)];
	bool		nulls[lengthof(result_types)] = {false};

	taskapi_require_arg(fcinfo, 0, "source");
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	check_result_type(desc);

	read_request(fcinfo, PG_GETARG_OID(0), &request);
	query = borrow_query(&request);
	PG_TRY();
	{
		fetch_page(query, &request, false, &page);
		values[0] = PointerGetDatum(items_json(query, &page));
	}
	PG_FINALLY();
	{
		taskapi_page_query_release(query);
	}
	PG_END_TRY();
	if (taskapi_in_request())
		taskapi_page_set_link(&request.given, page.next_token, page.previous_token);
	values[1] = CStringGetTextDatum(page.next_token);
	values[2] = CStringGetTextDatum(page.previous_token);
	values[3] = BoolGetDatum(page.has_next);
	values[4] = BoolGetDatum(page.has_previous);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/*
 * page_rows(row_type anyelement, order_by text, page_size int, page_token text, filter jsonb) -> SETOF anyelement
 *
 * The rows of page(); "row_type" says by its type which relation.  The token may be one of page(), or the cursor of a
 * row in the same order.  The same errors.
 */
PG_FUNCTION_INFO_V1(taskapi_page_rows);
Datum
taskapi_page_rows(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, 0);
	Oid			relid = OidIsValid(type) ? get_typ_typrelid(getBaseType(type)) : InvalidOid;
	PageRequest request;
	TaskapiPageQuery *query;

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("page_rows() needs the row type of a table or view"),
				 errhint("Write page_rows(NULL::schema.name).")));

	read_request(fcinfo, relid, &request);
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	query = borrow_query(&request);
	PG_TRY();
	{
		PageResult	page;

		fetch_page(query, &request, true, &page);
		return_rows(query, &page, getBaseType(type), rsinfo);
	}
	PG_FINALLY();
	{
		taskapi_page_query_release(query);
	}
	PG_END_TRY();
	return (Datum) 0;
}

/*
 * Is page_result as it was created?
 */
static void
check_result_type(TupleDesc desc)
{
	bool		matches = desc->natts == lengthof(result_types);

	for (int i = 0; i < lengthof(result_types) && matches; i++)
		matches = TupleDescAttr(desc, i)->atttypid == result_types[i] && !TupleDescAttr(desc, i)->attisdropped;
	if (!matches)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("type page_result has changed")));
}

/*
 * Is the row type, of which the rows were fetched, what the caller's executor made ready for?  It looked when it started,
 * and locks nothing: the type may have changed since, and one type's Datum must not be taken for another's.
 */
static void
check_row_type(TupleDesc desc, TupleDesc expected, TupleDesc fetched)
{
	bool		matches = desc->natts == expected->natts;
	int			n = 0;

	for (int i = 0; i < desc->natts && matches; i++)
	{
		Form_pg_attribute a = TupleDescAttr(desc, i);
		Form_pg_attribute b = TupleDescAttr(expected, i);

		matches = a->attisdropped == b->attisdropped && a->attlen == b->attlen &&
			a->attbyval == b->attbyval && a->attalign == b->attalign &&
			(a->attisdropped || (a->atttypid == b->atttypid && a->atttypmod == b->atttypmod &&
								 n < fetched->natts && a->atttypid == TupleDescAttr(fetched, n++)->atttypid));
	}
	if (!matches || n != fetched->natts)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("row type %s has changed since the query started", format_type_be(desc->tdtypeid))));
}

/*
 * What a dropped column leaves in the row type was not fetched.
 */
static void
return_rows(const TaskapiPageQuery *query, const PageResult *page, Oid row_type, ReturnSetInfo *rsinfo)
{
	TupleDesc	desc = lookup_rowtype_tupdesc_copy(row_type, -1);
	Datum	   *values = palloc0(sizeof(Datum) * Max(desc->natts, 1));
	bool	   *nulls = palloc(sizeof(bool) * Max(desc->natts, 1));
	Datum	   *row_values = palloc(sizeof(Datum) * Max(desc->natts, 1));
	bool	   *row_nulls = palloc(sizeof(bool) * Max(desc->natts, 1));

	check_row_type(desc, rsinfo->setDesc, query->desc);
	for (int i = 0; i < page->nrows; i++)
	{
		int			n = 0;

		CHECK_FOR_INTERRUPTS();
		heap_deform_tuple(page->rows[i], query->desc, row_values, row_nulls);
		for (int a = 0; a < desc->natts; a++)
		{
			nulls[a] = TupleDescAttr(desc, a)->attisdropped ? true : row_nulls[n];
			if (!TupleDescAttr(desc, a)->attisdropped)
				values[a] = row_values[n++];
		}
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
}

/*
 * Planner support of page_rows(): how many rows.
 */
PG_FUNCTION_INFO_V1(taskapi_page_rows_support);
Datum
taskapi_page_rows_support(PG_FUNCTION_ARGS)
{
	Node	   *node = (Node *) PG_GETARG_POINTER(0);

	if (IsA(node, SupportRequestRows))
	{
		SupportRequestRows *request = (SupportRequestRows *) node;
		int			size = default_page_size;

		if (is_funcclause(request->node))
		{
			List	   *args = ((FuncExpr *) request->node)->args;

			if (list_length(args) >= 3)
			{
				Node	   *arg = estimate_expression_value(request->root, list_nth(args, 2));

				if (IsA(arg, Const) && !((Const *) arg)->constisnull && DatumGetInt32(((Const *) arg)->constvalue) > 0)
					size = DatumGetInt32(((Const *) arg)->constvalue);
			}
		}
		request->rows = Min(size, max_page_size);
		PG_RETURN_POINTER(request);
	}
	PG_RETURN_POINTER(NULL);
}

static void
read_request(FunctionCallInfo fcinfo, Oid relid, PageRequest *request)
{
	TaskapiPageArguments *given = &request->given;

	memset(request, 0, sizeof(PageRequest));
	request->relid = relid;
	if (!PG_ARGISNULL(1) && VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(1)) > 0)
		given->order_by = PG_GETARG_TEXT_PP(1);
	given->page_size = PG_ARGISNULL(2) ? -1 : PG_GETARG_INT32(2);
	if (!PG_ARGISNULL(3) && VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(3)) > 0)
		given->page_token = PG_GETARG_TEXT_PP(3);
	if (!PG_ARGISNULL(4))
		given->filter = PG_GETARG_JSONB_P(4);
	request->size = page_size(fcinfo, 2);
	request->conditions = taskapi_filter_parse(given->filter);
}

static int
page_size(FunctionCallInfo fcinfo, int arg)
{
	int			size = PG_ARGISNULL(arg) ? 0 : PG_GETARG_INT32(arg);

	if (size < 0)
		taskapi_problem(PROBLEM_INVALID_PAGE_SIZE, NIL, NULL, "It is %d, and must not be negative.", size);
	return Min(size == 0 ? default_page_size : size, max_page_size);
}

static TaskapiPageQuery *
borrow_query(const PageRequest *request)
{
	text	   *order_by = request->given.order_by;

	return taskapi_page_query(request->relid,
							  order_by ? VARDATA_ANY(order_by) : NULL,
							  order_by ? (int) VARSIZE_ANY_EXHDR(order_by) : 0,
							  request->conditions, request->size + 1);
}

static void
fetch_page(TaskapiPageQuery *query, const PageRequest *request, bool row_type, PageResult *page)
{
	uint8		binding[TASKAPI_PAGE_BINDING_LENGTH];
	TaskapiPagePosition given;
	text	   *token = request->given.page_token;
	TaskapiPagePosition *position = token ? &given : NULL;
	RowReceiver receiver;
	bool		more;

	if (row_type && !query->source->all_readable)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for some columns of \"%s\"", query->source->name)));
	if (position || !row_type)
		taskapi_page_binding(query->source, request->conditions, binding);
	if (position)
		taskapi_page_token_open(query, binding, VARDATA_ANY(token), VARSIZE_ANY_EXHDR(token), row_type, position);

	fetch_rows(query, request, position, request->size + 1, &receiver);
	more = receiver.nrows > request->size;
	page->nrows = Min(receiver.nrows, request->size);
	page->rows = receiver.rows;
	if (more && !query->order->unique)
		check_boundary(query, page->rows[page->nrows - 1], page->rows[page->nrows]);
	if (position && position->backward)
	{
		for (int i = 0, j = page->nrows - 1; i < j; i++, j--)
		{
			HeapTuple	row = page->rows[i];

			page->rows[i] = page->rows[j];
			page->rows[j] = row;
		}
	}
	page->has_next = position && position->backward ? true : more;
	page->has_previous = position && !position->backward ? true : position ? more : false;
	page->next_token = page->previous_token = "";
	if (!row_type)
		make_tokens(query, page, binding, position);
}

static void
fetch_rows(TaskapiPageQuery *query, const PageRequest *request, const TaskapiPagePosition *position,
		   int fetch, RowReceiver *receiver)
{
	TaskapiBranch branches[TASKAPI_MAX_BRANCHES];
	int			nbranches;
	int			nterms = query->order->nterms;
	ParamListInfo params = makeParamList(query->nparams);
	Datum	   *filter = palloc(sizeof(Datum) * Max(query->nfilter, 1));

	*receiver = (RowReceiver)
	{
		.pub = {
			.receiveSlot = receive_row,
			.rStartup = receive_start,
			.rShutdown = receive_end,
			.rDestroy = receive_end,
			.mydest = DestTuplestore
		},
		.context = CurrentMemoryContext,
		.wanted = fetch,
		.desc = query->desc,
		.rows = palloc(sizeof(HeapTuple) * fetch)
	};

	taskapi_filter_values(request->conditions, query->bindings, filter);
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

	nbranches = taskapi_page_branches(query, position ? position->isnull : NULL,
									  position && position->backward, position && position->inclusive, branches);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	for (int i = 0; i < nbranches && receiver->nrows < fetch; i++)
		taskapi_page_run(query, &branches[i], params, fetch - receiver->nrows, &receiver->pub);
	SPI_finish();
}

static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	RowReceiver *receiver = (RowReceiver *) self;
	MemoryContext old = MemoryContextSwitchTo(receiver->context);

	receiver->rows[receiver->nrows++] = ExecCopySlotHeapTuple(slot);
	MemoryContextSwitchTo(old);
	return receiver->nrows < receiver->wanted;
}

static void
receive_start(DestReceiver *self, int operation, TupleDesc typeinfo)
{
	TupleDesc	desc = ((RowReceiver *) self)->desc;
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

/*
 * Without a proven key: is what divides two pages a difference?
 */
static void
check_boundary(TaskapiPageQuery *query, HeapTuple last, HeapTuple beyond)
{
	TaskapiPagePosition a;
	TaskapiPagePosition b;

	row_position(query, last, &a);
	row_position(query, beyond, &b);
	if (taskapi_cursor_compare_positions(query->cursor, taskapi_cursor_build(query->cursor, a.values, a.isnull),
										 taskapi_cursor_build(query->cursor, b.values, b.isnull)) == 0)
		taskapi_problem(PROBLEM_INVALID_ORDER_BY, NIL, "Add columns that make it unique.",
						"\"%s\" has no key, and rows that are equal in every term stand where this page ends.",
						query->source->name);
}

static void
row_position(const TaskapiPageQuery *query, HeapTuple row, TaskapiPagePosition *position)
{
	position->backward = position->inclusive = false;
	for (int i = 0; i < query->order->nterms; i++)
	{
		AttrNumber	attno = query->column_of_term[i];

		position->values[i] = heap_getattr(row, attno, query->desc, &position->isnull[i]);
		if (!position->isnull[i] && TupleDescAttr(query->desc, attno - 1)->attlen == -1)
			position->values[i] = PointerGetDatum(PG_DETOAST_DATUM(position->values[i]));
	}
}

static void
make_tokens(TaskapiPageQuery *query, PageResult *page, const uint8 *binding, const TaskapiPagePosition *position)
{
	TaskapiPagePosition at;

	if (page->nrows == 0)
	{
		if (position == NULL)
			return;
		at = *position;
		at.backward = !position->backward;
		at.inclusive = !position->inclusive;
		if (at.backward)
			page->previous_token = taskapi_page_token_seal(query, binding, &at);
		else
			page->next_token = taskapi_page_token_seal(query, binding, &at);
		return;
	}
	if (page->has_next)
	{
		row_position(query, page->rows[page->nrows - 1], &at);
		page->next_token = taskapi_page_token_seal(query, binding, &at);
	}
	if (page->has_previous)
	{
		row_position(query, page->rows[0], &at);
		at.backward = true;
		page->previous_token = taskapi_page_token_seal(query, binding, &at);
	}
}

static text *
items_json(const TaskapiPageQuery *query, const PageResult *page)
{
	TaskapiRowWriter *writer = page->nrows > 0 ? taskapi_row_writer(query->desc) : NULL;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "taskapi page items", ALLOCSET_DEFAULT_SIZES);
	StringInfoData buf;
	text	   *result;

	initStringInfo(&buf);
	appendStringInfoChar(&buf, '[');
	for (int i = 0; i < page->nrows; i++)
	{
		MemoryContext old;

		CHECK_FOR_INTERRUPTS();
		if (i > 0)
			appendStringInfoChar(&buf, ',');
		old = MemoryContextSwitchTo(context);
		taskapi_write_row(writer, page->rows[i], &buf);
		MemoryContextSwitchTo(old);
		MemoryContextReset(context);
	}
	appendStringInfoChar(&buf, ']');
	MemoryContextDelete(context);
	result = cstring_to_text_with_len(buf.data, buf.len);
	pfree(buf.data);
	return result;
}
