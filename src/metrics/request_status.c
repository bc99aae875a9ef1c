/*-------------------------------------------------------------------------
 *
 * request_status.c
 *	  The HTTP status of a request whose transaction is ending (request_status.h).
 *
 * The server has no function that tells whether an error is under way:
 * geterrcode() and CopyErrorData() raise one if there is none.  emit_log_hook would
 * see the error, but only if it is logged.  So they are asked, and their own error is
 * caught.  It is never reported, and at that time it is the only one there is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/errcodes.h"

#include "base/compat.h"
#include "base/server_fault.h"
#include "http/layer.h"
#include "metrics/request_status.h"

/* The class of an SQLSTATE, its first two characters */
#define SQLSTATE_CLASS(a, b) MAKE_SQLSTATE(a, b, '0', '0', '0')

static bool is_problem(int sqlstate);
static ErrorData *current_error(int *sqlstate);
static int	status_of_sqlstate(int sqlstate);
static int	status_in_detail(const char *detail);

int
taskapi_status_of_commit(bool *exact)
{
	const char *text = taskapi_layer_setting("response.status");
	int			status = text ? atoi(text) : 0;

	*exact = status >= 100 && status <= 599;
	return *exact ? status : 200;
}

int
taskapi_status_of_abort(void)
{
	int			sqlstate;
	ErrorData  *error;
	int			status = 0;

	if (proc_exit_inprogress)
		return 500;

	/* ROLLBACK by the client, in a transaction that has not failed */
	if (TransactionBlockStatusCode() == 'E')
		return 0;

	error = current_error(&sqlstate);
	if (sqlstate == 0)
		return 0;
	if (error != NULL)
	{
		if (taskapi_server_fault(error) != 0)
			status = 503;
		else if (is_problem(sqlstate) && error->detail != NULL)
			status = status_in_detail(error->detail);
		FreeErrorData(error);
	}
	return status != 0 ? status : status_of_sqlstate(sqlstate);
}

static bool
is_problem(int sqlstate)
{
	return sqlstate == MAKE_SQLSTATE('P', 'G', 'R', 'S', 'T');
}

/*
 * The SQLSTATE of the error that is under way, 0 if there is none.  A copy of the error only if more than that decides its
 * status, else NULL.
 */
static ErrorData *
current_error(int *sqlstate)
{
	ErrorContextCallback *callbacks = error_context_stack;
	MemoryContext context = CurrentMemoryContext;
	uint32		interrupts = InterruptHoldoffCount;
	uint32		cancels = QueryCancelHoldoffCount;
	ErrorData  *volatile error = NULL;
	volatile int code = 0;

	/* an error of geterrcode() would end the session */
	*sqlstate = 0;
	if (ExitOnAnyError)
		return NULL;
	error_context_stack = NULL;
	PG_TRY();
	{
		code = geterrcode();
		if (is_problem(code) || code == ERRCODE_INSUFFICIENT_PRIVILEGE || code == ERRCODE_PROGRAM_LIMIT_EXCEEDED)
			error = CopyErrorData();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
		/* raising an error sets them to 0, but the transaction is being aborted with interrupts held */
		InterruptHoldoffCount = interrupts;
		QueryCancelHoldoffCount = cancels;
	}
	PG_END_TRY();
	error_context_stack = callbacks;
	*sqlstate = code;
	return error;
}

/*
 * {"status": 404, ...}, in any order and with any blanks.  A string cannot contain a quote without a backslash before it, so a
 * name in quotes is a name or a whole string.
 */
static int
status_in_detail(const char *detail)
{
	static const char name[] = "\"status\"";

	for (const char *at = strstr(detail, name); at != NULL; at = strstr(at, name))
	{
		int			status;

		at += sizeof(name) - 1;
		at += strspn(at, " \t\r\n");
		if (*at != ':')
			continue;
		at++;
		at += strspn(at, " \t\r\n");
		status = atoi(at);
		if (status >= 100 && status <= 599)
			return status;
	}
	return 0;
}

/*
 * As PostgREST has it, whose list is the longer one, except that what cannot be done now is 503 and a time-out 504, as in
 * the gateway.
 */
static int
status_of_sqlstate(int sqlstate)
{
	if (ERRCODE_TO_CATEGORY(sqlstate) == SQLSTATE_CLASS('P', 'T'))
	{
		const char *text = unpack_sql_state(sqlstate);
		int			status = isdigit((unsigned char) text[2]) ? atoi(text + 2) : 0;

		return status >= 100 && status <= 599 ? status : 500;
	}

	switch (sqlstate)
	{
		case ERRCODE_FOREIGN_KEY_VIOLATION:
		case ERRCODE_UNIQUE_VIOLATION:
		case ERRCODE_EXCLUSION_VIOLATION:
			return 409;
		case ERRCODE_INSUFFICIENT_PRIVILEGE:
			return 403;
		case ERRCODE_UNDEFINED_FUNCTION:
		case ERRCODE_UNDEFINED_TABLE:
			return 404;
		case ERRCODE_READ_ONLY_SQL_TRANSACTION:
			return 405;
		case ERRCODE_RAISE_EXCEPTION:
			return 400;
		case ERRCODE_INVALID_OBJECT_DEFINITION:
		case ERRCODE_CARDINALITY_VIOLATION:
		case ERRCODE_CONFIGURATION_LIMIT_EXCEEDED:
			return 500;
		case ERRCODE_LOCK_NOT_AVAILABLE:
		case ERRCODE_ADMIN_SHUTDOWN:
			return 503;
		case ERRCODE_QUERY_CANCELED:
			return 504;
	}

	switch (ERRCODE_TO_CATEGORY(sqlstate))
	{
		case SQLSTATE_CLASS('0', 'L'):
		case SQLSTATE_CLASS('0', 'P'):
		case SQLSTATE_CLASS('2', '8'):
			return 403;
		case SQLSTATE_CLASS('0', '8'):
		case SQLSTATE_CLASS('4', '0'):
		case SQLSTATE_CLASS('5', '3'):
			return 503;
		case SQLSTATE_CLASS('0', '9'):
		case SQLSTATE_CLASS('2', '5'):
		case SQLSTATE_CLASS('2', 'D'):
		case SQLSTATE_CLASS('3', '8'):
		case SQLSTATE_CLASS('3', '9'):
		case SQLSTATE_CLASS('3', 'B'):
		case SQLSTATE_CLASS('5', '4'):
		case SQLSTATE_CLASS('5', '5'):
		case SQLSTATE_CLASS('5', '7'):
		case SQLSTATE_CLASS('5', '8'):
		case SQLSTATE_CLASS('F', '0'):
		case SQLSTATE_CLASS('H', 'V'):
		case SQLSTATE_CLASS('P', '0'):
		case SQLSTATE_CLASS('X', 'X'):
			return 500;
	}
	return 400;
}
