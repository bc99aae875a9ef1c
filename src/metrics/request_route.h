/*-------------------------------------------------------------------------
 *
 * request_route.h
 *	  The route of a request, out of a bounded set.
 *
 * A client chooses the path, and must not make a series of metrics by it.  So a
 * path is a route only if it names something that the database has:
 *
 *		/NAME			a resource, its trash, or another relation of the schema that the
 *						layer shows (the first of the search_path)
 *		/NAME/{key}		the same, with more path behind it
 *		/rpc/NAME		a function of that schema, or of a schema that has a resource
 *
 * Anything else is "other", and so is a method that HTTP does not know.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_REQUEST_ROUTE_H
#define TASKAPI_REQUEST_ROUTE_H

typedef enum TaskapiMethod
{
	TASKAPI_METHOD_OTHER,
	TASKAPI_METHOD_GET,
	TASKAPI_METHOD_HEAD,
	TASKAPI_METHOD_POST,
	TASKAPI_METHOD_PATCH,
	TASKAPI_METHOD_PUT,
	TASKAPI_METHOD_DELETE,
	TASKAPI_METHOD_OPTIONS
} TaskapiMethod;

#define TASKAPI_NMETHODS		(TASKAPI_METHOD_OPTIONS + 1)

typedef enum TaskapiRouteKind
{
	TASKAPI_ROUTE_OTHER,
	TASKAPI_ROUTE_RELATION,
	TASKAPI_ROUTE_ROW,
	TASKAPI_ROUTE_FUNCTION
} TaskapiRouteKind;

/* Compared byte by byte: no padding, and zeros behind the name. */
typedef struct TaskapiRoute
{
	uint8		method;			/* TaskapiMethod */
	uint8		kind;			/* TaskapiRouteKind */
	char		name[NAMEDATALEN];	/* empty for "other" */
} TaskapiRoute;

StaticAssertDecl(sizeof(TaskapiRoute) == 2 + NAMEDATALEN, "a route has no padding");

/* What a path looks like; whether there is such a thing is not asked. */
extern void taskapi_route_parse(TaskapiRoute *route, const char *method, const char *path);

/*
 * Whose is it?  InvalidOid: there is no such thing, or the route is "other".  Of several of the same name the first that
 * is found, resources first.  Reads catalogs, without a cache of what is not there.
 */
extern Oid	taskapi_route_owner(const TaskapiRoute *route);

/* "GET", and "/tasks/{key}", which is palloc'd. */
extern const char *taskapi_route_method(const TaskapiRoute *route);
extern char *taskapi_route_path(const TaskapiRoute *route);

#endif							/* TASKAPI_REQUEST_ROUTE_H */
