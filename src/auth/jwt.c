/*-------------------------------------------------------------------------
 *
 * jwt.c
 *	  jwt_sign() and jwt_verify(): which keys, what time, for whom.
 *
 * A key that the caller gives is used alone; otherwise the newest key of purpose
 * 'jwt' signs, and all that are not retired verify.
 *
 * A client sends the same token for minutes or hours, so what has been verified
 * is remembered: the whole token, the secret if one was given, claims and times.  A
 * token that is found again, byte for byte and for the same secret, needs no second
 * MAC; its times and its audience are checked each time.  All is forgotten when the
 * keys change.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "common/hashfn.h"
#include "datatype/timestamp.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/jsonb_parse.h"
#include "base/table_cache.h"
#include "auth/jwt_token.h"
#include "http/problem.h"
#include "auth/jwt.h"

#define MAX_LEEWAY 3600

#define TOO_LONG "The token is too long."

#define REMEMBERED_TOKENS 256
#define MAX_REMEMBERED_LEN 2048

/* A verified token in the slot of its hash */
typedef struct RememberedToken
{
	int			len;			/* 0 is a free slot */
	char	   *token;
	int			secret_len;		/* 0 is the keys of purpose 'jwt' */
	char	   *secret;
	Jsonb	   *claims;
	TaskapiJwtTimes times;
} RememberedToken;

bool		taskapi_verify_bearer = false;
static char *jwt_audience = NULL;
static int	jwt_leeway = 0;

/* Of the same table as the cache of keys in secret.c: both are dropped together */
static TaskapiTableCache keys_cache = {.relname = "secret"};
static MemoryContext remembered_context = NULL;
static RememberedToken *remembered = NULL;

static void given_secret(text *secret, TaskapiSecret *key);
static Jsonb *open_token(const char *token, int len, const TaskapiSecret *keys, int nkeys, TaskapiJwtTimes *times,
						 const char **reason);
static RememberedToken *remembered_slot(const char *token, int len);
static void remember_token(RememberedToken *slot, const char *token, int len, const TaskapiSecret *given,
						   Jsonb *claims, const TaskapiJwtTimes *times);
static void forget_token(RememberedToken *slot);
static const char *check_token(Jsonb *claims, const TaskapiJwtTimes *times);
static const char *check_audience(Jsonb *claims);
pg_noreturn static void refuse_token(const char *reason);

void
taskapi_jwt_init(void)
{
	DefineCustomStringVariable("taskapi.jwt_audience",
							   "Sets the required value of the claim aud of a JWT.",
							   "If it is empty, a JWT with an audience is refused.",
							   &jwt_audience,
							   "",
							   PGC_SUSET, 0,
							   NULL, NULL, NULL);
	DefineCustomIntVariable("taskapi.jwt_leeway",
							"Sets the clock skew tolerated when the times of a JWT are checked.",
							NULL,
							&jwt_leeway,
							0, 0, MAX_LEEWAY,
							PGC_SUSET, GUC_UNIT_S,
							NULL, NULL, NULL);
	DefineCustomBoolVariable("taskapi.verify_bearer",
							 "Makes pre_request() verify a bearer token that the layer did not.",
							 "That is the token of a request without request.jwt.claims, by the keys of purpose jwt.",
							 &taskapi_verify_bearer,
							 false,
							 PGC_SUSET, 0,
							 NULL, NULL, NULL);
}

/*
 * jwt_sign(claims jsonb, secret text) -> text
 */
PG_FUNCTION_INFO_V1(taskapi_jwt_sign);
Datum
taskapi_jwt_sign(PG_FUNCTION_ARGS)
{
	Jsonb	   *claims;
	TaskapiSecret given;
	const TaskapiSecret *key = &given;
	const char *reason;
	char	   *token;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	claims = PG_GETARG_JSONB_P(0);
	if (!JB_ROOT_IS_OBJECT(claims))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("claims must be a JSON object")));

	if (PG_ARGISNULL(1))
		key = taskapi_secret_current("jwt");
	else
		given_secret(PG_GETARG_TEXT_PP(1), &given);

	token = taskapi_jwt_seal(JsonbToCString(NULL, &claims->root, VARSIZE(claims)), key, &reason);
	if (token == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("claims cannot be signed"),
				 errdetail_internal("%s", reason)));
	PG_RETURN_TEXT_P(cstring_to_text(token));
}

/*
 * jwt_verify(token text, secret text) -> jsonb
 *
 * The claims; anything but a token that is good now, and for us, is unauthenticated.
 */
PG_FUNCTION_INFO_V1(taskapi_jwt_verify);
Datum
taskapi_jwt_verify(PG_FUNCTION_ARGS)
{
	TaskapiSecret given;
	const char *reason;
	text	   *token;
	Jsonb	   *claims;

	if (!PG_ARGISNULL(1))
		given_secret(PG_GETARG_TEXT_PP(1), &given);

	/* RFC 6750, 3.1: the challenge names an error only if there was a token */
	if (PG_ARGISNULL(0))
		taskapi_problem(PROBLEM_UNAUTHENTICATED, NIL, NULL, "There is no token.");
	/* Its length is known before it is decompressed or fetched */
	if (toast_raw_datum_size(PG_GETARG_DATUM(0)) - VARHDRSZ > TASKAPI_JWT_MAX_LENGTH)
		refuse_token(TOO_LONG);
	token = PG_GETARG_TEXT_PP(0);
	claims = taskapi_jwt_claims_of(VARDATA_ANY(token), VARSIZE_ANY_EXHDR(token), PG_ARGISNULL(1) ? NULL : &given, &reason);
	if (claims == NULL)
		refuse_token(reason);
	PG_RETURN_JSONB_P(claims);
}

Jsonb *
taskapi_jwt_claims_of(const char *token, int len, const TaskapiSecret *given, const char **reason)
{
	int			given_len = given ? given->len : 0;
	const TaskapiSecret *keys = given;
	int			nkeys = 1;
	RememberedToken *slot;
	TaskapiJwtTimes times;
	Jsonb	   *claims;

	*reason = TOO_LONG;
	if (len > TASKAPI_JWT_MAX_LENGTH)
		return NULL;
	slot = remembered_slot(token, len);
	if (slot->len == len && slot->secret_len == given_len && len > 0 &&
		timingsafe_bcmp(slot->token, token, len) == 0 &&
		(given_len == 0 || timingsafe_bcmp(slot->secret, given->bytes, given_len) == 0))
	{
		*reason = check_token(slot->claims, &slot->times);
		return *reason ? NULL : DatumGetJsonbP(datumCopy(JsonbPGetDatum(slot->claims), false, -1));
	}

	if (given == NULL)
		nkeys = taskapi_secret_all("jwt", &keys);
	claims = open_token(token, len, keys, nkeys, &times, reason);
	if (claims == NULL || (*reason = check_token(claims, &times)) != NULL)
		return NULL;
	if (len <= MAX_REMEMBERED_LEN && given_len <= MAX_REMEMBERED_LEN)
		remember_token(slot, token, len, given, claims, &times);
	return claims;
}

/* The claims of a token that one of the keys has signed, else NULL. */
static Jsonb *
open_token(const char *token, int len, const TaskapiSecret *keys, int nkeys, TaskapiJwtTimes *times, const char **reason)
{
	char	   *payload = taskapi_jwt_open(token, len, keys, nkeys, times, reason);
	Jsonb	   *claims = payload ? taskapi_jsonb_parse(payload) : NULL;

	if (payload != NULL && claims == NULL)
		*reason = "The claims are not valid JSON.";
	return claims;
}

/*
 * Where this token is remembered, or would be.  What is still there was verified by
 * keys that are as they were.
 */
static RememberedToken *
remembered_slot(const char *token, int len)
{
	AcceptInvalidationMessages();
	if (remembered == NULL || !taskapi_table_cache_valid(&keys_cache))
	{
		uint64		generation = taskapi_relation_generation();

		for (int i = 0; remembered != NULL && i < REMEMBERED_TOKENS; i++)
			forget_token(&remembered[i]);
		remembered = NULL;
		if (remembered_context == NULL)
			remembered_context = AllocSetContextCreate(TopMemoryContext, "taskapi tokens", ALLOCSET_DEFAULT_SIZES);
		MemoryContextReset(remembered_context);
		remembered = MemoryContextAllocZero(remembered_context, REMEMBERED_TOKENS * sizeof(RememberedToken));
		taskapi_table_cache_filled(&keys_cache, generation);
	}
	return &remembered[hash_bytes((const unsigned char *) token, len) % REMEMBERED_TOKENS];
}

static void
remember_token(RememberedToken *slot, const char *token, int len, const TaskapiSecret *given,
			   Jsonb *claims, const TaskapiJwtTimes *times)
{
	MemoryContext oldcontext;

	forget_token(slot);
	oldcontext = MemoryContextSwitchTo(remembered_context);
	slot->token = pnstrdup(token, len);
	slot->claims = DatumGetJsonbP(datumCopy(JsonbPGetDatum(claims), false, -1));
	if (given != NULL)
	{
		slot->secret = palloc(given->len);
		memcpy(slot->secret, given->bytes, given->len);
	}
	MemoryContextSwitchTo(oldcontext);
	slot->secret_len = given ? given->len : 0;
	slot->times = *times;
	slot->len = len;
}

/* Secrets are wiped before their memory is used for something else. */
static void
forget_token(RememberedToken *slot)
{
	if (slot->len == 0)
		return;
	slot->len = 0;
	pfree(slot->token);
	pfree(slot->claims);
	if (slot->secret_len > 0)
	{
		explicit_bzero(slot->secret, slot->secret_len);
		pfree(slot->secret);
	}
}

/* Is it good now, and for us?  NULL is fine, else why not. */
static const char *
check_token(Jsonb *claims, const TaskapiJwtTimes *times)
{
	double		now = taskapi_timestamptz_to_unix(GetCurrentTimestamp());
	const char *reason = taskapi_jwt_check_times(times, now, jwt_leeway);

	return reason ? reason : check_audience(claims);
}

static void
given_secret(text *secret, TaskapiSecret *key)
{
	key->key_id = 0;
	key->len = VARSIZE_ANY_EXHDR(secret);
	key->bytes = (const uint8 *) VARDATA_ANY(secret);
	if (key->len < TASKAPI_JWT_MIN_SECRET)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("secret is too short"),
				 errdetail("HS256 needs a secret of at least %d bytes.", TASKAPI_JWT_MIN_SECRET)));
}

/*
 * RFC 7519, section 4.1.3: aud is a string or an array of them, and whoever does
 * not find himself there must refuse.  RFC 8725, section 3.9: whoever expects one
 * refuses a token without, too.  NULL is fine, else why not.
 */
static const char *
check_audience(Jsonb *claims)
{
	JsonbValue	aud;
	bool		expected = (jwt_audience != NULL && jwt_audience[0] != '\0');
	bool		found = false;

	if (getKeyJsonValueFromContainer(&claims->root, "aud", 3, &aud) == NULL)
		return expected ? "The token names no audience." : NULL;

	if (aud.type == jbvString)
		found = expected && aud.val.string.len == strlen(jwt_audience) &&
			memcmp(aud.val.string.val, jwt_audience, aud.val.string.len) == 0;
	else
	{
		JsonbIterator *it;
		JsonbIteratorToken tok;
		JsonbValue	v;

		it = JsonbIteratorInit(aud.val.binary.data);
		while ((tok = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
		{
			if (tok != WJB_ELEM)
				continue;
			if (v.type != jbvString)
				return "A registered claim of the token has the wrong type.";
			if (expected && v.val.string.len == strlen(jwt_audience) &&
				memcmp(v.val.string.val, jwt_audience, v.val.string.len) == 0)
				found = true;
		}
	}
	return found ? NULL : "The token is meant for another audience.";
}

List *
taskapi_jwt_challenge(void)
{
	return taskapi_headers_add(NIL, "WWW-Authenticate", "Bearer error=\"invalid_token\"");
}

static void
refuse_token(const char *reason)
{
	taskapi_problem(PROBLEM_UNAUTHENTICATED, taskapi_jwt_challenge(), NULL, "%s", reason);
}
