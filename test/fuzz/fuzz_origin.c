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

	/* Nothing is trusted here, so: what the browser says decides, and without it scheme and host must be ours */
	if (line[2])
		PROPERTY((verdict == ORIGIN_SAME) == (strcmp(line[2], "same-origin") == 0) && verdict != ORIGIN_UNKNOWN);
	else if (line[0] == NULL)
		PROPERTY(verdict == ORIGIN_UNKNOWN);
	else if (verdict == ORIGIN_SAME)
	{
		const char *host = line[1];
		size_t		rest_len;
		size_t		common = 0;

		PROPERTY(host != NULL);
		PROPERTY(pg_strncasecmp(line[0], "https://", 8) == 0 ||
				 (pg_strncasecmp(line[0], "http://", 7) == 0 &&
				  (pg_strncasecmp(host, "localhost", 9) == 0 || strncmp(host, "127.0.0.1", 9) == 0 || strncmp(host, "[::1]", 5) == 0)));
		rest = strstr(line[0], "://") + 3;
		rest_len = strlen(rest);
		while (common < rest_len && pg_strncasecmp(rest, host, common + 1) == 0)
			common++;
		/* behind what both have, at most a default port stands on one side */
		PROPERTY(rest[common] == '\0' || strcmp(rest + common, ":443") == 0 || strcmp(rest + common, ":80") == 0);
		PROPERTY(host[common] == '\0' || strcmp(host + common, ":443") == 0 || strcmp(host + common, ":80") == 0);
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
