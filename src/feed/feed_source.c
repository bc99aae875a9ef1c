/*-------------------------------------------------------------------------
 *
 * feed_source.c
 *	  A resource whose changes are asked for (feed_source.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "base/sha256.h"
#include "feed/feed_history.h"
#include "feed/feed_source.h"
#include "feed/feed_stamp.h"
#include "http/claims.h"
#include "page/filter.h"

static void require_changes(TaskapiFeed *feed);
static void require_select(const TaskapiFeed *feed);
static void bind_token(TaskapiFeed *feed, List *conditions);

void
taskapi_feed_open(Oid resource, List *conditions, TaskapiFeed *feed)
{
	memset(feed, 0, sizeof(TaskapiFeed));
	feed->view = taskapi_resource_view(resource);
	feed->source = feed->view->registration.source;
	feed->departures = feed->view->registration.departures;
	require_changes(feed);
	require_select(feed);
	feed->restricted = check_enable_rls(feed->source, InvalidOid, true) == RLS_ENABLED;
	bind_token(feed, conditions);
	taskapi_feed_history(feed);
}

static void
require_changes(TaskapiFeed *feed)
{
	const TaskapiRegistration *registration = &feed->view->registration;
	AttrNumber	stamp = get_attnum(feed->source, TASKAPI_STAMP_COLUMN);
	const char *detail = NULL;

	if (feed->view->deleted_rows || !registration->changes)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("resource \"%s\" has no change feed", get_rel_name(feed->view->entry.relid)),
				 errhint("Call taskapi.expose() with changes => true.")));
	if (stamp <= 0 || get_atttype(feed->source, stamp) != XID8OID)
		detail = "Its table has no column \"" TASKAPI_STAMP_COLUMN "\" of type xid8.";
	else if (!OidIsValid(feed->departures) || get_rel_relkind(feed->departures) != RELKIND_RELATION)
		detail = "Its table of departures does not exist.";
	else if (!taskapi_feed_state(feed->source, GetActiveSnapshot(), &feed->state))
		detail = "Table taskapi.change_source has no row for its table.";
	if (detail != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot read changes of resource \"%s\"", get_rel_name(feed->view->entry.relid)),
				 errdetail_internal("%s", detail),
				 errhint("Call taskapi.expose() again.")));
}

/*
 * The statements read the table; what they need of that, the server asks for.
 */
static void
require_select(const TaskapiFeed *feed)
{
	Oid			relid = feed->view->entry.relid;

	if (pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK &&
		pg_attribute_aclcheck_all(relid, GetUserId(), ACL_SELECT, ACLMASK_ALL) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_VIEW, get_rel_name(relid));
}

/*
 * Who reads is part of it: what a client has, another reader may not be able to see.  By names, so that after a restore the
 * token is of another history, and not of another resource.
 */
static void
bind_token(TaskapiFeed *feed, List *conditions)
{
	StringInfoData buf;
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	uint8		filter[TASKAPI_FINGERPRINT_LEN];
	char	   *subject = taskapi_current_subject();
	Oid			relid = feed->view->entry.relid;

	taskapi_fingerprint_jsonb(taskapi_filter_canonical(conditions), filter);
	initStringInfo(&buf);
	appendStringInfo(&buf, "%s.%s %s ",
					 quote_identifier(get_namespace_name(get_rel_namespace(relid))), quote_identifier(get_rel_name(relid)),
					 quote_identifier(GetUserNameFromId(GetUserId(), false)));
	appendBinaryStringInfo(&buf, (char *) filter, sizeof(filter));
	appendStringInfoChar(&buf, feed->restricted);
	if (subject != NULL)
		appendStringInfo(&buf, "s%s", subject);
	taskapi_sha256(buf.data, buf.len, digest);
	memcpy(feed->binding, digest, TASKAPI_FEED_DIGEST);
	pfree(buf.data);
}
