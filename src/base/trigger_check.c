/*-------------------------------------------------------------------------
 *
 * trigger_check.c
 *	  Was a trigger function called as the trigger that it is?
 *	  (trigger_check.h)
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/rel.h"

#include "base/compat.h"
#include "base/trigger_check.h"

#define TIMINGS (TASKAPI_TRIGGER_BEFORE | TASKAPI_TRIGGER_AFTER | TASKAPI_TRIGGER_INSTEAD)
#define LEVELS	(TASKAPI_TRIGGER_ROW | TASKAPI_TRIGGER_STATEMENT)
#define EVENTS	(TASKAPI_TRIGGER_INSERT | TASKAPI_TRIGGER_UPDATE | TASKAPI_TRIGGER_DELETE | TASKAPI_TRIGGER_TRUNCATE)

static int	fired_by(TriggerEvent event);

TriggerData *
taskapi_require_trigger(FunctionCallInfo fcinfo, int events, const char *function)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	int			fired;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager", function)));

	fired = fired_by(trigdata->tg_event);
	if (((events & TIMINGS) != 0 && (events & fired & TIMINGS) == 0) ||
		((events & LEVELS) != 0 && (events & fired & LEVELS) == 0) ||
		((events & EVENTS) != 0 && (events & fired & EVENTS) == 0))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was called by a trigger that it does not serve", function),
				 errdetail("Trigger \"%s\" of table \"%s\" has the wrong timing, level or event.",
						   trigdata->tg_trigger->tgname, RelationGetRelationName(trigdata->tg_relation))));
	return trigdata;
}

static int
fired_by(TriggerEvent event)
{
	int			fired = 0;

	if (TRIGGER_FIRED_BEFORE(event))
		fired |= TASKAPI_TRIGGER_BEFORE;
	else if (TRIGGER_FIRED_AFTER(event))
		fired |= TASKAPI_TRIGGER_AFTER;
	else
		fired |= TASKAPI_TRIGGER_INSTEAD;

	fired |= TRIGGER_FIRED_FOR_ROW(event) ? TASKAPI_TRIGGER_ROW : TASKAPI_TRIGGER_STATEMENT;

	if (TRIGGER_FIRED_BY_INSERT(event))
		fired |= TASKAPI_TRIGGER_INSERT;
	else if (TRIGGER_FIRED_BY_UPDATE(event))
		fired |= TASKAPI_TRIGGER_UPDATE;
	else if (TRIGGER_FIRED_BY_DELETE(event))
		fired |= TASKAPI_TRIGGER_DELETE;
	else
		fired |= TASKAPI_TRIGGER_TRUNCATE;
	return fired;
}
