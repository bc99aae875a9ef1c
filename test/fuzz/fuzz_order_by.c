/*
 * order_by: any bytes are refused with a reason, or parsed; and what was parsed, written canonically, parses to the same.
 *
 * The input is not terminated, so that AddressSanitizer sees a read behind its end.
 */
#include "postgres.h"

#include "compat.h"
#include "order_by.h"
#include "problem.h"
#include "server.h"

void
taskapi_problem(TaskapiProblem problem, List *headers, const char *hint, const char *fmt,...)
{
	abort();
}

static void
body(const uint8 *data, size_t size)
{
	char	   *text = palloc(Max(size, 1));
	char	   *error = NULL;
	char	   *canonical;
	TaskapiOrderBy *order_by;
	TaskapiOrderBy *again;

	memcpy(text, data, size);
	order_by = taskapi_order_by_try(text, size, &error);
	if (order_by == NULL)
	{
		PROPERTY(error != NULL && error[0] != '\0');
		return;
	}
	PROPERTY(order_by->nterms >= 1 && order_by->nterms <= TASKAPI_MAX_ORDER_TERMS);

	canonical = taskapi_order_by_canonical(order_by);
	again = taskapi_order_by_try(canonical, strlen(canonical), &error);
	PROPERTY(again != NULL);
	PROPERTY(again->nterms == order_by->nterms);
	for (int i = 0; i < order_by->nterms; i++)
	{
		PROPERTY(strcmp(again->terms[i].name, order_by->terms[i].name) == 0);
		PROPERTY(again->terms[i].descending == order_by->terms[i].descending);
		PROPERTY(again->terms[i].nulls_first == order_by->terms[i].nulls_first);
	}
	PROPERTY(strcmp(canonical, taskapi_order_by_canonical(again)) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	run_protected(body, data, size);
	return 0;
}
