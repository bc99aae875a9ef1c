/*-------------------------------------------------------------------------
 *
 * heap_margin.h
 *	  How much free memory a backend keeps at the end of its heap.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_HEAP_MARGIN_H
#define TASKAPI_HEAP_MARGIN_H

/*
 * To be called once, when the library is loaded.  A backend keeps half a megabyte of what it has used and freed, if its
 * libc is glibc, which kept 128 kB.
 */
extern void taskapi_heap_margin_init(void);

#endif							/* TASKAPI_HEAP_MARGIN_H */
