/*-------------------------------------------------------------------------
 *
 * trace_context.h
 *	  What a request is called in traces and logs.
 *
 * A layer or its client sends traceparent (W3C Trace Context) and X-Request-Id.
 * taskapi.trace_context says where the transaction bears them: nowhere, in
 * application_name, which pg_stat_activity and log_line_prefix's %a show, or in
 * pg_tracing.trace_context, whose extension makes spans of it.  They are set for the
 * transaction, so they are gone after it, also after an error.
 *
 * Both come from clients.  What is not exactly of the form is as if it were not there.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_TRACE_CONTEXT_H
#define TASKAPI_TRACE_CONTEXT_H

#define TASKAPI_TRACEPARENT_LEN 55
#define TASKAPI_TRACE_ID_LEN	32
/* what fits into application_name */
#define TASKAPI_REQUEST_ID_LEN	63

typedef struct TaskapiTrace
{
	char		parent[TASKAPI_TRACEPARENT_LEN + 1];	/* empty: none */
	char		request_id[TASKAPI_REQUEST_ID_LEN + 1]; /* the same */
} TaskapiTrace;

/*
 * Read the headers, if a setting asks for them or "wanted" says so, and set what the setting says.  Raises invalid_value for
 * request.headers that are no JSON.
 */
extern void taskapi_trace_begin(TaskapiTrace *trace, bool wanted);

/* Exactly a traceparent; a later version may have more behind a hyphen, which is left out.  Nothing is written otherwise. */
extern bool taskapi_traceparent_parse(const char *text, char parent[TASKAPI_TRACEPARENT_LEN + 1]);

extern void taskapi_trace_init(void);

#endif							/* TASKAPI_TRACE_CONTEXT_H */
