/*
 * X-Forwarded-For: what is not behind the trusted proxies never counts, and what comes out is an address.
 * Sources: src/http/client_address.c test/fuzz/glue.c
 */
#include "postgres.h"

#include <arpa/inet.h>

#include "http/client_address.h"
#include "glue.h"
#include "server.h"

static char *
address_of(const char *forwarded, int hops)
{
	const char *headers[] = {"x-forwarded-for", forwarded, NULL};
	char	   *address;

	fuzz_headers = headers;
	taskapi_trusted_proxy_hops = hops;
	address = taskapi_client_address();
	fuzz_headers = NULL;
	return address;
}

static void
body(const uint8 *data, size_t size)
{
	char	   *text = input_text(data, size);

	PROPERTY(address_of(text, 0) == NULL);
	for (int hops = 1; hops <= 3; hops++)
	{
		char	   *address = address_of(text, hops);
		char	   *again;
		char	   *slash;
		uint8		bytes[16];

		if (address == NULL)
			continue;
		again = address_of(psprintf("10.0.0.1, %s", text), hops);
		PROPERTY(again != NULL && strcmp(again, address) == 0);
		again = address_of(psprintf("%s, 10.0.0.1", text), hops + 1);
		PROPERTY(again != NULL && strcmp(again, address) == 0);

		slash = strchr(address, '/');
		if (slash)
		{
			PROPERTY(strcmp(slash, "/64") == 0);
			*slash = '\0';
			PROPERTY(inet_pton(AF_INET6, address, bytes) == 1);
			for (int i = 8; i < 16; i++)
				PROPERTY(bytes[i] == 0);
		}
		else
			PROPERTY(inet_pton(AF_INET, address, bytes) == 1);
	}
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	run_protected(body, data, size);
	return 0;
}
