/*-------------------------------------------------------------------------
 *
 * request_observe.c
 *	  A request is counted, timed and traced (request_observe.h).
 *
 * What the line of a slow request says is copied while the request begins, into
 * memory of fixed size: at the end of a transaction nothing may fail.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "portability/instr_time.h"
#include "utils/guc.h"

#include "base/compat.h"
#include "http/layer.h"
#include "metrics/request_observe.h"
#include "metrics/request_series.h"
#include "metrics/request_status.h"
#include "metrics/trace_context.h"

#define MAX_PATH_LEN	200
#define MAX_SUBJECT_LEN 200

/* The request of this transaction; series is NULL if there is none */
static struct
{
	TaskapiSeries *series;
	instr_time	start;
	/* for the line of a slow one; filled only if taskapi.log_slow_request is set */
	bool		described;
	char		method[16];
	char		path[MAX_PATH_LEN + 1];
	char		subject[MAX_SUBJECT_LEN + 1];
	TaskapiTrace trace;
} current;

static int	log_slow_request = -1;

static void request_end(XactEvent event, void *arg);
static void log_slow(int status, bool exact, uint64 microseconds);
static void copy_clipped(char *to, const char *from, int size);
static char *append_encoded(char *out, const char *end, const char *text);

void
taskapi_request_observe_init(void)
{
	DefineCustomIntVariable("taskapi.log_slow_request",
							"Sets the time above which a request is logged.",
							"-1 logs none, 0 all.",
							&log_slow_request,
							-1, -1, INT_MAX,
							PGC_SUSET, GUC_UNIT_MS,
							NULL, NULL, NULL);
	RegisterXactCallback(request_end, NULL);
}

void
taskapi_request_observe(const char *method)
{
	TaskapiSeries *series;

	if (method == NULL || current.series != NULL)
		return;
	series = taskapi_series_find(method, taskapi_decoded_path());
	INSTR_TIME_SET_CURRENT(current.start);
	taskapi_series_set_current(series, GetCurrentStatementStartTimestamp());
	current.described = log_slow_request >= 0;
	if (current.described)
	{
		const char *path = taskapi_request_path();

		copy_clipped(current.method, method, sizeof(current.method));
		copy_clipped(current.path, path ? path : "", sizeof(current.path));
		current.path[strcspn(current.path, "?#")] = '\0';
		current.subject[0] = '\0';
		current.trace.parent[0] = '\0';
		current.trace.request_id[0] = '\0';
	}
	/* from here on the request counts, whatever happens */
	current.series = series;
	taskapi_trace_begin(&current.trace, current.described);
}

void
taskapi_request_observe_subject(const char *subject)
{
	if (current.series != NULL && current.described)
		copy_clipped(current.subject, subject ? subject : "", sizeof(current.subject));
}

static void
request_end(XactEvent event, void *arg)
{
	TaskapiSeries *series = current.series;
	instr_time	duration;
	uint64		microseconds;
	bool		exact = true;
	int			status;

	if (series == NULL ||
		(event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE))
		return;
	current.series = NULL;
	taskapi_series_set_current(NULL, 0);

	INSTR_TIME_SET_CURRENT(duration);
	INSTR_TIME_SUBTRACT(duration, current.start);
	microseconds = INSTR_TIME_GET_MICROSEC(duration);
	status = event == XACT_EVENT_ABORT ? taskapi_status_of_abort() : taskapi_status_of_commit(&exact);
	taskapi_series_add(series, status, microseconds);
	if (current.described && log_slow_request >= 0 && microseconds / 1000 >= log_slow_request)
		log_slow(status, exact, microseconds);
}

/*
 * GET /tasks 200 1234 ms subject=42 trace=0af7651916cd43dd8448eb211c80319c request=abc
 *
 * A text of the client's has neither blanks nor equals signs here, so it can be no other field and no other line.
 */
static void
log_slow(int status, bool exact, uint64 microseconds)
{
	char		line[3 * (MAX_PATH_LEN + MAX_SUBJECT_LEN) + 256];
	char	   *end = line + sizeof(line);
	char	   *out = line;
	bool		reads = strcmp(current.method, "GET") == 0 || strcmp(current.method, "HEAD") == 0;

	out = append_encoded(out, end, current.method);
	*out++ = ' ';
	out = append_encoded(out, end, current.path);
	if (status == 0)
		out += snprintf(out, end - out, " rolled back");
	else if (!exact && !reads)
		out += snprintf(out, end - out, " 2xx");
	else
		out += snprintf(out, end - out, " %d", status);
	out += snprintf(out, end - out, " " UINT64_FORMAT " ms", microseconds / 1000);
	if (current.subject[0] != '\0')
	{
		out += snprintf(out, end - out, " subject=");
		out = append_encoded(out, end, current.subject);
	}
	if (current.trace.parent[0] != '\0')
		out += snprintf(out, end - out, " trace=%.*s", TASKAPI_TRACE_ID_LEN, current.trace.parent + 3);
	if (current.trace.request_id[0] != '\0')
		snprintf(out, end - out, " request=%s", current.trace.request_id);

	ereport(LOG_SERVER_ONLY,
			(errmsg_internal("%s", line),
			 errhidestmt(true),
			 errhidecontext(true)));
}

/*
 * Whole characters.
 */
static void
copy_clipped(char *to, const char *from, int size)
{
	int			len = strnlen(from, size);

	if (len == size)
		len = pg_mbcliplen(from, len, size - 1);
	memcpy(to, from, len);
	to[len] = '\0';
}

/*
 * Percent-encoded: control characters, blanks and what stands between fields.  There is room: the line is as long as all
 * that can be in it.
 */
static char *
append_encoded(char *out, const char *end, const char *text)
{
	for (; *text != '\0'; text++)
	{
		unsigned char c = *text;

		if (c <= ' ' || c == 0x7f || c == '=' || c == '"')
			out += snprintf(out, end - out, "%%%02X", c);
		else
			*out++ = c;
	}
	*out = '\0';
	return out;
}
