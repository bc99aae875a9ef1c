/*-------------------------------------------------------------------------
 *
 * problem_log.c
 *	  What the server's log has of a request that was refused (problem_log.h).
 *
 * The hook may turn a message off and must change nothing else of it, so the short
 * form is a message of its own.  The hook runs before the transaction is aborted:
 * the settings of the request are those of the request still.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/guc.h"

#include "base/compat.h"
#include "http/problem.h"
#include "http/problem_log.h"

typedef enum LogRefusals
{
	LOG_REFUSALS_OFF,
	LOG_REFUSALS_SHORT,
	LOG_REFUSALS_FULL
} LogRefusals;

static const struct config_enum_entry log_refusals_options[] = {
	{"off", LOG_REFUSALS_OFF, false},
	{"short", LOG_REFUSALS_SHORT, false},
	{"full", LOG_REFUSALS_FULL, false},
	{NULL, 0, false}
};

/* So much of the details, in bytes */
#define MAX_DETAILS 200

static int	log_refusals = LOG_REFUSALS_SHORT;
static emit_log_hook_type next_emit_log_hook = NULL;

static void emit_log(ErrorData *edata);
static void write_short(const ErrorData *edata, TaskapiProblem problem);
static char *details_of(const char *json);
static char *request_line(void);
static char *one_line(const char *text, int max);

void
taskapi_problem_log_init(void)
{
	DefineCustomEnumVariable("taskapi.log_refusals",
							 "Sets how requests that are refused with a status below 500 are logged.",
							 "off, short (one line without the statement) or full (as any error).",
							 &log_refusals,
							 LOG_REFUSALS_SHORT, log_refusals_options,
							 PGC_SUSET, 0,
							 NULL, NULL, NULL);
	next_emit_log_hook = emit_log_hook;
	emit_log_hook = emit_log;
}

static void
emit_log(ErrorData *edata)
{
	TaskapiProblem problem;

	if (next_emit_log_hook)
		next_emit_log_hook(edata);
	if (log_refusals == LOG_REFUSALS_FULL || edata->elevel != ERROR || !edata->output_to_server ||
		!taskapi_problem_of_error(edata, &problem) || taskapi_problem_status(problem) >= 500)
		return;
	edata->output_to_server = false;
	if (log_refusals == LOG_REFUSALS_SHORT)
		write_short(edata, problem);
}

static void
write_short(const ErrorData *edata, TaskapiProblem problem)
{
	/* inside a request the message is the JSON that has the details, elsewhere the detail is */
	bool		in_message = edata->sqlerrcode == MAKE_SQLSTATE('P', 'G', 'R', 'S', 'T');
	char	   *details = details_of(in_message ? edata->message : edata->detail);

	ereport(LOG_SERVER_ONLY,
			(errcode(edata->sqlerrcode),
			 errmsg_internal("refused%s with %d %s%s%s", request_line(), taskapi_problem_status(problem),
							 taskapi_problem_name(problem), details ? ": " : "", details ? details : ""),
			 errhidestmt(true),
			 errhidecontext(true)));
}

/*
 * The details as they stand in the JSON, in which no character can end a line.  NULL if there are none.
 */
static char *
details_of(const char *json)
{
	static const char name[] = "\"details\": \"";
	const char *start = json ? strstr(json, name) : NULL;
	const char *end;

	if (start == NULL)
		return NULL;
	start += sizeof(name) - 1;
	for (end = start; *end != '\0' && *end != '"'; end++)
	{
		if (*end == '\\' && end[1] != '\0')
			end++;
	}
	return one_line(pnstrdup(start, end - start), MAX_DETAILS);
}

/*
 * " PATCH /tasks" inside a request, else nothing.
 */
static char *
request_line(void)
{
	const char *method = GetConfigOption("request.method", true, false);
	const char *path = GetConfigOption("request.path", true, false);

	if (method == NULL || *method == '\0')
		return "";
	return psprintf(" %s %s", one_line(method, 16), one_line(path ? path : "", MAX_DETAILS));
}

/*
 * At most so many bytes, whole characters, and none that ends a line or moves a cursor.
 */
static char *
one_line(const char *text, int max)
{
	int			len = strlen(text);
	char	   *line = pnstrdup(text, len > max ? pg_mbcliplen(text, len, max) : len);

	for (char *c = line; *c != '\0'; c++)
	{
		if ((unsigned char) *c < ' ' || *c == 0x7f)
			*c = ' ';
	}
	return len > max ? psprintf("%s...", line) : line;
}
