/*-------------------------------------------------------------------------
 *
 * resource_planner.h
 *	  The hooks of the parser and the planner for INSERTs into resources.
 *
 * Installed for as long as the library is loaded; they call the hooks that were
 * there before them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_PLANNER_H
#define TASKAPI_RESOURCE_PLANNER_H

extern void taskapi_resource_planner_init(void);

#endif							/* TASKAPI_RESOURCE_PLANNER_H */
