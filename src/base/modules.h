/*-------------------------------------------------------------------------
 *
 * taskapi.h
 *	  What every module shares: names of our own objects, and the order in
 *	  which _PG_init() initializes the modules.
 *
 * An init function defines the module's GUC variables and registers its
 * callbacks, and does nothing that needs a transaction or shared memory: the
 * library may be loaded by shared_preload_libraries, by session_preload_libraries
 * or by the first call of one of its functions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_H
#define TASKAPI_H

extern void taskapi_catalog_init(void);
extern void taskapi_idempotency_init(void);
extern void taskapi_jwt_init(void);
extern void taskapi_page_init(void);
extern void taskapi_ratelimit_init(void);
extern void taskapi_resource_init(void);

#endif							/* TASKAPI_H */
