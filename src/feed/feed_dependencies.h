/*-------------------------------------------------------------------------
 *
 * feed_dependencies.h
 *	  What the policies of a table depend on, as far as the catalogs tell.
 *
 * A policy is more than its own text.  What it calls and reads elsewhere changes its answer: the body of a function, a view, the
 * policies of another table.  All of that is found by pg_depend, to any depth.  The body of a function that is a string (LANGUAGE
 * plpgsql, and sql without BEGIN ATOMIC or RETURN) has no dependencies there: it counts by itself, and what it names does not.
 *
 * What is read elsewhere is read by somebody: the caller, the owner of a view, or the owner of a function with SECURITY DEFINER.
 * Which policies are for these, and which they bypass, has to be asked with every call, since roles are granted and altered
 * without a message to caches like those of the feed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_FEED_DEPENDENCIES_H
#define TASKAPI_FEED_DEPENDENCIES_H

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"

/*
 * Appends the table's policies and what they depend on to "buf", in an order that a standby and its primary share.  "roles" are
 * those that policies are for, and the owners of other tables that have some; "definers" are those who read but for the caller.
 */
extern void taskapi_feed_add_policies(Oid relid, StringInfo buf, List **roles, List **definers);

#endif							/* TASKAPI_FEED_DEPENDENCIES_H */
