/*-------------------------------------------------------------------------
 *
 * client_address.h
 *	  The caller's address.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_CLIENT_ADDRESS_H
#define TASKAPI_CLIENT_ADDRESS_H

/*
 * client_address.c: the address that the outermost trusted proxy saw, as text; an IPv6 one by
 * its /64 ("2001:db8:1:2::/64").  NULL where there is no trusted proxy or where it
 * said nothing that is an address.  Palloc'd.
 */
extern char *taskapi_client_address(void);
extern int	taskapi_trusted_proxy_hops;

extern void taskapi_client_address_init(void);

#endif							/* TASKAPI_CLIENT_ADDRESS_H */
