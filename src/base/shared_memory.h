/*-------------------------------------------------------------------------
 *
 * shared_memory.h
 *	  Named segments of shared memory that know their layout, without
 *	  preloading.
 *
 * A new library may be installed under a running server.  Sessions that loaded
 * the old one go on with it, new sessions load the new one, and both would take
 * the same bytes for different things: a lock for a counter, and the whole
 * server would restart.  So each area of shared memory has a layout: a hash of
 * its version and of the sizes and offsets of all that is in it.  Whoever comes
 * first says for the life of the server which layout and size an area has; a
 * library with another is refused with an error, and touches nothing.
 *
 * The layout stands in three places: in a table of areas whose own layout never
 * changes, in the name of the segment, and in a header in front of the area.
 *
 * A segment is made by the first session that asks for it, filled with zeros and
 * then initialized while all others wait.  It lives until the server stops, or
 * restarts after a crash.
 *
 * The server's registry enters a segment before it calls the function that is to
 * initialize it, and an area is agreed on before its segment exists.  So a function
 * that threw would leave a segment that is refused ever after, and a library that
 * is replaced after it got no memory for an area has decided on its layout all the
 * same.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_SHARED_MEMORY_H
#define TASKAPI_SHARED_MEMORY_H

#include "storage/dsm.h"

typedef struct TaskapiArea
{
	const char *name;			/* at most TASKAPI_AREA_NAME_LEN - 1 bytes */
	uint32		layout;			/* TASKAPI_LAYOUT(...) */
	Size		size;
	void		(*init) (void *ptr);	/* of zeros; must not throw */
} TaskapiArea;

#define TASKAPI_AREA_NAME_LEN 32

/*
 * The layout of an area: a version, to be raised if bytes keep their place and
 * change their meaning, then sizes and offsets of every struct that is shared.
 */
#define TASKAPI_LAYOUT(...) \
	taskapi_layout((const uint32[]) {__VA_ARGS__}, sizeof((const uint32[]) {__VA_ARGS__}) / sizeof(uint32))

extern uint32 taskapi_layout(const uint32 *facts, int n);

/*
 * The area, attached now if it was not yet; aligned to 128 bytes.  An error if the
 * server runs with another layout of it, or has no more shared memory.
 */
extern void *taskapi_area(const TaskapiArea *area);

/* Map a segment that another backend made and pinned; *size is how long it is. */
extern void *taskapi_map_segment(dsm_handle handle, Size *size);

#endif							/* TASKAPI_SHARED_MEMORY_H */
