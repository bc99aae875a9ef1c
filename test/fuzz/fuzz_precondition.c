/*
 * If-Match: a list of entity tags, read by its grammar, against a reader of the same grammar that is written as a table
 * of states.
 * Sources: src/http/precondition.c test/fuzz/glue.c
 */
#include "postgres.h"

#include "http/precondition.h"
#include "server.h"

/* Does a list hold this tag, strong, before its first fault? */
static bool
reference(const char *field, const char *tag)
{
	enum {ELEMENT, WEAK, TAG, AFTER} state = ELEMENT;
	bool		weak = false;
	const char *start = NULL;

	for (const char *p = field; *p; p++)
	{
		switch (state)
		{
			case ELEMENT:
				if (*p == ' ' || *p == '\t' || *p == ',')
					break;
				weak = (*p == 'W');
				if (weak)
				{
					if (p[1] != '/')
						return false;
					p++;
					state = WEAK;
				}
				else if (*p == '"')
					state = TAG, start = p + 1;
				else
					return false;
				break;
			case WEAK:
				if (*p != '"')
					return false;
				state = TAG, start = p + 1;
				break;
			case TAG:
				if (*p != '"')
					break;
				if (!weak && p - start == strlen(tag) && strncmp(start, tag, p - start) == 0)
					return true;
				state = AFTER;
				break;
			case AFTER:
				if (*p == ',')
					state = ELEMENT;
				else if (*p != ' ' && *p != '\t')
					return false;
				break;
		}
	}
	return false;
}

static void
body(const uint8 *data, size_t size)
{
	char	   *text = input_text(data, size);
	static const int64 versions[] = {1, 7, 12, PG_INT64_MAX};

	for (int i = 0; i < lengthof(versions); i++)
	{
		int64		version = versions[i];
		char	   *tag = psprintf(INT64_FORMAT, version);
		bool		match = taskapi_if_match(text, version);

		PROPERTY(match == (taskapi_if_match_any(text) || reference(text, tag)));
		/* a tag in front of any list counts, and a weak one does not change what the rest says */
		PROPERTY(taskapi_if_match(psprintf("\"%s\", %s", tag, text), version));
		if (!taskapi_if_match_any(text))
			PROPERTY(taskapi_if_match(psprintf("W/\"%s\" ,, %s", tag, text), version) == match);
	}
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	run_protected(body, data, size);
	return 0;
}
