/*-------------------------------------------------------------------------
 *
 * subject_lock.c
 *	  lock_subject(): makes whoever gives a subject credentials and whoever
 *	  takes them away wait for each other.
 *
 * A credential that is made in one transaction is no row yet to another that
 * revokes all of the subject's, so it would outlive the revocation.  Those that
 * make one hold this lock in share mode until their transaction ends, and those
 * that revoke or block hold it in exclusive mode; after it was waited for, a
 * new snapshot shows what the other did.
 *
 * It is a lock of a class of its own: pg_advisory_lock() cannot take it.  Two
 * subjects whose hashes are equal wait for each other, which is all that happens.
 *
 * SQL: sql/install/53_credential.sql
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lock.h"

#include "base/args.h"
#include "base/compat.h"
#include "base/subject.h"

/* pg_locks.objsubid.  The server's own advisory locks are of the classes 1 and 2, those of idempotency keys of 29801. */
#define LOCK_CLASS 29802

PG_FUNCTION_INFO_V1(taskapi_lock_subject);
Datum
taskapi_lock_subject(PG_FUNCTION_ARGS)
{
	const char *subject;
	uint64		hash;
	LOCKTAG		tag;

	taskapi_require_arg(fcinfo, 0, "subject");
	taskapi_require_arg(fcinfo, 1, "exclusive");
	subject = taskapi_canonical_subject(taskapi_arg_cstring(fcinfo, 0));
	hash = hash_bytes_extended((const unsigned char *) subject, strlen(subject), 0);
	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (hash >> 32), (uint32) hash, LOCK_CLASS);
	(void) LockAcquire(&tag, PG_GETARG_BOOL(1) ? ExclusiveLock : ShareLock, false, false);
	PG_RETURN_VOID();
}
