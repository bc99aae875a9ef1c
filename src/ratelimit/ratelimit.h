/*-------------------------------------------------------------------------
 *
 * ratelimit.h
 *	  The functions of rate limits of a key, and the limiter's settings.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RATELIMIT_H
#define TASKAPI_RATELIMIT_H

/*
 * Defines the module's GUC variables.  Needs no transaction and no shared
 * memory: the library may be loaded by shared_preload_libraries, by
 * session_preload_libraries or by the first call of one of its functions.
 */
extern void taskapi_ratelimit_init(void);

#endif							/* TASKAPI_RATELIMIT_H */
