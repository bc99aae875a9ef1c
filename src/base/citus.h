/*-------------------------------------------------------------------------
 *
 * citus.h
 *	  Is a table one that Citus keeps on other servers?
 *
 * A transaction that writes such a table commits on several servers, one after the
 * other unless Citus is told to do it in two phases.  What is to happen once together
 * with a row of this server, such as an idempotency key, does not then.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_CITUS_H
#define TASKAPI_CITUS_H

#include "base/compat.h"

/*
 * Does the catalog of Citus name the table?  Reads that catalog, so keep the answer with what is made anew when the table is
 * invalidated: Citus does that when it takes or gives back a table.  Without Citus it costs one look-up in the catalog cache.
 */
extern bool taskapi_citus_keeps(Oid table);

/* Raise the reason why writes to the table through a resource are refused. */
pg_noreturn extern void taskapi_citus_refuse(Oid table);

#endif							/* TASKAPI_CITUS_H */
