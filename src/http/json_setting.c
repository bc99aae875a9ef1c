/*-------------------------------------------------------------------------
 *
 * json_setting.c
 *	  A JSON object in a setting of the layer's (json_setting.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/compat.h"
#include "http/json_setting.h"
#include "http/layer.h"

bool
taskapi_json_setting(TaskapiJsonSetting *setting)
{
	const char *text = taskapi_layer_setting(setting->name);
	MemoryContext oldcontext;
	bool		valid;
	char	   *copy;

	if (text == NULL)
		return false;
	if (setting->text != NULL && strcmp(setting->text, text) == 0)
		return true;

	setting->text = NULL;
	setting->parses++;
	if (setting->context == NULL)
		setting->context = AllocSetContextCreate(TopMemoryContext, "taskapi request",
												 ALLOCSET_SMALL_SIZES);
	MemoryContextReset(setting->context);

	oldcontext = MemoryContextSwitchTo(setting->context);
	copy = pstrdup(text);
	valid = taskapi_json_fields(copy, strlen(copy), setting->lenient, &setting->fields, &setting->nfields);
	MemoryContextSwitchTo(oldcontext);
	if (!valid)
		taskapi_problem(setting->problem, NIL, NULL, "%s is not a JSON object.", setting->name);
	setting->text = copy;
	return true;
}

const TaskapiJsonField *
taskapi_json_setting_field(const TaskapiJsonSetting *setting, const char *name)
{
	for (int i = setting->nfields - 1; i >= 0; i--)
	{
		const TaskapiJsonField *field = &setting->fields[i];

		if (strcmp(field->name, name) == 0)
			return field->type == JSON_TOKEN_NULL ? NULL : field;
	}
	return NULL;
}
