/*-------------------------------------------------------------------------
 *
 * resource_publish.c
 *	  resource_publish(): every write of a row is a message of the outbox.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "base/own_objects.h"
#include "base/primary_key.h"
#include "base/role.h"
#include "base/sha256.h"
#include "base/table_cache.h"
#include "base/trigger_check.h"
#include "outbox/outbox_publish.h"
#include "resource/resource_answer.h"
#include "resource/resource_publish.h"
#include "resource/resource_registry.h"
#include "resource/resource_source.h"
#include "resource/resource_table.h"

/* A resource that publishes: what of its registration is needed, copied */
typedef struct Publisher
{
	char	   *topic;
	char	   *resource;
	char	   *deleted_at;		/* NULL without soft deletion */
} Publisher;

/* The key of a row */
typedef struct RowKey
{
	char	   *json;			/* {"column": value, ...} */
	text	   *key;			/* of its messages */
} RowKey;

static List *publishers_of(Oid table);
static void require_right_to_publish(Oid table);
static const char *event_of(const Publisher *publisher, TriggerEvent event, HeapTuple old, HeapTuple new, TupleDesc desc);
static bool is_deleted(const Publisher *publisher, HeapTuple row, TupleDesc desc);
static RowKey key_of(Relation rel, HeapTuple row);
static char *value_text(Relation rel, Oid type, Datum value);
static void append_json(StringInfo json, Oid type, const char *text);
static void publish(const Publisher *publisher, const char *event, const RowKey *key, HeapTuple row, TupleDesc desc);

bool
taskapi_table_publishes(Oid table)
{
	ListCell   *lc;

	foreach(lc, taskapi_registrations())
	{
		const TaskapiRegistration *r = lfirst(lc);

		if (r->source == table && r->publish != NULL)
			return true;
	}
	return false;
}

static List *
publishers_of(Oid table)
{
	List	   *publishers = NIL;
	ListCell   *lc;

	foreach(lc, taskapi_registrations())
	{
		const TaskapiRegistration *r = lfirst(lc);

		if (r->source == table && r->publish != NULL)
		{
			Publisher  *publisher = palloc0(sizeof(Publisher));

			publisher->topic = pstrdup(r->publish);
			publisher->resource = get_rel_name(r->resource);
			publisher->deleted_at = r->soft_delete ? pstrdup(NameStr(r->deleted_at_column)) : NULL;
			publishers = lappend(publishers, publisher);
		}
	}
	return publishers;
}

/*
 * resource_publish() -> trigger: AFTER INSERT OR UPDATE OR DELETE
 *
 * Errors: object_not_in_prerequisite_state without an outbox or a primary key; insufficient_privilege if the table's owner may not
 * publish.
 */
PG_FUNCTION_INFO_V1(taskapi_resource_publish);
Datum
taskapi_resource_publish(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = taskapi_require_trigger(fcinfo, TASKAPI_TRIGGER_AFTER | TASKAPI_TRIGGER_ROW | TASKAPI_TRIGGER_INSERT |
													TASKAPI_TRIGGER_UPDATE | TASKAPI_TRIGGER_DELETE, "resource_publish");
	Relation	rel = trigdata->tg_relation;
	TupleDesc	desc = RelationGetDescr(rel);
	bool		is_update = TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event);
	HeapTuple	old = trigdata->tg_trigtuple;
	HeapTuple	new = is_update ? trigdata->tg_newtuple : old;
	Oid			root = taskapi_resource_root(RelationGetRelid(rel));
	List	   *publishers = publishers_of(root);
	RowKey		key;
	ListCell   *lc;

	if (publishers == NIL || (is_update && !taskapi_row_changed(desc, old, new, 0, 0)))
		return PointerGetDatum(NULL);
	require_right_to_publish(root);
	key = key_of(rel, new);
	foreach(lc, publishers)
	{
		const Publisher *publisher = lfirst(lc);
		const char *event = event_of(publisher, trigdata->tg_event, old, new, desc);
		RowKey		old_key = is_update ? key_of(rel, old) : key;

		if (strcmp(old_key.json, key.json) != 0)
		{
			publish(publisher, publisher->deleted_at ? "purged" : "deleted", &old_key, old, desc);
			event = is_deleted(publisher, new, desc) ? "deleted" : "created";
		}
		if (event != NULL)
			publish(publisher, event, &key, new, desc);
	}
	return PointerGetDatum(NULL);
}

/*
 * What a trigger does it does with the rights of the owner of the table that was exposed, whoever owns the partition.
 */
static void
require_right_to_publish(Oid table)
{
	static Oid	function = InvalidOid;
	static uint64 generation = 0;
	Oid			owner = taskapi_resource_table(table)->owner;

	if (generation != taskapi_names_generation())
	{
		static const Oid types[] = {TEXTOID, TEXTOID, JSONBOID, JSONBOID};

		uint64		now = taskapi_names_generation();

		function = taskapi_function_oid("publish", lengthof(types), types);
		generation = now;
	}
	if (!taskapi_may_execute(function, owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("the owner of table \"%s\" may not publish", get_rel_name(table)),
				 errhint("GRANT EXECUTE ON FUNCTION taskapi.publish TO %s.", quote_identifier(GetUserNameFromId(owner, false)))));
}

/* NULL: nothing that the resource would show */
static const char *
event_of(const Publisher *publisher, TriggerEvent event, HeapTuple old, HeapTuple new, TupleDesc desc)
{
	bool		was_deleted = is_deleted(publisher, old, desc);
	bool		now_deleted = is_deleted(publisher, new, desc);

	if (TRIGGER_FIRED_BY_INSERT(event))
		return now_deleted ? "deleted" : "created";
	if (TRIGGER_FIRED_BY_DELETE(event))
		return publisher->deleted_at ? "purged" : "deleted";
	if (was_deleted)
		return now_deleted ? NULL : "restored";
	return now_deleted ? "deleted" : "updated";
}

static bool
is_deleted(const Publisher *publisher, HeapTuple row, TupleDesc desc)
{
	int			column = publisher->deleted_at ? taskapi_column_number(desc, publisher->deleted_at) : 0;

	return column > 0 && !heap_attisnull(row, column, desc);
}

/*
 * A key of one column is the key of its messages as it is, so that others can publish under it too; of several it is a JSON array.
 * One that no message may have is hashed.
 */
static RowKey
key_of(Relation rel, HeapTuple row)
{
	TupleDesc	desc = RelationGetDescr(rel);
	TaskapiKeyColumn columns[INDEX_MAX_KEYS];
	int			n = taskapi_primary_key(rel, columns);
	StringInfoData json;
	StringInfoData array;
	char	   *text = NULL;
	RowKey		key;

	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" has no primary key to name its messages by", RelationGetRelationName(rel)),
				 errhint("Call taskapi.expose() again.")));
	initStringInfo(&json);
	initStringInfo(&array);
	for (int i = 0; i < n; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, columns[i].attno - 1);
		bool		isnull;
		Datum		value = heap_getattr(row, columns[i].attno, desc, &isnull);

		text = value_text(rel, att->atttypid, value);
		appendStringInfoString(&json, i == 0 ? "{" : ", ");
		escape_json(&json, NameStr(att->attname));
		appendStringInfoString(&json, ": ");
		append_json(&json, att->atttypid, text);
		appendStringInfoString(&array, i == 0 ? "[" : ", ");
		append_json(&array, att->atttypid, text);
	}
	appendStringInfoChar(&json, '}');
	appendStringInfoChar(&array, ']');
	key.json = json.data;
	if (n > 1)
		text = array.data;
	if (*text == '\0' || strlen(text) > OUTBOX_MAX_NAME)
	{
		uint8		digest[PG_SHA256_DIGEST_LENGTH];
		char		hex[2 * PG_SHA256_DIGEST_LENGTH];

		taskapi_sha256(text, strlen(text), digest);
		(void) hex_encode((const char *) digest, sizeof(digest), hex);
		key.key = cstring_to_text_with_len(hex, sizeof(hex));
	}
	else
		key.key = cstring_to_text(text);
	return key;
}

/*
 * The same in every session: what output depends on is pinned, but for types that depend on nothing.  The functions of other types
 * may be anybody's, so they run as the table's owner.
 */
static char *
value_text(Relation rel, Oid type, Datum value)
{
	Oid			base = getBaseType(type);
	Oid			function;
	bool		is_varlena;
	TaskapiRole saved;
	int			level;
	char	   *text;

	getTypeOutputInfo(type, &function, &is_varlena);
	if (base == INT4OID || base == INT8OID || base == INT2OID || base == UUIDOID || base == TEXTOID || base == VARCHAROID)
		return OidOutputFunctionCall(function, value);
	saved = taskapi_become(rel->rd_rel->relowner, SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	level = taskapi_answer_pin_settings(true);
	(void) set_config_option("bytea_output", "hex", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	text = OidOutputFunctionCall(function, value);
	AtEOXact_GUC(false, level);
	taskapi_role_restore(saved);
	return text;
}

static void
append_json(StringInfo json, Oid type, const char *text)
{
	switch (getBaseType(type))
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
			appendStringInfoString(json, text);
			break;
		case BOOLOID:
			appendStringInfoString(json, *text == 't' ? "true" : "false");
			break;
		case NUMERICOID:
			if (strspn(text, "0123456789.-") == strlen(text))
			{
				appendStringInfoString(json, text);
				break;
			}
			pg_fallthrough;
		default:
			escape_json(json, text);
	}
}

static void
publish(const Publisher *publisher, const char *event, const RowKey *key, HeapTuple row, TupleDesc desc)
{
	int			version = taskapi_column_number(desc, "version");
	StringInfoData payload;
	bool		isnull;

	initStringInfo(&payload);
	appendStringInfo(&payload, "{\"event\": \"%s\", \"resource\": ", event);
	escape_json(&payload, publisher->resource);
	appendStringInfo(&payload, ", \"id\": %s", key->json);
	if (version > 0 && taskapi_is_version_type(TupleDescAttr(desc, version - 1)->atttypid))
	{
		Datum		value = heap_getattr(row, version, desc, &isnull);

		if (!isnull)
			appendStringInfo(&payload, ", \"version\": " INT64_FORMAT,
							 taskapi_version_number(value, TupleDescAttr(desc, version - 1)->atttypid));
	}
	appendStringInfoChar(&payload, '}');
	(void) taskapi_outbox_publish(cstring_to_text(publisher->topic), key->key,
								  DirectFunctionCall1(jsonb_in, CStringGetDatum(payload.data)), (Datum) 0);
}
