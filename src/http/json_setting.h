/*-------------------------------------------------------------------------
 *
 * json_setting.h
 *	  A JSON object in a setting of the layer's, parsed once per value.
 *
 * A layer sets them with set_config(..., true), so they change with every
 * transaction and may change within one.  There is no hook on a placeholder
 * setting; so the fields are kept beside the text that they were read from, and
 * the texts are compared on every call, which is cheaper by far than to parse
 * again.  A text that is no JSON object is not kept, so each look raises again.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_JSON_SETTING_H
#define TASKAPI_JSON_SETTING_H

#include "base/json_fields.h"
#include "http/problem.h"

typedef struct TaskapiJsonSetting
{
	/* given */
	const char *name;
	bool		lenient;		/* see json_fields.h */
	TaskapiProblem problem;		/* raised for what is no JSON object */
	/* kept */
	MemoryContext context;
	char	   *text;			/* what "fields" were read from; NULL is nothing */
	TaskapiJsonField *fields;
	int			nfields;
	uint64		parses;			/* grows when "fields" are others */
} TaskapiJsonSetting;

/* Bring it up to date with the setting.  False if that is missing or empty. */
extern bool taskapi_json_setting(TaskapiJsonSetting *setting);

/* The last field of that name, as in jsonb; NULL if there is none, or if it is JSON's null. */
extern const TaskapiJsonField *taskapi_json_setting_field(const TaskapiJsonSetting *setting, const char *name);

#endif							/* TASKAPI_JSON_SETTING_H */
