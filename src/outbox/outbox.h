/*-------------------------------------------------------------------------
 *
 * outbox.h
 *	  Where this database's outbox is, and the statements on its tables.
 *
 * The tables belong to whoever called create_outbox(), who may change them.  So every statement runs as their owner, in a
 * security-restricted operation, names all it uses with its schema, and states the types of what it returns, which are compared
 * when it has run.  The plans are kept for the session and made again if the outbox moves, or if anything that a name in them
 * stands for may have changed.
 *
 * All but taskapi_outbox_open() needs SPI connected.  A result is SPI's until it is freed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_OUTBOX_H
#define TASKAPI_OUTBOX_H

#include "executor/spi.h"

#include "base/role.h"

/* Never another number: a key must not move to another slot while messages of it are waiting. */
#define OUTBOX_SLOTS 64

/* At most this many arguments, and columns that are compared */
#define OUTBOX_MAX_VALUES 11

typedef struct TaskapiOutbox
{
	Oid			message;
	Oid			owner;
	Oid			message_seq;
	Oid			fencing_token;	/* the sequence */
	int64		partition_size;
	const char *schema;			/* quoted */
} TaskapiOutbox;

/*
 * A statement, for a static variable.  "@" in its text stands for the schema, unless it is literal.  Letters are types: i int4,
 * b bigint, t text, j jsonb, z timestamptz, v interval, r regclass, n bool, B bigint[], T text[]; those of "result" are what its
 * columns must begin with.
 */
typedef struct TaskapiOutboxStatement
{
	const char *text;
	const char *arguments;
	const char *result;
	bool		literal;
	SPIPlanPtr	plan;
	int			running;		/* a trigger of the owner's may come back here */
	uint64		epoch;			/* of the outbox that the plan is for */
} TaskapiOutboxStatement;

/* What taskapi_outbox_end_as_owner() puts back */
typedef struct TaskapiOutboxOwner
{
	TaskapiRole role;
	int			settings;
} TaskapiOutboxOwner;

/* Errors: object_not_in_prerequisite_state if there is no outbox. */
extern const TaskapiOutbox *taskapi_outbox_open(void);
/* The same, NULL if there is none. */
extern const TaskapiOutbox *taskapi_outbox_find(void);

/*
 * What the owner has put on the tables (triggers, expressions of indexes, constraints) runs as the owner, in a security-restricted
 * operation: it finds nothing that the caller has put into search_path, and what it sets does not stay.  Statements see to it.
 */
extern TaskapiOutboxOwner taskapi_outbox_as_owner(void);
extern void taskapi_outbox_end_as_owner(TaskapiOutboxOwner saved);

/* Runs it with a snapshot of its own; the number of rows.  "nulls" may be NULL. */
extern uint64 taskapi_outbox_run(TaskapiOutboxStatement *statement, Datum *values, const char *nulls);

/* The same, for one that has to write so many rows: an error if a trigger or a rule keeps them from being written. */
extern void taskapi_outbox_write(TaskapiOutboxStatement *statement, Datum *values, const char *nulls, uint64 rows);
pg_noreturn extern void taskapi_outbox_not_written(void);

/* Would it run without being prepared again? */
extern bool taskapi_outbox_is_prepared(const TaskapiOutboxStatement *statement);

/* A column of a row of the last result, both from 0.  (Datum) 0 if it is NULL; an error if there is no such row. */
extern Datum taskapi_outbox_value(uint64 row, int column, bool *isnull);
extern int64 taskapi_outbox_int64(uint64 row, int column);

/* DDL as the owner: a command in which every name is qualified. */
extern void taskapi_outbox_command(const char *command);

/* The last number that was drawn, and 0 if none was; and the next one. */
extern int64 taskapi_outbox_last_number(const TaskapiOutbox *outbox);
extern int64 taskapi_outbox_next_number(const TaskapiOutbox *outbox);

/* Problem not_found. */
pg_noreturn extern void taskapi_outbox_no_group(const char *group);

#endif							/* TASKAPI_OUTBOX_H */
