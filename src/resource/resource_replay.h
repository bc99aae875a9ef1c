/*-------------------------------------------------------------------------
 *
 * resource_replay.h
 *	  A statement on a resource that is answered with stored rows, whatever its
 *	  filter finds now.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_REPLAY_H
#define TASKAPI_RESOURCE_REPLAY_H

#include "executor/execdesc.h"
#include "nodes/execnodes.h"

#include "resource/request_digest.h"

/*
 * The part of the client's query that writes to the view by this operation; NULL if that is not one part.
 */
extern ModifyTableState *taskapi_replay_target(QueryDesc *query, Oid view, CmdType operation);

/*
 * From now on, until the end of the query, the part reads from "next" what it would read from its filter: a row of the
 * view at a time, and NULL in the end.
 */
typedef HeapTuple (*TaskapiReplayNext) (void *arg);
extern void taskapi_replay_begin(ModifyTableState *target, TaskapiReplayNext next, void *arg);

/*
 * Add the columns that the UPDATE of the view sets, with their new values, to a digest, without looking at a row of the
 * view.  "client" says that the query is what the client sent.  False if the values depend on the row, or cannot be
 * computed apart for another reason.
 */
extern bool taskapi_replay_digest_update(QueryDesc *query, bool client, Oid view, TaskapiRequestDigest *digest);

#endif							/* TASKAPI_RESOURCE_REPLAY_H */
