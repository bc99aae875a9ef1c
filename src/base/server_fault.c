/*-------------------------------------------------------------------------
 *
 * server_fault.c
 *	  Errors of the server that have the SQLSTATE of a client's (server_fault.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/server_fault.h"

int
taskapi_server_fault(const ErrorData *edata)
{
	if (edata->sqlerrcode == ERRCODE_INSUFFICIENT_PRIVILEGE &&
		edata->message_id != NULL && strstr(edata->message_id, "%m") != NULL)
		return ERRCODE_IO_ERROR;
	if (edata->sqlerrcode == ERRCODE_PROGRAM_LIMIT_EXCEEDED && edata->filename != NULL &&
		(strcmp(edata->filename, "varsup.c") == 0 || strcmp(edata->filename, "multixact.c") == 0))
		return ERRCODE_INSUFFICIENT_RESOURCES;
	return 0;
}
