/*-------------------------------------------------------------------------
 *
 * standby.c
 *	  Refusing on a standby what only the primary can do (standby.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"

#include "base/compat.h"
#include "http/problem.h"
#include "http/standby.h"

void
taskapi_require_primary(const char *what)
{
	if (RecoveryInProgress())
		taskapi_problem(PROBLEM_READ_ONLY, NIL,
						"Send the request to the primary, or retry: this server may be about to become the primary.",
						"%s goes to the primary, and this server is a standby.", what);
}
