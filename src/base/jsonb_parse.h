/*-------------------------------------------------------------------------
 *
 * jsonb_parse.h
 *	  JSON text as jsonb, without an error.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_JSONB_PARSE_H
#define TASKAPI_JSONB_PARSE_H

#include "utils/jsonb.h"

/*
 * Palloc'd in the current context.  NULL if jsonb refuses the text, which goes
 * further than the grammar: numbers out of range, characters that the database's
 * encoding lacks.
 */
extern Jsonb *taskapi_jsonb_parse(const char *text);

#endif							/* TASKAPI_JSONB_PARSE_H */
