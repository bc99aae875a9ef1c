/*-------------------------------------------------------------------------
 *
 * layer.h
 *	  The settings that an HTTP layer makes of a request, as they stand.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_LAYER_H
#define TASKAPI_LAYER_H

/* Is this an HTTP request, that is, is request.method set? */
extern bool taskapi_in_request(void);

/* NULL outside a request. */
extern const char *taskapi_request_method(void);
extern const char *taskapi_request_path(void);

/*
 * The path as the layer routes it: without percent-encoding and slashes at its end; a palloc'd copy, "" outside a
 * request.
 */
extern char *taskapi_decoded_path(void);

/* One of its settings: NULL where it is missing or empty. */
extern const char *taskapi_layer_setting(const char *name);

/*
 * SET LOCAL, as the current user and with all the checks of the setting: for the
 * role, that the session's user is a member of it.
 */
extern void taskapi_set_local(const char *name, const char *value);

#endif							/* TASKAPI_LAYER_H */
