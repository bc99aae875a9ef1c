/*-------------------------------------------------------------------------
 *
 * resource_planner.h
 *	  The planner hook for INSERTs into resources.
 *
 * Installed for as long as the library is loaded; it calls the hook that was
 * there before it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_PLANNER_H
#define TASKAPI_RESOURCE_PLANNER_H

extern void taskapi_resource_planner_init(void);

#endif							/* TASKAPI_RESOURCE_PLANNER_H */
