/*-------------------------------------------------------------------------
 *
 * feed_changes.h
 *	  The change feed: its settings.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_FEED_CHANGES_H
#define TASKAPI_FEED_CHANGES_H

/* Defines the module's GUC variables. */
extern void taskapi_feed_init(void);

#endif							/* TASKAPI_FEED_CHANGES_H */
