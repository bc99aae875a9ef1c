/*-------------------------------------------------------------------------
 *
 * resource_retention.h
 *	  The purge of old deletions: its settings.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_RETENTION_H
#define TASKAPI_RESOURCE_RETENTION_H

/* Defines the module's GUC variables. */
extern void taskapi_retention_init(void);

#endif							/* TASKAPI_RESOURCE_RETENTION_H */
