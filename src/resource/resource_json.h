/*-------------------------------------------------------------------------
 *
 * resource_json.h
 *	  json_agg() of rows that were read from a resource.
 *
 * A layer asks for a list as json_agg(t) of a subquery t, and for one row as json_agg(t) -> 0.  If the query reads a resource
 * or a page, the planner is given taskapi.json_rows(t) or json_row(t) in its place, which has the same result, to the byte,
 * and looks up once what json_agg() looks up for each value (base/row_json.h).
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_JSON_H
#define TASKAPI_RESOURCE_JSON_H

extern void taskapi_resource_json_init(void);

#endif							/* TASKAPI_RESOURCE_JSON_H */
