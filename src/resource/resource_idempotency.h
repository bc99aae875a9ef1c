/*-------------------------------------------------------------------------
 *
 * resource_idempotency.h
 *	  Idempotency keys of requests on resources, which take part in writes
 *	  through taskapi_resource_hooks alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_IDEMPOTENCY_H
#define TASKAPI_RESOURCE_IDEMPOTENCY_H

/* Set the hooks. */
/* GUC variable: a POST has to have a key */
extern bool taskapi_require_idempotency_key;

extern void taskapi_resource_idempotency_init(void);

#endif							/* TASKAPI_RESOURCE_IDEMPOTENCY_H */
