/*-------------------------------------------------------------------------
 *
 * jwt.h
 *	  JSON Web Tokens: jwt_sign(), jwt_verify() and their settings.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_JWT_H
#define TASKAPI_JWT_H

/*
 * Defines the module's GUC variables.  Needs no transaction and no shared
 * memory: the library may be loaded by shared_preload_libraries, by
 * session_preload_libraries or by the first call of one of its functions.
 */
extern void taskapi_jwt_init(void);

#endif							/* TASKAPI_JWT_H */
