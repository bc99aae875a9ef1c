/*
 * The request's origin: another site's page is never taken for ours. The input is Origin, Host and Sec-Fetch-Site,
 * a line each; an empty line is no such header.
 * Sources: src/http/origin.c src/http/grammar.c test/fuzz/glue.c
 */
#include "postgres.h"

#include "http/origin.h"
#include "glue.h"
#include "server.h"

static void
body(const uint8 *data, size_t size)
{
	char	   *rest = input_text(data, size);
	char	   *line[3];
	TaskapiOrigin verdict;

	for (int i = 0; i < lengthof(line); i++)
	{
		char	   *end = strchr(rest, '\n');

		line[i] = *rest && *rest != '\n' ? rest : NULL;
		if (end)
			*end = '\0';
		rest = end ? end + 1 : rest + strlen(rest);
	}

	{
		const char *headers[] = {"origin", line[0], "host", line[1], "sec-fetch-site", line[2], NULL};

		fuzz_headers = headers;
		verdict = taskapi_request_origin();
		fuzz_headers = NULL;
	}

	/* Nothing is trusted here, so: what the browser says decides, and without it the host must be the origin's */
	if (line[2])
		PROPERTY((verdict == ORIGIN_SAME) == (strcmp(line[2], "same-origin") == 0) && verdict != ORIGIN_UNKNOWN);
	else if (line[0] == NULL)
		PROPERTY(verdict == ORIGIN_UNKNOWN);
	else if (verdict == ORIGIN_SAME)
	{
		size_t		origin_len = strlen(line[0]);
		size_t		host_len = line[1] ? strlen(line[1]) : 0;

		PROPERTY(line[1] != NULL && origin_len >= host_len + 3);
		PROPERTY(pg_strcasecmp(line[0] + origin_len - host_len, line[1]) == 0);
		PROPERTY(strncmp(line[0] + origin_len - host_len - 3, "://", 3) == 0);
	}
	else
		PROPERTY(verdict == ORIGIN_OTHER);
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	run_protected(body, data, size);
	return 0;
}
