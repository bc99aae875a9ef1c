/*-------------------------------------------------------------------------
 *
 * page_link.h
 *	  The response header Link of a page (RFC 8288): where the neighbouring pages
 *	  are, for this very request with another token.
 *
 * A reference has the request's own path and the arguments as they were given, percent-encoded (RFC 3986).
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_PAGE_LINK_H
#define TASKAPI_PAGE_LINK_H

#include "utils/jsonb.h"

/* The arguments of page() and page_rows() behind the source, as they were given */
typedef struct TaskapiPageArguments
{
	text	   *order_by;		/* NULL is the key */
	int			page_size;		/* -1 if none was given */
	text	   *page_token;		/* NULL is the first page */
	Jsonb	   *filter;
} TaskapiPageArguments;

/* Sets the header unless both tokens are empty; only inside a request. */
extern void taskapi_page_set_link(const TaskapiPageArguments *given, const char *next_token, const char *previous_token);

#endif							/* TASKAPI_PAGE_LINK_H */
