/*-------------------------------------------------------------------------
 *
 * problem.h
 *	  The error contract: every refusal a client may see is a problem with a
 *	  stable name, an HTTP status and an SQLSTATE.
 *
 * Inside an HTTP request (GUC request.method is set and not empty) a problem is
 * raised as SQLSTATE PGRST with a JSON message {code, message, details, hint} and
 * a JSON detail {status, headers}, which PostgREST answers with as it stands.
 * Anywhere else it is raised with the SQLSTATE of the catalogue; its message is
 * the problem's title, and its DETAIL is JSON {code, status, headers, details}.
 *
 * The catalogue is the table in problem.c and nowhere else.  Errors that are no
 * client's business (a superuser's misuse, a corrupted table) stay ordinary
 * ereports with an errcode.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_PROBLEM_H
#define TASKAPI_PROBLEM_H

#include "base/compat.h"
#include "http/header.h"

typedef enum TaskapiProblem
{
	PROBLEM_INVALID_CURSOR,
	PROBLEM_CURSOR_MISMATCH,
	PROBLEM_CURSOR_EXPIRED,
	PROBLEM_INVALID_ORDER_BY,
	PROBLEM_INVALID_FILTER,
	PROBLEM_INVALID_PAGE_SIZE,
	PROBLEM_INVALID_ON_CONFLICT,
	PROBLEM_UNAUTHENTICATED,
	PROBLEM_FORBIDDEN,
	PROBLEM_NOT_FOUND,
	PROBLEM_ALREADY_EXISTS,
	PROBLEM_INVALID_REFERENCE,
	PROBLEM_HAS_DEPENDENTS,
	PROBLEM_INVALID_VALUE,
	PROBLEM_PARENT_DELETED,
	PROBLEM_TRY_AGAIN,
	PROBLEM_IDEMPOTENCY_KEY_MISSING,
	PROBLEM_IDEMPOTENCY_KEY_INVALID,
	PROBLEM_IDEMPOTENCY_SCOPE_MISSING,
	PROBLEM_IDEMPOTENCY_KEY_IN_PROGRESS,
	PROBLEM_IDEMPOTENCY_LEASE_LOST,
	PROBLEM_IDEMPOTENCY_KEY_REUSED,
	PROBLEM_LEASE_LOST,
	PROBLEM_ALREADY_LIVE,
	PROBLEM_VERSION_CONFLICT,
	PROBLEM_PRECONDITION_REQUIRED,
	PROBLEM_READ_AFTER_INVALID,
	PROBLEM_READ_ONLY,
	PROBLEM_RATE_LIMITED
} TaskapiProblem;

/*
 * Raise a problem.  "headers" is a List of TaskapiHeader (NIL is none; those
 * that a problem always carries, such as WWW-Authenticate, are added where the
 * list has none of that name); "hint" may be NULL.  The details are a printf
 * format, a complete sentence for the client's developer.
 */
pg_noreturn extern void taskapi_problem(TaskapiProblem problem, List *headers, const char *hint,
										const char *fmt,...) pg_attribute_printf(4, 5);

/* The same, with an SQLSTATE other than the catalogue's outside HTTP (invalid_value, try_again). */
pg_noreturn extern void taskapi_problem_sqlstate(TaskapiProblem problem, int sqlstate, List *headers,
												 const char *hint, const char *fmt,...) pg_attribute_printf(5, 6);

/*
 * What an error of the server's is to a client.  Its names of a constraint, column, table and type are kept as the fields
 * that drivers have for them.
 */
pg_noreturn extern void taskapi_problem_from_error(TaskapiProblem problem, int sqlstate, const ErrorData *origin,
												   const char *hint, const char *fmt,...) pg_attribute_printf(5, 6);

/*
 * The same for input functions: saved in escontext (an ErrorSaveContext) where
 * there is one, else thrown.  The caller returns a dummy value afterwards.
 */
extern void taskapi_problem_soft(Node *escontext, TaskapiProblem problem, const char *fmt,...) pg_attribute_printf(3, 4);

/*
 * Was the error raised as a problem, by this module or by raise_problem()?  "problem" is which, if it is one of the
 * catalogue's.
 */
extern bool taskapi_problem_of_error(const ErrorData *edata, TaskapiProblem *problem);

/* Name and status in the catalogue. */
extern const char *taskapi_problem_name(TaskapiProblem problem);
extern int	taskapi_problem_status(TaskapiProblem problem);

#endif							/* TASKAPI_PROBLEM_H */
