/*-------------------------------------------------------------------------
 *
 * pre_request.c
 *	  Who is calling, and may he go on: what runs before each request.
 *
 * In this order, where the first that is there decides and none falls back on
 * the next:
 *
 *	1. A bearer token.  The layer has verified it and set request.jwt.claims; if it
 *	   has set none and taskapi.verify_bearer is on, that is done here.
 *	2. X-API-Key.
 *	3. The session cookie.
 *	4. Nothing: an anonymous caller.
 *
 * and then:
 *
 *	5. A credential that is not good, or whose subject is blocked: the address is
 *	   charged as an anonymous caller's, and the answer is 401.
 *	6. A cookie on an unsafe method that does not come from our own pages: the same
 *	   charge (the user did nothing), and 403.
 *	7. The rate limits of the principal; a denial charges nothing (429).
 *	8. A key without the scope for the method: 403, and stays charged.
 *	9. On a standby the write that Read-After names is waited for (read_after.h), in
 *	   4. already if the key or session is not there yet.
 *	10. Key and cookie: the claims are set and the role becomes the authenticated one,
 *	   both for the transaction, and so do that role's settings.  The same for a token
 *	   that was verified here, with the role that it names if it does.
 *	11. A key that may only read: the transaction is READ ONLY.
 *
 * The policies, each of which applies as long as it exists: per_key (the API key),
 * per_user (the subject, however it came), per_address (anonymous callers and bad
 * credentials) and per_address_total (everybody behind an address); and those that
 * say themselves whom they count (ratelimit_plan.h).
 *
 * It runs as the caller, because a security definer may not change the role, and
 * without a SET clause, because that would give the role back at the end.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/rel.h"

#include "auth/blocked_subject.h"
#include "auth/credential.h"
#include "auth/jwt.h"
#include "auth/role_settings.h"
#include "base/compat.h"
#include "base/own_objects.h"
#include "base/table_cache.h"
#include "http/claims.h"
#include "http/client_address.h"
#include "http/key_notice.h"
#include "http/layer.h"
#include "http/origin.h"
#include "http/problem.h"
#include "http/read_after.h"
#include "http/request.h"
#include "http/response.h"
#include "metrics/request_observe.h"
#include "ratelimit/ratelimit_plan.h"

/* Columns of taskapi.api_role, as sql/install/52_api_role.sql declares them */
#define Anum_api_role_name 1
#define Anum_api_role_role 2

typedef enum PrincipalKind
{
	PRINCIPAL_ANONYMOUS,
	PRINCIPAL_BEARER,
	PRINCIPAL_API_KEY,
	PRINCIPAL_SESSION
} PrincipalKind;

typedef struct Principal
{
	PrincipalKind kind;
	const char *subject;		/* NULL is none */
	const char *credential;		/* id of the key or session; NULL is none */
	int			scopes;
	bool		verified_here;	/* a bearer token that the layer did not verify */
	Oid			role;			/* that it names; InvalidOid is none */
} Principal;

/* Headers that are read at the start */
enum
{
	HEADER_ORIGIN, HEADER_AUTHORIZATION, HEADER_API_KEY, NHEADERS
};
static const char *const header_names[NHEADERS] = {"origin", "authorization", "x-api-key"};

static void settle(Principal *principal, char **headers);
static void verify_bearer(Principal *principal, const char *authorization);
static void settle_credential(Principal *principal, PrincipalKind kind, const char *secret);
static bool is_bearer_token(const char *authorization);
static bool is_safe_method(const char *method);
static void enforce(const Principal *principal);
pg_noreturn static void refuse(TaskapiProblem problem, List *headers, const char *details);
static void set_claims(const Principal *principal);
static void become(const Principal *principal);
static Oid	authenticated_role(void);

/*
 * pre_request() -> void
 */
PG_FUNCTION_INFO_V1(taskapi_pre_request);
Datum
taskapi_pre_request(PG_FUNCTION_ARGS)
{
	Principal	principal = {0};
	const char *method = taskapi_request_method();
	bool		safe = is_safe_method(method);
	char	   *headers[NHEADERS];

	taskapi_request_observe(method);
	taskapi_request_headers(header_names, headers, NHEADERS);
	if (headers[HEADER_ORIGIN] != NULL)
		taskapi_expose_response_headers();
	taskapi_key_announce();
	settle(&principal, headers);
	taskapi_request_observe_subject(principal.subject);

	if (principal.kind == PRINCIPAL_SESSION && !safe && taskapi_request_origin() != ORIGIN_SAME)
		refuse(PROBLEM_FORBIDDEN, NIL,
			   "A write with a session cookie must come from the same origin.");

	enforce(&principal);

	if (principal.kind == PRINCIPAL_API_KEY &&
		(principal.scopes & (safe ? TASKAPI_SCOPE_READ : TASKAPI_SCOPE_WRITE)) == 0)
		taskapi_problem(PROBLEM_FORBIDDEN, NIL, NULL, "The API key has no scope \"%s\".",
						safe ? "read" : "write");

	(void) taskapi_read_after_wait();
	if (principal.kind == PRINCIPAL_API_KEY || principal.kind == PRINCIPAL_SESSION)
		set_claims(&principal);
	if (principal.kind == PRINCIPAL_API_KEY || principal.kind == PRINCIPAL_SESSION || principal.verified_here)
		become(&principal);

	/* Not every layer runs safe methods in such a transaction */
	if (principal.kind == PRINCIPAL_API_KEY && (principal.scopes & TASKAPI_SCOPE_WRITE) == 0 && !XactReadOnly)
		taskapi_set_local("transaction_read_only", "on");
	PG_RETURN_VOID();
}

static void
settle(Principal *principal, char **headers)
{
	bool		bearer = is_bearer_token(headers[HEADER_AUTHORIZATION]);
	const char *value;

	/* A layer that verified it has set the claims, be it only a role */
	if (bearer && taskapi_layer_setting("request.jwt.claims") == NULL)
	{
		if (!taskapi_verify_bearer)
			refuse(PROBLEM_UNAUTHENTICATED, NIL, "The bearer token has not been verified.");
		verify_bearer(principal, headers[HEADER_AUTHORIZATION]);
	}

	value = taskapi_current_subject();
	if (value != NULL)
	{
		if (taskapi_subject_blocked(value))
			refuse(PROBLEM_UNAUTHENTICATED, NIL, "The bearer token is not valid.");
		principal->kind = PRINCIPAL_BEARER;
		principal->subject = value;
		return;
	}

	if (bearer)
	{
		principal->kind = PRINCIPAL_BEARER;
		return;
	}

	if (headers[HEADER_API_KEY] != NULL)
	{
		settle_credential(principal, PRINCIPAL_API_KEY, headers[HEADER_API_KEY]);
		return;
	}

	/* an empty one is what remains of a cookie that was deleted */
	value = taskapi_request_cookie(taskapi_session_cookie_name);
	if (value != NULL && value[0] != '\0')
		settle_credential(principal, PRINCIPAL_SESSION, value);
}

/*
 * What a layer does that verifies a token: set its claims, and note the role that it names, which must be one that the
 * session's user may become, and not that user, who may become them all.  A token of neither a subject nor a role was signed
 * for something else.
 */
static void
verify_bearer(Principal *principal, const char *authorization)
{
	const char *token = authorization + strlen("Bearer");
	const char *reason;
	Jsonb	   *claims;
	JsonbValue	sub;
	JsonbValue	role;

	token += strspn(token, " \t");
	claims = taskapi_jwt_claims_of(token, strlen(token), NULL, &reason);
	if (claims == NULL)
		refuse(PROBLEM_UNAUTHENTICATED, taskapi_jwt_challenge(), reason);
	if (getKeyJsonValueFromContainer(&claims->root, "role", strlen("role"), &role) != NULL)
	{
		if (role.type == jbvString)
			principal->role = get_role_oid(pnstrdup(role.val.string.val, role.val.string.len), true);
		if (!OidIsValid(principal->role) || principal->role == GetSessionUserId() ||
			!taskapi_may_set_role(GetSessionUserId(), principal->role))
			refuse(PROBLEM_UNAUTHENTICATED, taskapi_jwt_challenge(), "The token is for a role that it cannot have here.");
	}
	else if (getKeyJsonValueFromContainer(&claims->root, "sub", strlen("sub"), &sub) == NULL)
		refuse(PROBLEM_UNAUTHENTICATED, taskapi_jwt_challenge(), "The token names neither a subject nor a role.");
	taskapi_set_local("request.jwt.claims", JsonbToCString(NULL, &claims->root, VARSIZE(claims)));
	principal->verified_here = true;
}

/*
 * Unknown, mistyped, revoked, expired, of a blocked subject: one answer.  Two headers of the name arrive as one
 * value with a comma in it, which is no key.  A browser could not get rid of a
 * dead cookie by itself, and so not log in again, hence it is deleted here.
 */
static void
settle_credential(Principal *principal, PrincipalKind kind, const char *secret)
{
	bool		is_key = (kind == PRINCIPAL_API_KEY);
	const TaskapiCredential *credential;

	credential = taskapi_credential_find(is_key ? CREDENTIAL_API_KEY : CREDENTIAL_SESSION, secret);
	/* it may be what the write made that this request is to be read after */
	if (credential == NULL && taskapi_read_after_wait())
		credential = taskapi_credential_find(is_key ? CREDENTIAL_API_KEY : CREDENTIAL_SESSION, secret);
	if (credential != NULL && taskapi_subject_blocked(credential->subject))
		credential = NULL;
	if (credential == NULL && is_key)
		refuse(PROBLEM_UNAUTHENTICATED, NIL, "The API key is not valid.");
	if (credential == NULL)
		refuse(PROBLEM_UNAUTHENTICATED,
			   taskapi_headers_add(NIL, "Set-Cookie", taskapi_session_cookie("", 0)),
			   "The session is not valid.");

	principal->kind = kind;
	principal->subject = pstrdup(credential->subject);
	principal->credential = DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&credential->id)));
	principal->scopes = credential->scopes;
}

static bool
is_bearer_token(const char *authorization)
{
	return authorization != NULL && pg_strncasecmp(authorization, "Bearer", 6) == 0 &&
		(authorization[6] == ' ' || authorization[6] == '\t' || authorization[6] == '\0');
}

/* RFC 9110, section 9.2.1.  What is not known to be safe is not. */
static bool
is_safe_method(const char *method)
{
	return method != NULL &&
		(strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 || strcmp(method, "OPTIONS") == 0);
}

static void
enforce(const Principal *principal)
{
	TaskapiRateLimitCheck *check = taskapi_rate_limit_check(1);
	const char *address = taskapi_client_address();

	/* Whoever comes past the proxies that are there shares one address with all others who do */
	if (address == NULL && taskapi_trusted_proxy_hops > 0)
		address = "unknown";

	if (principal->kind == PRINCIPAL_API_KEY)
		taskapi_rate_limit_add_if_exists(check, "per_key", principal->credential);
	if (principal->subject != NULL)
		taskapi_rate_limit_add_if_exists(check, "per_user", principal->subject);
	else
		taskapi_rate_limit_add_if_exists(check, "per_address", address);
	taskapi_rate_limit_add_if_exists(check, "per_address_total", address);
	taskapi_rate_limit_add_plan(check, &(TaskapiRateLimitCaller) {
		.subject = principal->subject,
		.api_key = principal->kind == PRINCIPAL_API_KEY ? principal->credential : NULL,
		.address = address
	});
	taskapi_rate_limit_enforce(check);
}

/* Charge the address alone, and raise the problem. */
static void
refuse(TaskapiProblem problem, List *headers, const char *details)
{
	Principal	nobody = {0};

	enforce(&nobody);
	taskapi_problem(problem, headers, NULL, "%s", details);
}

/*
 * Of a principal that the layer took for anonymous.
 */
static void
set_claims(const Principal *principal)
{
	Oid			role = authenticated_role();
	StringInfoData claims;

	initStringInfo(&claims);
	appendStringInfoString(&claims, "{\"sub\": ");
	escape_json(&claims, principal->subject);
	appendStringInfoString(&claims, ", \"role\": ");
	escape_json(&claims, GetUserNameFromId(OidIsValid(role) ? role : GetUserId(), false));
	appendStringInfo(&claims, ", \"scope\": \"%s%s%s\", \"%s\": \"%s\"}",
					 principal->scopes & TASKAPI_SCOPE_READ ? "read" : "",
					 principal->scopes == (TASKAPI_SCOPE_READ | TASKAPI_SCOPE_WRITE) ? " " : "",
					 principal->scopes & TASKAPI_SCOPE_WRITE ? "write" : "",
					 principal->kind == PRINCIPAL_API_KEY ? "api_key_id" : "session_id",
					 principal->credential);
	taskapi_set_local("request.jwt.claims", claims.data);
}

/*
 * Without an authenticated role on record (set_api_roles) the role stays.
 */
static void
become(const Principal *principal)
{
	Oid			former_role = GetUserId();
	Oid			role = OidIsValid(principal->role) ? principal->role : authenticated_role();

	if (OidIsValid(role) && role != former_role)
	{
		taskapi_set_local("role", GetUserNameFromId(role, false));
		taskapi_role_settings_apply(former_role);
	}
}

static Oid
authenticated_role(void)
{
	static TaskapiTableCache cache = {.relname = "api_role"};
	static Oid	role = InvalidOid;
	uint64		generation;
	Relation	rel;
	SysScanDesc scan;
	HeapTuple	tuple;

	if (taskapi_table_cache_valid(&cache))
		return role;

	role = InvalidOid;
	generation = taskapi_relation_generation();
	rel = table_open(taskapi_relation_oid(cache.relname), AccessShareLock);
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Datum		name = heap_getattr(tuple, Anum_api_role_name, RelationGetDescr(rel), &isnull);

		if (strcmp(TextDatumGetCString(name), "authenticated") == 0)
			role = DatumGetObjectId(heap_getattr(tuple, Anum_api_role_role, RelationGetDescr(rel), &isnull));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	taskapi_table_cache_filled(&cache, generation);
	return role;
}
