/*-------------------------------------------------------------------------
 *
 * page_link.h
 *	  The response header Link of a page (RFC 8288): where the neighbouring pages
 *	  are, for this very request with another token.
 *
 * A reference has no path but only a query: the arguments as they were given, percent-encoded (RFC 3986).  So it is
 * relative to the URL that the client knows, whatever a proxy has made of it.  What the layer took from the query itself,
 * such as PostgREST's select, is not known here and not in it.
 *
 * Only the page function of a resource sends it, and only if the request has called that function: any other function
 * that calls page() or a page function has arguments of its own, and a filter that may not be the client's to know.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_PAGE_LINK_H
#define TASKAPI_PAGE_LINK_H

#include "utils/array.h"
#include "utils/jsonb.h"

/* The arguments of page() and its kin behind the source, as they were given */
typedef struct TaskapiPageArguments
{
	text	   *order_by;		/* NULL is the default */
	int			page_size;		/* -1 if none was given */
	text	   *page_token;		/* NULL is the first page */
	Jsonb	   *filter;
	text	   *count;
	ArrayType  *columns;
	bool		show_deleted;
} TaskapiPageArguments;

/*
 * Sets the header if the request's path names RESOURCE_page(), and no function of that name hides it: with each token
 * that is not empty, as long as the header stays below 2 kB, since proxies refuse an answer with more.
 */
extern void taskapi_page_set_link(Oid resource, const TaskapiPageArguments *given,
								  const char *next_token, const char *previous_token);

#endif							/* TASKAPI_PAGE_LINK_H */
