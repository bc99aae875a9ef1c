/*-------------------------------------------------------------------------
 *
 * jwt.c
 *	  jwt_sign() and jwt_verify(): which keys, what time, for whom.
 *
 * A key that the caller gives is used alone; otherwise the newest key of purpose
 * 'jwt' signs, and all that are not retired verify.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "datatype/timestamp.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "jwt.h"
#include "problem.h"
#include "request.h"
#include "taskapi.h"

#define MAX_LEEWAY 3600

static char *jwt_audience = NULL;
static int	jwt_leeway = 0;

static void given_secret(text *secret, TaskapiSecret *key);
static const char *check_audience(Jsonb *claims);
pg_noreturn static void refuse_token(const char *reason);

void
taskapi_jwt_init(void)
{
	DefineCustomStringVariable("taskapi.jwt_audience",
							   "Whom a JWT must be meant for (claim aud).",
							   "While it is empty, a JWT that names an audience is refused: it is for somebody else.",
							   &jwt_audience,
							   "",
							   PGC_SUSET, 0,
							   NULL, NULL, NULL);
	DefineCustomIntVariable("taskapi.jwt_leeway",
							"How far the clock of a JWT's issuer may be off.",
							NULL,
							&jwt_leeway,
							0, 0, MAX_LEEWAY,
							PGC_SUSET, GUC_UNIT_S,
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
	const TaskapiSecret *keys = &given;
	int			nkeys = 1;
	text	   *token;
	const char *reason;
	char	   *payload;
	Jsonb	   *claims;
	double		now;

	if (!PG_ARGISNULL(1))
		given_secret(PG_GETARG_TEXT_PP(1), &given);
	else
		nkeys = taskapi_secret_all("jwt", &keys);

	if (PG_ARGISNULL(0))
		refuse_token("There is no token.");
	/* Its length is known before it is decompressed or fetched */
	if (toast_raw_datum_size(PG_GETARG_DATUM(0)) - VARHDRSZ > TASKAPI_JWT_MAX_LENGTH)
		refuse_token("The token is too long.");
	token = PG_GETARG_TEXT_PP(0);

	now = GetCurrentTimestamp() / (double) USECS_PER_SEC +
		(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (double) SECS_PER_DAY;
	payload = taskapi_jwt_open(VARDATA_ANY(token), VARSIZE_ANY_EXHDR(token), keys, nkeys,
							   now, jwt_leeway, &reason);
	if (payload == NULL)
		refuse_token(reason);

	claims = taskapi_jsonb_parse(payload);
	if (claims == NULL)
		refuse_token("The claims are not valid JSON.");
	reason = check_audience(claims);
	if (reason != NULL)
		refuse_token(reason);
	PG_RETURN_JSONB_P(claims);
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
	return found ? NULL : "The token is meant for somebody else.";
}

/* RFC 6750, section 3.1 */
static void
refuse_token(const char *reason)
{
	taskapi_problem(PROBLEM_UNAUTHENTICATED,
					taskapi_headers_add(NIL, "WWW-Authenticate", "Bearer error=\"invalid_token\""),
					NULL, "%s", reason);
}
