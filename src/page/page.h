/*-------------------------------------------------------------------------
 *
 * page.h
 *	  Pages of a source: page(), page_rows() and their settings.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_PAGE_H
#define TASKAPI_PAGE_H

/*
 * Defines the module's GUC variables.  Needs no transaction and no shared
 * memory: the library may be loaded by shared_preload_libraries, by
 * session_preload_libraries or by the first call of one of its functions.
 */
extern void taskapi_page_init(void);

/* How many rows a page has that was asked for with that size; 0 is none.  Errors: invalid_page_size. */
extern int	taskapi_page_size(int asked);

#endif							/* TASKAPI_PAGE_H */
