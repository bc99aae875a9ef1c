/*-------------------------------------------------------------------------
 *
 * header.h
 *	  Headers of an answer.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_HEADER_H
#define TASKAPI_HEADER_H

#include "nodes/pg_list.h"
#include "utils/jsonb.h"

typedef struct TaskapiHeader
{
	char	   *name;
	char	   *value;
} TaskapiHeader;

/* Appends one to a List of them, with copies of both strings in the current memory context. */
extern List *taskapi_headers_add(List *headers, const char *name, const char *value);

/*
 * Errors for a name that is no token and for a value with a control character
 * other than the tab: a line break would start a header of the client's choice.
 * Every name and value that comes from SQL is checked with it when it enters.
 */
extern void taskapi_check_header(const char *name, const char *value);

/* The checked headers of a JSON object of strings; an error that names "argument" for anything else. */
extern List *taskapi_headers_from_jsonb(Jsonb *object, const char *argument);

#endif							/* TASKAPI_HEADER_H */
