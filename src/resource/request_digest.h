/*-------------------------------------------------------------------------
 *
 * request_digest.h
 *	  A digest of the values that make a request.
 *
 * Equal values have equal digests whatever the settings of the session, on any
 * machine.  Values of json and jsonb that are equal as JSON are equal, and so are
 * numbers with other trailing zeros.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_REQUEST_DIGEST_H
#define TASKAPI_REQUEST_DIGEST_H

#include "fmgr.h"
#include "lib/stringinfo.h"

#include "base/fingerprint.h"

/* How a type's values become bytes. */
typedef struct TaskapiValueIO
{
	Oid			basetype;		/* of a domain; else the type itself */
	bool		binary;			/* the type has a binary form, */
	FmgrInfo	send;			/* which this makes, or else the text */
} TaskapiValueIO;

/* Its functions belong to the current context. */
extern void taskapi_value_io(TaskapiValueIO *io, Oid type);

/* Bytes to be digested.  Large ones are not copied, and have to stay until the end. */
typedef struct TaskapiRequestDigest
{
	StringInfoData buf;
	struct TaskapiLongValue *values;	/* in their order, each behind a position in buf */
	int			nvalues;
} TaskapiRequestDigest;

extern void taskapi_digest_begin(TaskapiRequestDigest *digest);
extern void taskapi_digest_name(TaskapiRequestDigest *digest, const char *name);
extern void taskapi_digest_value(TaskapiRequestDigest *digest, TaskapiValueIO *io, Datum value, bool isnull);
extern void taskapi_digest_end(TaskapiRequestDigest *digest, uint8 result[TASKAPI_FINGERPRINT_LEN]);

#endif							/* TASKAPI_REQUEST_DIGEST_H */
