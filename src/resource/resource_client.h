/*-------------------------------------------------------------------------
 *
 * resource_client.h
 *	  Which write to a resource is the client's own, and what it asked for.
 *
 * The method, the key and the preconditions of a request are about one write: that
 * to the view which the path names.  What a db-pre-request, a trigger, a default or
 * a function over /rpc writes on the way, to whatever resource, has none of them.
 * If the path names no relation beside the view, which it need not in a server of
 * one's own, the write is the client's if it is the statement that the server sent.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_CLIENT_H
#define TASKAPI_RESOURCE_CLIENT_H

#include "executor/execdesc.h"

#include "base/fingerprint.h"

/* Is the statement on this view, which is about to start, the client's own?  "another" is one of it that has not ended. */
extern bool taskapi_resource_is_clients(Oid view, bool another);

/*
 * A digest of which rows an UPDATE or DELETE of the view asks for: the text of its WHERE clause, token by token, and its
 * parameters but for those of json, which are bodies.  False if the text is not all: then it uses variables of a function.
 */
extern bool taskapi_resource_filter_digest(QueryDesc *query, Oid view, uint8 digest[TASKAPI_FINGERPRINT_LEN]);

#endif							/* TASKAPI_RESOURCE_CLIENT_H */
