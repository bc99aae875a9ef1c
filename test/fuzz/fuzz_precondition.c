/*
 * If-Match and If-None-Match: a list of entity tags, read by its grammar, against a reader of the same grammar that is
 * written as a table of states.
 * Sources: src/http/precondition.c test/fuzz/glue.c
 */
#include "postgres.h"

#include "http/precondition.h"
#include "server.h"

/* What a list says of a tag */
typedef struct Verdict
{
	bool		strong;			/* it is there as a strong one, before the first fault */
	bool		weak;			/* it is there, strong or weak */
	bool		fault;
} Verdict;

static Verdict
reference(const char *field, const char *tag)
{
	enum {ELEMENT, WEAK, TAG, AFTER} state = ELEMENT;
	Verdict		verdict = {0};
	bool		weak = false;
	const char *start = NULL;

	for (const char *p = field; *p && !verdict.fault; p++)
	{
		switch (state)
		{
			case ELEMENT:
				if (*p == ' ' || *p == '\t' || *p == ',')
					break;
				weak = (*p == 'W' && p[1] == '/');
				if (weak)
				{
					p++;
					state = WEAK;
				}
				else if (*p == '"')
					state = TAG, start = p + 1;
				else
					verdict.fault = true;
				break;
			case WEAK:
				if (*p == '"')
					state = TAG, start = p + 1;
				else
					verdict.fault = true;
				break;
			case TAG:
				if (*p != '"')
					break;
				if (p - start == strlen(tag) && strncmp(start, tag, p - start) == 0)
				{
					verdict.weak = true;
					verdict.strong |= !weak;
				}
				state = AFTER;
				break;
			case AFTER:
				if (*p == ',')
					state = ELEMENT;
				else if (*p != ' ' && *p != '\t')
					verdict.fault = true;
				break;
		}
	}
	verdict.fault |= (state == WEAK || state == TAG);
	return verdict;
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
		Verdict		verdict = reference(text, tag);

		PROPERTY(match == (taskapi_any_tag(text) || verdict.strong));
		PROPERTY(taskapi_if_none_match(text, version) == (!taskapi_any_tag(text) && !verdict.weak && !verdict.fault));
		/* a tag in front of any list counts, and a weak one does not change what the rest says */
		PROPERTY(taskapi_if_match(psprintf("\"%s\", %s", tag, text), version));
		if (!taskapi_any_tag(text))
			PROPERTY(taskapi_if_match(psprintf("W/\"%s\" ,, %s", tag, text), version) == match);
	}
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	run_protected(body, data, size);
	return 0;
}
