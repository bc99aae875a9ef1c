/*-------------------------------------------------------------------------
 *
 * glue.h
 *	  What the SQL glue and the settings of a file refer to, so that a file that
 *	  holds a parser beside them can be linked: calling any of it aborts, except
 *	  the headers of the request, which the target sets.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_FUZZ_GLUE_H
#define TASKAPI_FUZZ_GLUE_H

/* The request's headers: name, value, name, value, ... and a NULL; a NULL value is no such header. */
extern const char *const *fuzz_headers;

#endif							/* TASKAPI_FUZZ_GLUE_H */
