/*-------------------------------------------------------------------------
 *
 * problem.c
 *	  The catalogue of problems and the two forms in which one is raised.
 *
 * Statuses follow RFC 9110, RFC 6585 and draft-ietf-httpapi-idempotency-key-header.
 * An SQLSTATE PTnnn is PostgREST's way to ask for status nnn, so that the status
 * is right even where a layer sees the plain form.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/tuplestore.h"

#include "base/args.h"
#include "base/compat.h"
#include "http/layer.h"
#include "http/problem.h"
#include "http/response.h"

typedef struct ProblemEntry
{
	const char *name;
	int			status;
	const char *sqlstate;
	const char *title;
	TaskapiHeader header;		/* carried always, unless the caller gives one of that name */
} ProblemEntry;

static const ProblemEntry catalogue[] = {
	[PROBLEM_INVALID_CURSOR] = {"invalid_cursor", 400, "22P02", "cursor is not valid"},
	[PROBLEM_CURSOR_MISMATCH] = {"cursor_mismatch", 400, "22023", "cursor belongs to another query"},
	[PROBLEM_CURSOR_EXPIRED] = {"cursor_expired", 410, "PT410", "cursor has expired"},
	[PROBLEM_INVALID_ORDER_BY] = {"invalid_order_by", 400, "22023", "order_by is not valid"},
	[PROBLEM_INVALID_FILTER] = {"invalid_filter", 400, "22023", "filter is not valid"},
	[PROBLEM_INVALID_PAGE_SIZE] = {"invalid_page_size", 400, "22023", "page size is not valid"},
	[PROBLEM_INVALID_ON_CONFLICT] = {"invalid_on_conflict", 400, "42P10", "ON CONFLICT is not valid"},
	[PROBLEM_UNAUTHENTICATED] = {"unauthenticated", 401, "PT401", "authentication failed",
	{"WWW-Authenticate", "Bearer"}},
	[PROBLEM_FORBIDDEN] = {"forbidden", 403, "PT403", "not allowed"},
	[PROBLEM_NOT_FOUND] = {"not_found", 404, "PT404", "not found"},
	[PROBLEM_ALREADY_EXISTS] = {"already_exists", 409, "23505", "already exists"},
	[PROBLEM_INVALID_REFERENCE] = {"invalid_reference", 409, "23503", "reference to something that does not exist"},
	[PROBLEM_HAS_DEPENDENTS] = {"has_dependents", 409, "PT409", "other rows depend on it"},
	[PROBLEM_INVALID_VALUE] = {"invalid_value", 400, "23514", "value is not valid"},
	[PROBLEM_PARENT_DELETED] = {"parent_deleted", 409, "PT409", "was deleted with its parent"},
	[PROBLEM_TRY_AGAIN] = {"try_again", 503, "40001", "could not complete because of concurrent requests",
	{"Retry-After", "1"}},
	[PROBLEM_IDEMPOTENCY_KEY_MISSING] = {"idempotency_key_missing", 400, "PT400", "Idempotency-Key is missing"},
	[PROBLEM_IDEMPOTENCY_KEY_INVALID] = {"idempotency_key_invalid", 400, "PT400", "idempotency key is not valid"},
	[PROBLEM_IDEMPOTENCY_SCOPE_MISSING] = {"idempotency_scope_missing", 400, "PT400", "idempotency key has no scope"},
	[PROBLEM_IDEMPOTENCY_KEY_IN_PROGRESS] = {"idempotency_key_in_progress", 409, "PT409",
		"a request is outstanding for this idempotency key",
	{"Retry-After", "1"}},
	[PROBLEM_IDEMPOTENCY_LEASE_LOST] = {"idempotency_lease_lost", 409, "PT409", "the lease on the idempotency key is lost"},
	[PROBLEM_IDEMPOTENCY_KEY_REUSED] = {"idempotency_key_reused", 422, "PT422",
	"idempotency key is already used for another request"},
	[PROBLEM_LEASE_LOST] = {"lease_lost", 409, "PT409", "the lease is lost"},
	[PROBLEM_ALREADY_LIVE] = {"already_live", 409, "PT409", "is not deleted"},
	[PROBLEM_VERSION_CONFLICT] = {"version_conflict", 412, "PT412", "changed by another request"},
	[PROBLEM_PRECONDITION_REQUIRED] = {"precondition_required", 428, "PT428", "a precondition is required"},
	[PROBLEM_READ_AFTER_INVALID] = {"read_after_invalid", 400, "PT400", "Read-After is not valid"},
	[PROBLEM_READ_ONLY] = {"read_only", 503, "25006", "this server takes no writes",
	{"Retry-After", "1"}},
	[PROBLEM_RATE_LIMITED] = {"rate_limited", 429, "PT429", "too many requests"},
};

static void append_key(StringInfo buf, const char *key);
static void append_text(StringInfo buf, const char *key, const char *value);
static void append_headers(StringInfo buf, const ProblemEntry *entry, List *headers);
static void raise_problem(Node *escontext, TaskapiProblem problem, int sqlstate, List *headers,
						  const char *hint, const char *details, const ErrorData *origin);
static int	keep_names(const ErrorData *origin);
static bool find_problem(const char *name, TaskapiProblem *problem);

#define FORMAT_DETAILS(details, fmt) \
	do { \
		StringInfoData buf_; \
		initStringInfo(&buf_); \
		for (;;) \
		{ \
			va_list		args_; \
			int			needed_; \
			va_start(args_, fmt); \
			needed_ = appendStringInfoVA(&buf_, fmt, args_); \
			va_end(args_); \
			if (needed_ == 0) \
				break; \
			enlargeStringInfo(&buf_, needed_); \
		} \
		(details) = buf_.data; \
	} while (0)

void
taskapi_problem(TaskapiProblem problem, List *headers, const char *hint, const char *fmt,...)
{
	char	   *details;

	FORMAT_DETAILS(details, fmt);
	raise_problem(NULL, problem, 0, headers, hint, details, NULL);
	pg_unreachable();
}

void
taskapi_problem_sqlstate(TaskapiProblem problem, int sqlstate, List *headers, const char *hint,
						 const char *fmt,...)
{
	char	   *details;

	FORMAT_DETAILS(details, fmt);
	raise_problem(NULL, problem, sqlstate, headers, hint, details, NULL);
	pg_unreachable();
}

void
taskapi_problem_from_error(TaskapiProblem problem, int sqlstate, const ErrorData *origin, const char *hint,
						   const char *fmt,...)
{
	char	   *details;

	FORMAT_DETAILS(details, fmt);
	raise_problem(NULL, problem, sqlstate, NIL, hint, details, origin);
	pg_unreachable();
}

void
taskapi_problem_soft(Node *escontext, TaskapiProblem problem, const char *fmt,...)
{
	char	   *details;

	FORMAT_DETAILS(details, fmt);
	raise_problem(escontext, problem, 0, NIL, NULL, details, NULL);
}

/*
 * Raise it in the form that fits where we are.  An sqlstate of 0 is the catalogue's; details and
 * hint may be NULL.
 */
static void
raise_problem(Node *escontext, TaskapiProblem problem, int sqlstate, List *headers,
			  const char *hint, const char *details, const ErrorData *origin)
{
	const ProblemEntry *entry = &catalogue[problem];
	StringInfoData detail;

	initStringInfo(&detail);
	if (taskapi_in_request())
	{
		StringInfoData message;

		initStringInfo(&message);
		appendStringInfoChar(&message, '{');
		append_text(&message, "code", entry->name);
		append_text(&message, "message", entry->title);
		append_text(&message, "details", details);
		append_text(&message, "hint", hint);
		appendStringInfoChar(&message, '}');

		appendStringInfo(&detail, "{\"status\": %d", entry->status);
		append_headers(&detail, entry, taskapi_refusal_headers(headers));
		appendStringInfoChar(&detail, '}');

		errsave(escontext,
				(errcode(MAKE_SQLSTATE('P', 'G', 'R', 'S', 'T')),
				 errmsg_internal("%s", message.data),
				 errdetail_internal("%s", detail.data),
				 origin ? keep_names(origin) : 0));
		return;
	}

	if (sqlstate == 0)
		sqlstate = MAKE_SQLSTATE(entry->sqlstate[0], entry->sqlstate[1], entry->sqlstate[2],
								 entry->sqlstate[3], entry->sqlstate[4]);
	appendStringInfoChar(&detail, '{');
	append_text(&detail, "code", entry->name);
	appendStringInfo(&detail, ", \"status\": %d", entry->status);
	append_headers(&detail, entry, headers);
	append_text(&detail, "details", details);
	appendStringInfoChar(&detail, '}');

	errsave(escontext,
			(errcode(sqlstate),
			 errmsg_internal("%s", entry->title),
			 errdetail_internal("%s", detail.data),
			 hint ? errhint("%s", hint) : 0,
			 origin ? keep_names(origin) : 0));
}

static int
keep_names(const ErrorData *origin)
{
	if (origin->schema_name)
		err_generic_string(PG_DIAG_SCHEMA_NAME, origin->schema_name);
	if (origin->table_name)
		err_generic_string(PG_DIAG_TABLE_NAME, origin->table_name);
	if (origin->column_name)
		err_generic_string(PG_DIAG_COLUMN_NAME, origin->column_name);
	if (origin->datatype_name)
		err_generic_string(PG_DIAG_DATATYPE_NAME, origin->datatype_name);
	if (origin->constraint_name)
		err_generic_string(PG_DIAG_CONSTRAINT_NAME, origin->constraint_name);
	return 0;
}

static void
append_key(StringInfo buf, const char *key)
{
	if (buf->data[buf->len - 1] != '{')
		appendStringInfoString(buf, ", ");
	escape_json(buf, key);
	appendStringInfoString(buf, ": ");
}

static void
append_text(StringInfo buf, const char *key, const char *value)
{
	append_key(buf, key);
	if (value)
		escape_json(buf, value);
	else
		appendStringInfoString(buf, "null");
}

/*
 * PostgREST refuses an answer without "headers", so the object is always there.
 */
static void
append_headers(StringInfo buf, const ProblemEntry *entry, List *headers)
{
	bool		given = false;
	ListCell   *lc;

	append_key(buf, "headers");
	appendStringInfoChar(buf, '{');
	foreach(lc, headers)
	{
		TaskapiHeader *header = lfirst(lc);

		append_text(buf, header->name, header->value);
		if (entry->header.name && pg_strcasecmp(header->name, entry->header.name) == 0)
			given = true;
	}
	if (entry->header.name && !given)
		append_text(buf, entry->header.name, entry->header.value);
	appendStringInfoChar(buf, '}');
}

static bool
find_problem(const char *name, TaskapiProblem *problem)
{
	for (int i = 0; i < lengthof(catalogue); i++)
	{
		if (strcmp(catalogue[i].name, name) == 0)
		{
			*problem = (TaskapiProblem) i;
			return true;
		}
	}
	return false;
}

/*
 * Inside a request the message is the JSON that names the problem, elsewhere the detail is.
 */
bool
taskapi_problem_of_error(const ErrorData *edata, TaskapiProblem *problem)
{
	bool		in_message = edata->sqlerrcode == MAKE_SQLSTATE('P', 'G', 'R', 'S', 'T');
	const char *text = in_message ? edata->message : edata->detail;
	const char *end;

	if (text == NULL || strncmp(text, "{\"code\":", 8) != 0)
		return false;
	text += 8;
	while (*text == ' ')
		text++;
	if (*text++ != '"')
		return false;
	end = strchr(text, '"');
	return end != NULL && find_problem(pnstrdup(text, end - text), problem);
}

const char *
taskapi_problem_name(TaskapiProblem problem)
{
	return catalogue[problem].name;
}

int
taskapi_problem_status(TaskapiProblem problem)
{
	return catalogue[problem].status;
}

/*
 * raise_problem(problem text, detail text, hint text, headers jsonb) -> void
 *
 * headers is an object of strings.  A name that is not in the catalogue is
 * invalid_parameter_value.
 */
PG_FUNCTION_INFO_V1(taskapi_raise_problem);
Datum
taskapi_raise_problem(PG_FUNCTION_ARGS)
{
	char	   *name;
	TaskapiProblem problem;
	List	   *headers = NIL;

	taskapi_require_arg(fcinfo, 0, "problem");
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	if (!find_problem(name, &problem))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unrecognized problem \"%s\"", name),
				 errhint("taskapi.problems() lists them.")));

	if (!PG_ARGISNULL(3))
		headers = taskapi_headers_from_jsonb(PG_GETARG_JSONB_P(3), "headers");
	raise_problem(NULL, problem, 0, headers,
				  taskapi_arg_cstring(fcinfo, 2), taskapi_arg_cstring(fcinfo, 1), NULL);
	pg_unreachable();
}

/*
 * problems() -> TABLE (problem text, status int, sqlstate text, title text)
 */
PG_FUNCTION_INFO_V1(taskapi_problems);
Datum
taskapi_problems(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < lengthof(catalogue); i++)
	{
		Datum		values[4];
		bool		nulls[4] = {false};

		values[0] = CStringGetTextDatum(catalogue[i].name);
		values[1] = Int32GetDatum(catalogue[i].status);
		values[2] = CStringGetTextDatum(catalogue[i].sqlstate);
		values[3] = CStringGetTextDatum(catalogue[i].title);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
