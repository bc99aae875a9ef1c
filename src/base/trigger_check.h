/*-------------------------------------------------------------------------
 *
 * trigger_check.h
 *	  The check at the start of every trigger function: was it called as the
 *	  trigger that it is?
 *
 * A trigger function may be attached to any table by its owner, if he may
 * execute it, at any time and for any event.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_TRIGGER_CHECK_H
#define TASKAPI_TRIGGER_CHECK_H

#include "commands/trigger.h"
#include "fmgr.h"

/* What it must be fired by; a group of which no bit is given may be anything. */
#define TASKAPI_TRIGGER_BEFORE		0x001
#define TASKAPI_TRIGGER_AFTER		0x002
#define TASKAPI_TRIGGER_INSTEAD		0x004
#define TASKAPI_TRIGGER_ROW			0x010
#define TASKAPI_TRIGGER_STATEMENT	0x020
#define TASKAPI_TRIGGER_INSERT		0x100
#define TASKAPI_TRIGGER_UPDATE		0x200
#define TASKAPI_TRIGGER_DELETE		0x400
#define TASKAPI_TRIGGER_TRUNCATE	0x800

/* The trigger's data; an error that names the function for any other call. */
extern TriggerData *taskapi_require_trigger(FunctionCallInfo fcinfo, int events, const char *function);

#endif							/* TASKAPI_TRIGGER_CHECK_H */
