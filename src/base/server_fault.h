/*-------------------------------------------------------------------------
 *
 * server_fault.h
 *	  Errors of the server that have the SQLSTATE of a client's.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_SERVER_FAULT_H
#define TASKAPI_SERVER_FAULT_H

/*
 * The SQLSTATE of a fault of the database that has one by which a client is to blame, else 0.  A file that the operating
 * system lets the server not have, as on a disk that was remounted read-only, has that of a missing privilege, and a
 * database without transaction ids left that of a value that is too large.
 */
extern int	taskapi_server_fault(const ErrorData *edata);

#endif							/* TASKAPI_SERVER_FAULT_H */
