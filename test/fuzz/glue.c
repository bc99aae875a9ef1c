/*-------------------------------------------------------------------------
 *
 * glue.c
 *	  See glue.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "base/compat.h"
#include "glue.h"
#include "http/problem.h"
#include "http/request.h"
#include "http/response.h"

const char *const *fuzz_headers = NULL;

char *
taskapi_request_header(const char *name)
{
	for (const char *const *h = fuzz_headers; h && *h; h += 2)
	{
		if (strcmp(*h, name) == 0)
			return h[1] ? pstrdup(h[1]) : NULL;
	}
	return NULL;
}

#define UNUSED { abort(); }

void
DefineCustomIntVariable(const char *name, const char *short_desc, const char *long_desc, int *valueAddr, int bootValue,
						int minValue, int maxValue, GucContext context, int flags,
						GucIntCheckHook check_hook, GucIntAssignHook assign_hook, GucShowHook show_hook) UNUSED
void
DefineCustomStringVariable(const char *name, const char *short_desc, const char *long_desc, char **valueAddr,
						   const char *bootValue, GucContext context, int flags,
						   GucStringCheckHook check_hook, GucStringAssignHook assign_hook, GucShowHook show_hook) UNUSED
Datum
DirectFunctionCall1Coll(PGFunction func, Oid collation, Datum arg1) UNUSED
Datum
inet_in(PG_FUNCTION_ARGS) UNUSED
char *
text_to_cstring(const text *t) UNUSED
text *
cstring_to_text(const char *s) UNUSED
Datum
DirectFunctionCall3Coll(PGFunction func, Oid collation, Datum arg1, Datum arg2, Datum arg3) UNUSED
Datum
numeric_send(PG_FUNCTION_ARGS) UNUSED
Datum
numeric_recv(PG_FUNCTION_ARGS) UNUSED
struct varlena *
pg_detoast_datum(struct varlena *datum) UNUSED
struct varlena *
pg_detoast_datum_packed(struct varlena *datum) UNUSED
void
taskapi_set_response_headers(const TaskapiHeader *headers, int n) UNUSED
void
taskapi_set_response_header(const char *name, const char *value) UNUSED
List *
taskapi_headers_add(List *headers, const char *name, const char *value) UNUSED

char *GUC_check_errdetail_string = NULL;
char	   *
format_elog_string(const char *fmt,...) UNUSED
void
pre_format_elog_string(int errnumber, const char *domain) UNUSED
