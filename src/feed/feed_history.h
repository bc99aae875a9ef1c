/*-------------------------------------------------------------------------
 *
 * feed_history.h
 *	  The history that a token is good for (feed_source.h).
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_FEED_HISTORY_H
#define TASKAPI_FEED_HISTORY_H

#include "feed/feed_source.h"

/* Sets history and legible of a feed whose state is known.  Errors as for taskapi_feed_open(). */
extern void taskapi_feed_history(TaskapiFeed *feed);

#endif							/* TASKAPI_FEED_HISTORY_H */
