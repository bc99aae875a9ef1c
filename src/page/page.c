/*-------------------------------------------------------------------------
 *
 * page.c
 *	  page() and page_rows(): one page of a relation, in any order, at a cost that
 *	  does not depend on how deep it is.
 *
 * A page is fetched with one row more than it shows, which tells exactly whether
 * there is another page that way.  It is one consistent state, as the caller sees it, and a
 * standby will do (page_fetch.h).
 *
 * A source without a proven key may have rows that are equal in all terms.  A page must not end
 * between two of them, since the next one would begin behind both.
 *
 * Tokens: next is the last row's position, forward; previous the first row's, backward.
 * Where a page that a token asked for is empty, the position is the token's own: going back
 * from there includes it exactly if going there did not.
 *
 * The token "last" is the page that ends with the last row, as "last" without "before" is in
 * Relay: it is fetched backward from nowhere.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"
#include "utils/typcache.h"

#include "base/args.h"
#include "base/compat.h"
#include "page/page_fetch.h"
#include "page/page_items.h"
#include "page/page_link.h"
#include "page/page_steer.h"
#include "page/page_total.h"
#include "http/layer.h"
#include "http/problem.h"
#include "http/response.h"
#include "page/page.h"

static int	default_page_size = 50;
static int	max_page_size = 1000;

#define LAST_PAGE "last"

/* What was asked for */
typedef struct PageRequest
{
	Oid			relid;
	Oid			other;			/* whose rows stand among those of relid; InvalidOid is none */
	text	   *default_order;	/* if there is none in "given"; NULL is the key */
	TaskapiPageArguments given;
	int			size;
	bool		from_end;		/* the last page */
	List	   *conditions;
	TaskapiPageCount count;
	TaskapiPageColumns columns;
} PageRequest;

typedef struct PageResult
{
	int			nrows;
	TaskapiPageRow *rows;		/* in page order */
	bool		has_next;
	bool		has_previous;
	char	   *next_token;		/* "" is none */
	char	   *previous_token;
} PageResult;

/* Of page_result */
static const Oid result_types[] = {JSONOID, TEXTOID, TEXTOID, BOOLOID, BOOLOID, INT8OID};

/* A page may be asked for while one is fetched, by what its rows call */
static int	depth = 0;

static Oid	deleted_resource(Oid resource);
static Datum page_result(FunctionCallInfo fcinfo, PageRequest *request, Oid linked);
static void make_result(const PageRequest *request, PageResult *page, Datum *values, bool *nulls);
static void leave(TaskapiPageQuery *volatile *borrowed);
static void fill_result(const PageRequest *request, TaskapiPageQuery *volatile *borrowed, PageResult *page, Datum *values);
static void check_row_type(TupleDesc desc, TupleDesc expected, TupleDesc fetched);
static void read_request(FunctionCallInfo fcinfo, int first, Oid relid, PageRequest *request);
static void read_options(FunctionCallInfo fcinfo, int first, PageRequest *request);
static int	page_size(FunctionCallInfo fcinfo, int arg);
static TaskapiPageQuery *borrow_query(const PageRequest *request, Oid relid);
static void fetch_page(TaskapiPageQuery *query, TaskapiPageQuery *other, const PageRequest *request, bool row_type,
					   PageResult *page);
static void return_rows(const TaskapiPageQuery *query, const PageResult *page, Oid row_type, ReturnSetInfo *rsinfo);
static void check_boundary(const TaskapiPageRow *last, const TaskapiPageRow *beyond);
static void make_tokens(TaskapiPageQuery *query, PageResult *page, const uint8 *binding,
						const TaskapiPagePosition *position);

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
 * page(source regclass, order_by text, page_size int, page_token text, filter jsonb, count text, columns text[])
 *		-> page_result (items json, next_page_token text, previous_page_token text, has_next bool, has_previous bool,
 *						total_size bigint)
 *
 * Errors: invalid_order_by, invalid_page_size, invalid_filter, invalid_cursor, cursor_expired, cursor_mismatch;
 * invalid_value for a way to count or a column that there is not; and the ordinary ones for a source that is not there
 * or may not be read.  AIP-158, Relay.
 */
PG_FUNCTION_INFO_V1(taskapi_page);
Datum
taskapi_page(PG_FUNCTION_ARGS)
{
	PageRequest request;

	taskapi_require_arg(fcinfo, 0, "source");
	read_request(fcinfo, 1, PG_GETARG_OID(0), &request);
	read_options(fcinfo, 5, &request);
	return page_result(fcinfo, &request, InvalidOid);
}

/*
 * resource_page(resource regclass, soft_delete bool, default_order text, order_by text, page_size int, page_token text,
 *				 filter jsonb, count text, columns text[], show_deleted bool) -> page_result
 *
 * The body of RESOURCE_page(): page() in the order of the resource, with its deleted rows among the others if
 * show_deleted is true (AIP-164), and with the header Link if that function is what the request called (RFC 8288).
 */
PG_FUNCTION_INFO_V1(taskapi_resource_page);
Datum
taskapi_resource_page(PG_FUNCTION_ARGS)
{
	PageRequest request;

	taskapi_require_arg(fcinfo, 0, "resource");
	read_request(fcinfo, 3, PG_GETARG_OID(0), &request);
	read_options(fcinfo, 7, &request);
	request.default_order = PG_ARGISNULL(2) ? NULL : PG_GETARG_TEXT_PP(2);
	request.given.show_deleted = !PG_ARGISNULL(9) && PG_GETARG_BOOL(9);
	if (request.given.show_deleted)
	{
		if (!PG_ARGISNULL(1) && PG_GETARG_BOOL(1))
			request.other = deleted_resource(request.relid);
		if (!OidIsValid(request.other))
			taskapi_problem(PROBLEM_INVALID_VALUE, NIL, NULL, "The resource keeps no deleted rows to show.");
	}
	return page_result(fcinfo, &request, request.relid);
}

/*
 * The view of the deleted rows, whose name is fixed.  The caller's privileges on it are asked as for any source.
 */
static Oid
deleted_resource(Oid resource)
{
	char	   *name = get_rel_name(resource);

	return get_relname_relid(psprintf("deleted_%s", name ? name : ""), get_rel_namespace(resource));
}

/*
 * "linked": the resource whose page function may have been called, for Link; else InvalidOid.
 */
static Datum
page_result(FunctionCallInfo fcinfo, PageRequest *request, Oid linked)
{
	PageResult	page;
	TupleDesc	desc;
	Datum		values[lengthof(result_types)];
	bool		nulls[lengthof(result_types)] = {false};

	desc = taskapi_require_row_type(fcinfo, "page_result", lengthof(result_types), result_types);
	make_result(request, &page, values, nulls);
	if (depth == 0 && OidIsValid(linked) && taskapi_in_request())
		taskapi_page_set_link(linked, &request->given, page.next_token, page.previous_token);
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

static void
make_result(const PageRequest *request, PageResult *page, Datum *values, bool *nulls)
{
	TaskapiPageQuery *volatile borrowed[2] = {NULL, NULL};

	depth++;
	PG_TRY();
	{
		fill_result(request, borrowed, page, values);
	}
	PG_CATCH();
	{
		leave(borrowed);
		PG_RE_THROW();
	}
	PG_END_TRY();
	leave(borrowed);
	values[1] = CStringGetTextDatum(page->next_token);
	values[2] = CStringGetTextDatum(page->previous_token);
	values[3] = BoolGetDatum(page->has_next);
	values[4] = BoolGetDatum(page->has_previous);
	nulls[5] = request->count == COUNT_NONE;
}

static void
leave(TaskapiPageQuery *volatile *borrowed)
{
	depth--;
	for (int i = 0; i < 2 && borrowed[i]; i++)
		taskapi_page_query_release(borrowed[i]);
}

static void
fill_result(const PageRequest *request, TaskapiPageQuery *volatile *borrowed, PageResult *page, Datum *values)
{
	int64		total = 0;

	borrowed[0] = borrow_query(request, request->relid);
	if (OidIsValid(request->other))
		borrowed[1] = borrow_query(request, request->other);
	taskapi_page_check_columns(&request->columns, borrowed[0], borrowed[1]);
	fetch_page(borrowed[0], borrowed[1], request, false, page);
	values[0] = PointerGetDatum(taskapi_page_items(&request->columns, page->rows, page->nrows));

	/* All rows may stand here */
	if ((request->given.page_token == NULL || request->from_end) && !page->has_next && !page->has_previous)
		total = page->nrows;
	else if (request->count != COUNT_NONE)
	{
		for (int i = 0; i < 2 && borrowed[i]; i++)
			total += taskapi_page_total(borrowed[i], request->conditions, request->count, max_page_size);
	}
	values[5] = Int64GetDatum(total);
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

	read_request(fcinfo, 1, relid, &request);
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	query = borrow_query(&request, relid);
	PG_TRY();
	{
		PageResult	page;

		fetch_page(query, NULL, &request, true, &page);
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
		heap_deform_tuple(page->rows[i].tuple, query->desc, row_values, row_nulls);
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

/*
 * The arguments order_by, page_size, page_token and filter, the first of which is argument "first".
 */
static void
read_request(FunctionCallInfo fcinfo, int first, Oid relid, PageRequest *request)
{
	TaskapiPageArguments *given = &request->given;

	memset(request, 0, sizeof(PageRequest));
	request->relid = relid;
	if (!PG_ARGISNULL(first) && VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(first)) > 0)
		given->order_by = PG_GETARG_TEXT_PP(first);
	given->page_size = PG_ARGISNULL(first + 1) ? -1 : PG_GETARG_INT32(first + 1);
	if (!PG_ARGISNULL(first + 2) && VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(first + 2)) > 0)
		given->page_token = PG_GETARG_TEXT_PP(first + 2);
	request->from_end = given->page_token && VARSIZE_ANY_EXHDR(given->page_token) == strlen(LAST_PAGE) &&
		memcmp(VARDATA_ANY(given->page_token), LAST_PAGE, strlen(LAST_PAGE)) == 0;
	if (!PG_ARGISNULL(first + 3))
		given->filter = PG_GETARG_JSONB_P(first + 3);
	request->size = page_size(fcinfo, first + 1);
	request->conditions = taskapi_filter_parse(given->filter);
}

/*
 * The arguments count and columns.
 */
static void
read_options(FunctionCallInfo fcinfo, int first, PageRequest *request)
{
	if (!PG_ARGISNULL(first))
		request->given.count = PG_GETARG_TEXT_PP(first);
	if (!PG_ARGISNULL(first + 1))
		request->given.columns = PG_GETARG_ARRAYTYPE_P(first + 1);
	request->count = taskapi_page_count_mode(request->given.count);
	request->columns = taskapi_page_columns(request->given.columns);
}

int
taskapi_page_size(int asked)
{
	if (asked < 0)
		taskapi_problem(PROBLEM_INVALID_PAGE_SIZE, NIL, NULL, "It is %d, and must not be negative.", asked);
	return Min(asked == 0 ? default_page_size : asked, max_page_size);
}

static int
page_size(FunctionCallInfo fcinfo, int arg)
{
	return taskapi_page_size(PG_ARGISNULL(arg) ? 0 : PG_GETARG_INT32(arg));
}

static TaskapiPageQuery *
borrow_query(const PageRequest *request, Oid relid)
{
	text	   *order_by = request->given.order_by ? request->given.order_by : request->default_order;

	return taskapi_page_query(relid,
							  order_by ? VARDATA_ANY(order_by) : NULL,
							  order_by ? (int) VARSIZE_ANY_EXHDR(order_by) : 0,
							  request->conditions, request->size + 1);
}

static void
fetch_page(TaskapiPageQuery *query, TaskapiPageQuery *other, const PageRequest *request, bool row_type, PageResult *page)
{
	uint8		binding[TASKAPI_PAGE_BINDING_LENGTH];
	TaskapiPagePosition given;
	text	   *token = request->from_end ? NULL : request->given.page_token;
	TaskapiPagePosition *position = token ? &given : NULL;
	bool		backward;
	bool		more;
	int			n;

	if (row_type && !query->source->all_readable)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for some columns of \"%s\"", query->source->name)));
	if (position || !row_type)
		taskapi_page_binding(query->source, other ? other->source : NULL, request->conditions, binding);
	if (position)
		taskapi_page_token_open(query, binding, VARDATA_ANY(token), VARSIZE_ANY_EXHDR(token), row_type, position);

	backward = position ? position->backward : request->from_end;
	n = other ? taskapi_page_fetch_both(query, other, request->conditions, position, backward, request->size + 1, &page->rows) :
		taskapi_page_fetch(query, request->conditions, position, backward, request->size + 1, &page->rows);
	more = n > request->size;
	page->nrows = Min(n, request->size);
	if (more && !query->order->unique)
		check_boundary(&page->rows[page->nrows - 1], &page->rows[page->nrows]);
	if (backward)
	{
		for (int i = 0, j = page->nrows - 1; i < j; i++, j--)
		{
			TaskapiPageRow row = page->rows[i];

			page->rows[i] = page->rows[j];
			page->rows[j] = row;
		}
	}
	page->has_next = backward ? position != NULL : more;
	page->has_previous = backward ? more : position != NULL;
	page->next_token = page->previous_token = "";
	if (!row_type)
		make_tokens(query, page, binding, position);
}

/*
 * Without a proven key: is what divides two pages a difference?
 */
static void
check_boundary(const TaskapiPageRow *last, const TaskapiPageRow *beyond)
{
	if (taskapi_page_compare_rows(last, beyond) == 0)
		taskapi_problem(PROBLEM_INVALID_ORDER_BY, NIL, "Add columns that make it unique.",
						"\"%s\" has no key, and rows that are equal in every term stand where this page ends.",
						last->query->source->name);
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
		taskapi_page_row_position(&page->rows[page->nrows - 1], &at);
		page->next_token = taskapi_page_token_seal(query, binding, &at);
	}
	if (page->has_previous)
	{
		taskapi_page_row_position(&page->rows[0], &at);
		at.backward = true;
		page->previous_token = taskapi_page_token_seal(query, binding, &at);
	}
}
