/*
 * order_by: any text is either refused or means the same as its canonical spelling, which is its own canonical spelling.
 * Sources: src/cursor/order_by.c
 */
#include "postgres.h"

#include "cursor/order_by.h"
#include "server.h"

static void
body(const uint8 *data, size_t size)
{
	char	   *text = input_text(data, size);
	char	   *error = NULL;
	TaskapiOrderBy *order_by = taskapi_order_by_try(text, strlen(text), &error);
	TaskapiOrderBy *again;
	char	   *canonical;

	PROPERTY((order_by == NULL) == (error != NULL));
	if (order_by == NULL)
		return;
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
		for (int j = 0; j < i; j++)
			PROPERTY(strcmp(order_by->terms[i].name, order_by->terms[j].name) != 0);
	}
	PROPERTY(strcmp(taskapi_order_by_canonical(again), canonical) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	run_protected(body, data, size);
	return 0;
}
