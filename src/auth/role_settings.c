/*-------------------------------------------------------------------------
 *
 * role_settings.c
 *	  What ALTER ROLE ... SET says, for a role that a request is switched to
 *	  (role_settings.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_db_role_setting.h"
#include "miscadmin.h"
#include "storage/sinval.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc_tables.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "auth/role_settings.h"
#include "base/compat.h"

typedef struct RoleSetting
{
	char	   *name;
	char	   *value;
} RoleSetting;

/*
 * What was read last.  Like the server itself, which looks for tables again when a
 * message of any kind has come, we ask the counter of messages: the catalog has
 * no cache whose callback we could wait for.
 */
static struct
{
	MemoryContext context;
	bool		valid;
	uint64		messages;
	Oid			former_role;
	Oid			role;
	List	   *former;			/* of RoleSetting */
	List	   *wanted;
} settings;

static void load(Oid former_role, Oid role);
static List *read_settings(Relation rel, Oid database, Oid role, List *list);
static List *add_settings(List *list, ArrayType *array);
static RoleSetting *find(List *list, const char *name);
static bool is_local(const char *name);
static bool is_value(const RoleSetting *setting);
static bool set(const char *name, const char *value, GucContext context, GucAction action);

void
taskapi_role_settings_apply(Oid former_role)
{
	Oid			role = GetUserId();
	ListCell   *lc;

	AcceptInvalidationMessages();
	/* our own changes send their messages when they are committed */
	if (!settings.valid || settings.messages != SharedInvalidMessageCounter ||
		settings.former_role != former_role || settings.role != role ||
		TransactionIdIsValid(GetTopTransactionIdIfAny()))
		load(former_role, role);

	foreach(lc, settings.former)
	{
		RoleSetting *setting = lfirst(lc);
		const char *before;

		if (find(settings.wanted, setting->name) != NULL || !is_local(setting->name) || !is_value(setting))
			continue;
		before = GetConfigOptionResetString(setting->name);
		/* what the session began with is no privilege of the role; it is NULL of a setting that no library has defined */
		set(setting->name, before ? before : "", PGC_SUSET, GUC_ACTION_LOCAL);
	}
	foreach(lc, settings.wanted)
	{
		RoleSetting *setting = lfirst(lc);
		RoleSetting *former = find(settings.former, setting->name);

		if (is_local(setting->name) && strcmp(setting->name, "search_path") != 0 &&
			(former == NULL || !is_value(former)))
			continue;
		set(setting->name, setting->value, PGC_USERSET, GUC_ACTION_LOCAL);
	}
}

static void
load(Oid former_role, Oid role)
{
	Relation	rel;
	MemoryContext oldcontext;

	settings.valid = false;
	settings.former = settings.wanted = NIL;
	if (settings.context == NULL)
		settings.context = AllocSetContextCreate(TopMemoryContext, "taskapi role settings", ALLOCSET_SMALL_SIZES);
	MemoryContextReset(settings.context);

	rel = table_open(DbRoleSettingRelationId, AccessShareLock);
	settings.messages = SharedInvalidMessageCounter;
	oldcontext = MemoryContextSwitchTo(settings.context);
	settings.former = read_settings(rel, InvalidOid, former_role, NIL);
	settings.former = read_settings(rel, MyDatabaseId, former_role, settings.former);
	settings.wanted = read_settings(rel, InvalidOid, role, NIL);
	settings.wanted = read_settings(rel, MyDatabaseId, role, settings.wanted);
	MemoryContextSwitchTo(oldcontext);
	table_close(rel, AccessShareLock);

	settings.former_role = former_role;
	settings.role = role;
	settings.valid = !TransactionIdIsValid(GetTopTransactionIdIfAny());
}

static List *
read_settings(Relation rel, Oid database, Oid role, List *list)
{
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_db_role_setting_setdatabase, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(database));
	ScanKeyInit(&keys[1], Anum_pg_db_role_setting_setrole, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(role));
	scan = systable_beginscan(rel, DbRoleSettingDatidRolidIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Datum		config = heap_getattr(tuple, Anum_pg_db_role_setting_setconfig, RelationGetDescr(rel), &isnull);

		if (!isnull)
			list = add_settings(list, DatumGetArrayTypeP(config));
	}
	systable_endscan(scan);
	return list;
}

/*
 * Add the settings of an array of name=value; a later one of the same name wins.  A role is no setting here: it is what
 * we have just switched to.
 */
static List *
add_settings(List *list, ArrayType *array)
{
	Datum	   *elements;
	bool	   *nulls;
	int			nelements;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &nelements);
	for (int i = 0; i < nelements; i++)
	{
		char	   *name;
		char	   *value;
		RoleSetting *setting;

		if (nulls[i])
			continue;
		ParseLongOption(TextDatumGetCString(elements[i]), &name, &value);
		if (value == NULL || strcmp(name, "role") == 0 || strcmp(name, "session_authorization") == 0)
			continue;
		setting = find(list, name);
		if (setting == NULL)
		{
			setting = palloc(sizeof(RoleSetting));
			setting->name = name;
			list = lappend(list, setting);
		}
		setting->value = value;
	}
	return list;
}

static RoleSetting *
find(List *list, const char *name)
{
	ListCell   *lc;

	foreach(lc, list)
	{
		RoleSetting *setting = lfirst(lc);

		if (pg_strcasecmp(setting->name, name) == 0)
			return setting;
	}
	return NULL;
}

/*
 * Has it been set for this transaction?
 */
static bool
is_local(const char *name)
{
	const struct config_generic *option = NULL;

#ifdef TASKAPI_HAVE_FIND_OPTION
	option = find_option(name, false, true, DEBUG1);
#else
	struct config_generic **options = get_guc_variables();

	for (int i = 0; i < GetNumConfigOptions() && option == NULL; i++)
	{
		if (pg_strcasecmp(options[i]->name, name) == 0)
			option = options[i];
	}
#endif
	return option != NULL && option->stack != NULL &&
		(option->stack->state == GUC_LOCAL || option->stack->state == GUC_SET_LOCAL);
}

/*
 * Does the option have this value now?  A value has many spellings, so it is set for a moment.
 */
static bool
is_value(const RoleSetting *setting)
{
	const char *now = GetConfigOption(setting->name, true, false);
	char	   *saved = now ? pstrdup(now) : NULL;
	int			level = NewGUCNestLevel();
	bool		same = false;

	if (saved != NULL && set(setting->name, setting->value, PGC_SUSET, GUC_ACTION_SAVE))
		same = (strcmp(saved, GetConfigOption(setting->name, false, false)) == 0);
	AtEOXact_GUC(true, level);
	return same;
}

static bool
set(const char *name, const char *value, GucContext context, GucAction action)
{
	return set_config_option(name, value, context, PGC_S_SESSION, action, true, DEBUG1, false) > 0;
}
