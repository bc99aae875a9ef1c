/*-------------------------------------------------------------------------
 *
 * lock_tries.c
 *	  Work under strong locks, without a queue behind it (lock_tries.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/pg_prng.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "base/compat.h"
#include "base/lock_tries.h"

static bool one_try(TaskapiLockTries *tries, TaskapiTryBody body, void *arg);
static bool is_about_locks(int sqlerrcode);
static void set_lock_timeout(int ms);
static int	next_pause(const TaskapiLockTries *tries);
static void pause_for(int ms);

static TaskapiLockTries *current = NULL;

void
taskapi_try_locks(TaskapiLockTries *tries, TaskapiTryBody body, void *arg)
{
	TimestampTz first = GetCurrentTimestamp();

	if (current != NULL)
	{
		tries->tries = current->tries;
		tries->started = current->started;
		body(arg);
		return;
	}

	tries->tries = 0;
	if (LockTimeout > 0)
		tries->timeout = Min(tries->timeout, LockTimeout);
	while (!one_try(tries, body, arg))
	{
		int			pause = next_pause(tries);

		if (tries->transactions)
			SPI_rollback();
		if (TimestampDifferenceMilliseconds(first, GetCurrentTimestamp()) + pause > tries->give_up_after)
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg_plural("could not lock the relations to be changed in %d try",
								   "could not lock the relations to be changed in %d tries", tries->tries, tries->tries),
					 errdetail("Each try waited for %d ms at most, so that no other session waited longer behind it.",
							   tries->timeout),
					 tries->transactions ?
					 errhint("End the transactions that hold the locks, or try for longer.") :
					 errhint("Use taskapi.run_ddl() or taskapi.expose_online(), which try for longer.")));
		pause_for(pause);
	}
	if (tries->transactions)
		SPI_commit();
}

/*
 * False if a lock was not to be had.
 */
static bool
one_try(TaskapiLockTries *tries, TaskapiTryBody body, void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool done = false;

	tries->tries++;
	tries->started = GetCurrentTimestamp();
	tries->deadline = TimestampTzPlusMilliseconds(tries->started, tries->timeout);
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		int			nest = NewGUCNestLevel();

		current = tries;
		set_lock_timeout(tries->timeout);
		body(arg);
		current = NULL;
		AtEOXact_GUC(true, nest);
		ReleaseCurrentSubTransaction();
		done = true;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		current = NULL;
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (!is_about_locks(error->sqlerrcode))
		{
			CurrentResourceOwner = owner;
			ReThrowError(error);
		}
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return done;
}

static bool
is_about_locks(int sqlerrcode)
{
	return sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE || sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED;
}

void
taskapi_lock_in_try(Oid relid, LOCKMODE mode)
{
	Assert(current != NULL);
	LockRelationOid(relid, mode);
	set_lock_timeout(Max(1, TimestampDifferenceMilliseconds(GetCurrentTimestamp(), current->deadline)));
}

/*
 * Until the try ends.
 */
static void
set_lock_timeout(int ms)
{
	(void) set_config_option("lock_timeout", psprintf("%d", ms), PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
}

static int
next_pause(const TaskapiLockTries *tries)
{
	int			most = tries->timeout < INT_MAX / 20 ? tries->timeout * 10 : INT_MAX / 2;
	int			pause = tries->timeout;

	for (int i = 1; i < tries->tries && pause < most; i++)
		pause *= 2;
	return Min(pause, most) * (0.5 + pg_prng_double(&pg_global_prng_state));
}

static void
pause_for(int ms)
{
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ms);

	for (;;)
	{
		long		left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until);

		CHECK_FOR_INTERRUPTS();
		if (left <= 0)
			return;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, left, WAIT_EVENT_PG_SLEEP);
		ResetLatch(MyLatch);
	}
}
