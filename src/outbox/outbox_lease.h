/*-------------------------------------------------------------------------
 *
 * outbox_lease.h
 *	  What receive(), extend_lease() and settle() ask of a lease, and settle().
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_OUTBOX_LEASE_H
#define TASKAPI_OUTBOX_LEASE_H

#include "utils/timestamp.h"

#include "outbox/outbox.h"

/* Problem invalid_value unless it is positive and at most a day. */
extern void taskapi_outbox_check_lease(const Interval *lease);

/* "group" is text.  SPI must be connected. */
extern bool taskapi_outbox_group_exists(Datum group);

/* Problem lease_lost; or not_found, or invalid_value, if there is no such group or slot. */
pg_noreturn extern void taskapi_outbox_lease_lost(Datum group, int32 slot);

#endif							/* TASKAPI_OUTBOX_LEASE_H */
