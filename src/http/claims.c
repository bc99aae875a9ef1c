/*-------------------------------------------------------------------------
 *
 * claims.c
 *	  Who the caller is (claims.h).
 *
 * SQL: sql/install/10_request.sql
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "base/compat.h"
#include "base/jsonb_parse.h"
#include "base/subject.h"
#include "http/claims.h"
#include "http/json_setting.h"

static TaskapiJsonSetting claims = {
	.name = "request.jwt.claims", .problem = PROBLEM_UNAUTHENTICATED
};

/* Made from the claims when they are new, in their context */
static struct
{
	uint64		parses;			/* of the claims that it was made from */
	const char *subject;		/* NULL is none */
	const char *fault;			/* why "sub" is no subject; NULL is fine */
	bool		respelled;		/* does "sub" have another spelling? */
	bool		is_uuid;
	pg_uuid_t	id;
	Jsonb	   *jsonb;			/* NULL is not made yet */
} derived;

static bool have_claims(void);
static void derive_subject(void);
static const char *subject_of_claims(void);
static Jsonb *respell_subject(Jsonb *jsonb, const char *subject);

static bool
have_claims(void)
{
	if (!taskapi_json_setting(&claims))
		return false;
	if (derived.parses != claims.parses)
	{
		memset(&derived, 0, sizeof(derived));
		derive_subject();
		derived.parses = claims.parses;
	}
	return true;
}

static void
derive_subject(void)
{
	const TaskapiJsonField *sub = taskapi_json_setting_field(&claims, "sub");
	int			len;
	char	   *spelled;

	if (sub == NULL)
		return;
	if (sub->type != JSON_TOKEN_STRING || sub->value[0] == '\0')
	{
		derived.fault = "Claim \"sub\" must be a string that is not empty.";
		return;
	}
	len = strlen(sub->value);
	if (len > TASKAPI_MAX_SUBJECT_LEN)
	{
		derived.fault = "Claim \"sub\" is too long.";
		return;
	}
	derived.subject = sub->value;
	derived.is_uuid = taskapi_parse_uuid(sub->value, len, &derived.id);
	if (derived.is_uuid)
	{
		spelled = MemoryContextAlloc(claims.context, TASKAPI_UUID_TEXT_LEN + 1);
		taskapi_print_uuid(&derived.id, spelled);
		derived.respelled = strcmp(spelled, sub->value) != 0;
		derived.subject = spelled;
	}
}

/* Valid while the claims are; NULL is an anonymous caller. */
static const char *
subject_of_claims(void)
{
	if (!have_claims())
		return NULL;
	if (derived.fault != NULL)
		taskapi_problem(PROBLEM_UNAUTHENTICATED, NIL, NULL, "%s", derived.fault);
	return derived.subject;
}

char *
taskapi_current_subject(void)
{
	const char *subject = subject_of_claims();

	return subject ? pstrdup(subject) : NULL;
}

bool
taskapi_current_subject_id(pg_uuid_t *id)
{
	if (subject_of_claims() == NULL)
		return false;
	if (!derived.is_uuid)
		taskapi_problem(PROBLEM_UNAUTHENTICATED, NIL, NULL, "Claim \"sub\" is not a uuid.");
	*id = derived.id;
	return true;
}

Jsonb *
taskapi_jwt_claims(void)
{
	if (!have_claims())
		return NULL;

	if (derived.jsonb == NULL)
	{
		/* In the caller's context: claims that jsonb refuses may come with each request */
		Jsonb	   *jsonb = taskapi_jsonb_parse(claims.text);

		if (jsonb == NULL)
			taskapi_problem(PROBLEM_UNAUTHENTICATED, NIL, NULL, "The claims are not valid JSON.");
		if (derived.respelled)
			jsonb = respell_subject(jsonb, derived.subject);
		derived.jsonb = memcpy(MemoryContextAlloc(claims.context, VARSIZE(jsonb)), jsonb, VARSIZE(jsonb));
	}
	return derived.jsonb;
}

/* The subject is a uuid as it is printed, so it needs no escapes. */
static Jsonb *
respell_subject(Jsonb *jsonb, const char *subject)
{
	Jsonb	   *sub = taskapi_jsonb_parse(psprintf("{\"sub\": \"%s\"}", subject));

	return DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(jsonb), JsonbPGetDatum(sub)));
}

char *
taskapi_claim_text(Jsonb *object, const char *name)
{
	JsonbValue	v;

	if (object == NULL || !JB_ROOT_IS_OBJECT(object) ||
		getKeyJsonValueFromContainer(&object->root, name, strlen(name), &v) == NULL || v.type != jbvString)
		return NULL;
	return pnstrdup(v.val.string.val, v.val.string.len);
}

/*
 * jwt_claims() -> jsonb, current_subject() -> text, current_subject_id() -> uuid
 *
 * NULL if there are none.
 */
PG_FUNCTION_INFO_V1(taskapi_jwt_claims_sql);
Datum
taskapi_jwt_claims_sql(PG_FUNCTION_ARGS)
{
	Jsonb	   *jsonb = taskapi_jwt_claims();
	Jsonb	   *copy;

	if (jsonb == NULL)
		PG_RETURN_NULL();
	/* The caller may keep it for longer than the setting keeps its value */
	copy = palloc(VARSIZE(jsonb));
	memcpy(copy, jsonb, VARSIZE(jsonb));
	PG_RETURN_JSONB_P(copy);
}

PG_FUNCTION_INFO_V1(taskapi_current_subject_sql);
Datum
taskapi_current_subject_sql(PG_FUNCTION_ARGS)
{
	const char *subject = subject_of_claims();

	if (subject == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(subject));
}

PG_FUNCTION_INFO_V1(taskapi_current_subject_id_sql);
Datum
taskapi_current_subject_id_sql(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));

	if (!taskapi_current_subject_id(id))
		PG_RETURN_NULL();
	PG_RETURN_UUID_P(id);
}
