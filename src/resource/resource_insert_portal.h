/*-------------------------------------------------------------------------
 *
 * resource_insert_portal.h
 *	  What the session's own statement tells of an INSERT.
 *
 * It is asked if a row brings no mark (resource_insert_mark.h), and if its mark may be data: loading the library makes the server
 * plan everything again, but a statement that was under way then was planned without the planner hook.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_INSERT_PORTAL_H
#define TASKAPI_RESOURCE_INSERT_PORTAL_H

#include "resource/resource_statement.h"

/* For _PG_init. */
extern void taskapi_insert_portal_init(void);

/* Was the session's statement planned, or begun to be, before the library was loaded? */
extern bool taskapi_insert_planned_before_load(void);

/* Is it a COPY into this view?  COPY returns nothing. */
extern bool taskapi_insert_copies_into(Oid view);

/*
 * Which columns it gives, and in write->returned which it returns; false if it is another statement, which called a function
 * that ran this one.
 */
extern bool taskapi_insert_ask_portal(TaskapiWrite *write, Bitmapset **given);

/* Attribute numbers, offset as in a statement's permissions, as indexes.  The whole row is all columns. */
extern Bitmapset *taskapi_insert_view_columns(const Bitmapset *attributes, int ncolumns);

#endif							/* TASKAPI_RESOURCE_INSERT_PORTAL_H */
