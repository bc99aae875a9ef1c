/*-------------------------------------------------------------------------
 *
 * layer.c
 *	  The settings that an HTTP layer makes of a request (layer.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "utils/guc.h"

#include "base/compat.h"
#include "http/layer.h"

/* A GUC of the layer's: NULL where it is missing or empty. */
const char *
taskapi_layer_setting(const char *name)
{
	const char *value = GetConfigOption(name, true, false);

	return (value != NULL && value[0] != '\0') ? value : NULL;
}

bool
taskapi_in_request(void)
{
	return taskapi_layer_setting("request.method") != NULL;
}

const char *
taskapi_request_method(void)
{
	return taskapi_layer_setting("request.method");
}

const char *
taskapi_request_path(void)
{
	return taskapi_layer_setting("request.path");
}

char *
taskapi_decoded_path(void)
{
	const char *path = taskapi_request_path();
	char	   *result = pstrdup(path ? path : "");
	char	   *out = result;

	for (const char *p = result; *p != '\0'; p++)
	{
		if (*p == '%' && isxdigit((unsigned char) p[1]) && isxdigit((unsigned char) p[2]))
		{
			*out++ = (char) strtol(((char[]) {p[1], p[2], '\0'}), NULL, 16);
			p += 2;
		}
		else
			*out++ = *p;
	}
	while (out > result + 1 && out[-1] == '/')
		out--;
	*out = '\0';
	return result;
}

void
taskapi_set_local(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}
