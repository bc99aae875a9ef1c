/*-------------------------------------------------------------------------
 *
 * resource_ahead.c
 *	  Rows of a client's statement that are read before they are written
 *	  (resource_ahead.h).
 *
 * The input of a ModifyTable node is told to call us for its next row, as the executor
 * tells a node to be instrumented.  The statement's memory may go before the query's
 * does, so whoever asks for a row looks among the statements that are under way.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_trigger.h"
#include "executor/executor.h"
#include "nodes/execnodes.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/client_query.h"
#include "base/compat.h"
#include "resource/resource_ahead.h"

/* A batch has so many rows at most, and so many bytes but for the last row. */
#define MAX_ROWS 1000
#define MAX_BYTES (1024 * 1024)

typedef struct Reader
{
	TaskapiAhead pub;
	struct Reader *next;
	MemoryContextCallback unlink;
	TaskapiResourceStatement *statement;
	PlanState  *node;			/* the input */
	ExecProcNodeMtd read;		/* its own way to the next row */
	AttrNumber	attno;			/* the row of the view in it */
	TupleTableSlot *slot;		/* what is handed out */
	TupleTableSlot *scratch;
	MinimalTuple *rows;
	bool		ended;
} Reader;

static Reader *readers = NULL;

static ModifyTableState *firing_node(const TriggerData *trigdata);
static bool fires_from(const ModifyTableState *modify, const TriggerData *trigdata);
static bool has_one_trigger(const TriggerDesc *triggers);
static void unlink_reader(void *arg);
static Reader *find_reader(const PlanState *node);
static TupleTableSlot *next_row(PlanState *node);
static void read_batch(Reader *reader);

void
taskapi_ahead_begin(TaskapiResourceStatement *statement, const TriggerData *trigdata)
{
	ModifyTableState *modify = firing_node(trigdata);
	PlanState  *node;
	Reader	   *reader;
	bool		is_fixed;
	MemoryContext oldcontext;

	if (modify == NULL || modify->mt_nrels != 1 || !has_one_trigger(modify->resultRelInfo->ri_TrigDesc))
		return;
	node = outerPlanState(modify);
	oldcontext = MemoryContextSwitchTo(statement->context);
	reader = palloc0(sizeof(Reader));
	reader->statement = statement;
	reader->node = node;
	reader->attno = modify->resultRelInfo->ri_RowIdAttNo;
	reader->pub.context = AllocSetContextCreate(statement->context, "taskapi rows ahead", ALLOCSET_DEFAULT_SIZES);
	reader->rows = palloc(sizeof(MinimalTuple) * MAX_ROWS);
	MemoryContextSwitchTo(node->state->es_query_cxt);
	/* what looks at the input's rows was made for slots of this kind */
	reader->slot = ExecInitExtraTupleSlot(node->state, ExecGetResultType(node), ExecGetResultSlotOps(node, &is_fixed));
	reader->scratch = ExecInitExtraTupleSlot(node->state, ExecGetResultType(node), &TTSOpsMinimalTuple);
	MemoryContextSwitchTo(oldcontext);

	reader->next = readers;
	readers = reader;
	reader->unlink.func = unlink_reader;
	reader->unlink.arg = reader;
	MemoryContextRegisterResetCallback(statement->context, &reader->unlink);
	reader->read = node->ExecProcNodeReal;
	ExecSetExecProcNode(node, next_row);
}

/*
 * The node whose statement triggers fire, if the running query has it at the top or in a WITH.
 */
static ModifyTableState *
firing_node(const TriggerData *trigdata)
{
	TaskapiQueryOwner not_used;
	const QueryDesc *query = taskapi_running_query(&not_used);
	ListCell   *lc;

	if (query == NULL || query->planstate == NULL)
		return NULL;
	if (IsA(query->planstate, ModifyTableState) && fires_from((ModifyTableState *) query->planstate, trigdata))
		return (ModifyTableState *) query->planstate;
	foreach(lc, query->estate->es_auxmodifytables)
	{
		if (fires_from(lfirst(lc), trigdata))
			return lfirst(lc);
	}
	return NULL;
}

/*
 * Each node has its own copy of the triggers.
 */
static bool
fires_from(const ModifyTableState *modify, const TriggerData *trigdata)
{
	const TriggerDesc *triggers = modify->resultRelInfo->ri_TrigDesc;

	return triggers != NULL && trigdata->tg_trigger >= triggers->triggers &&
		trigdata->tg_trigger < triggers->triggers + triggers->numtriggers;
}

static bool
has_one_trigger(const TriggerDesc *triggers)
{
	int			n = 0;

	for (int i = 0; i < triggers->numtriggers; i++)
		n += TRIGGER_FOR_INSTEAD(triggers->triggers[i].tgtype) && TRIGGER_FOR_DELETE(triggers->triggers[i].tgtype);
	return n == 1;
}

static void
unlink_reader(void *arg)
{
	Reader	  **link = &readers;

	while (*link != arg)
		link = &(*link)->next;
	*link = ((Reader *) arg)->next;
}

static Reader *
find_reader(const PlanState *node)
{
	for (Reader *reader = readers; reader != NULL; reader = reader->next)
	{
		if (reader->node == node)
			return reader;
	}
	elog(ERROR, "rows of a statement are read after its end");
}

static TupleTableSlot *
next_row(PlanState *node)
{
	Reader	   *reader = find_reader(node);

	if (reader->pub.at + 1 < reader->pub.count)
		reader->pub.at++;
	else
		read_batch(reader);
	if (reader->pub.count == 0)
		return ExecClearTuple(reader->slot);
	reader->statement->ahead = &reader->pub;
	ExecForceStoreMinimalTuple(reader->rows[reader->pub.at], reader->slot, false);
	return reader->slot;
}

static void
read_batch(Reader *reader)
{
	TaskapiAhead *ahead = &reader->pub;
	Size		bytes = 0;

	ExecClearTuple(reader->slot);
	ExecClearTuple(reader->scratch);
	MemoryContextReset(ahead->context);
	ahead->count = ahead->at = 0;
	ahead->tried = false;
	ahead->written = NULL;
	while (!reader->ended && ahead->count < MAX_ROWS && bytes < MAX_BYTES)
	{
		TupleTableSlot *slot = reader->read(reader->node);
		MemoryContext oldcontext;

		if (TupIsNull(slot))
		{
			reader->ended = true;
			break;
		}
		oldcontext = MemoryContextSwitchTo(ahead->context);
		reader->rows[ahead->count] = ExecCopySlotMinimalTuple(slot);
		MemoryContextSwitchTo(oldcontext);
		bytes += reader->rows[ahead->count++]->t_len;
	}
}

void
taskapi_ahead_row(const TaskapiAhead *ahead, int i, HeapTuple row)
{
	const Reader *reader = (const Reader *) ahead;
	HeapTupleHeader header;
	Datum		value;
	bool		isnull;

	ExecStoreMinimalTuple(reader->rows[i], reader->scratch, false);
	value = slot_getattr(reader->scratch, reader->attno, &isnull);
	if (isnull)
		elog(ERROR, "a row of a view is NULL");
	header = DatumGetHeapTupleHeader(value);
	row->t_data = header;
	row->t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&row->t_self);
	row->t_tableOid = InvalidOid;
}
