/*-------------------------------------------------------------------------
 *
 * callgrind.c
 *	  Functions that tell callgrind when to count this backend's instructions.
 *
 * zero() forgets what was counted; dump(name) writes what was counted since, under that name.  Counting begins with
 * the first zero(), so that what comes before runs at valgrind's full speed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include <valgrind/callgrind.h>

PG_MODULE_MAGIC;

static bool counting = false;

PG_FUNCTION_INFO_V1(callgrind_zero);
Datum
callgrind_zero(PG_FUNCTION_ARGS)
{
	if (!counting)
		CALLGRIND_START_INSTRUMENTATION;
	counting = true;
	CALLGRIND_ZERO_STATS;
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(callgrind_dump);
Datum
callgrind_dump(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));

	CALLGRIND_DUMP_STATS_AT(name);
	PG_RETURN_VOID();
}
