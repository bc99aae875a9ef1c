/*-------------------------------------------------------------------------
 *
 * resource_put.h
 *	  The planner hook for PUT.
 *
 * Installed for as long as the library is loaded; it calls the hook that was
 * there before it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_PUT_H
#define TASKAPI_RESOURCE_PUT_H

extern void taskapi_resource_put_init(void);

#endif							/* TASKAPI_RESOURCE_PUT_H */
