/*-------------------------------------------------------------------------
 *
 * jwt_token.c
 *	  A JWT's compact form: verify and take apart, put together and sign.
 *
 * The order is the safety: shape, signature, header, payload, claims.  What
 * comes from somebody without the key gets no further than the signature, whose
 * comparison takes the same time wherever it differs.
 *
 * jsonb would keep the last of two equal names and say nothing, while the layer
 * in front may have kept the first; so the text is read here before jsonb sees it
 * (RFC 7519, section 4, and RFC 8725, section 2.6).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "mb/pg_wchar.h"

#include "auth/jwt_token.h"
#include "base/base64url.h"
#include "base/compat.h"
#include "base/encoding.h"
#include "base/hmac.h"
#include "base/json_fields.h"

#define SIGNATURE_LEN TASKAPI_BASE64URL_ENCODED_LEN(PG_SHA256_DIGEST_LENGTH)

/* {"alg":"HS256","typ":"JWT"} */
#define OUR_HEADER "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"

#define REASON_MALFORMED "The token is not a signed JWT in compact form."
#define REASON_SIGNATURE "The token is not signed by a known key."
#define REASON_ALG "The token must be signed with HS256."
#define REASON_TYP "The token is not of type JWT."
#define REASON_CRIT "The token has critical extensions that are not supported."
#define REASON_PAYLOAD "The claims are not a JSON object with each name once."
#define REASON_CLAIM_TYPE "A registered claim of the token has the wrong type."
#define REASON_EXPIRED "The token has expired."
#define REASON_NOT_YET "The token is not valid yet."
#define REASON_TOO_LONG "The token would be too long."

static bool check_header(const char *encoded, int len, const char **reason);
static bool check_claims(const TaskapiJsonField *fields, int nfields, TaskapiJwtTimes *times);
static char *decode_text(const char *encoded, int len);
static bool unique_fields(const char *text, TaskapiJsonField **fields, int *nfields);
static bool numeric_date(const TaskapiJsonField *field, double *seconds);

char *
taskapi_jwt_open(const char *token, int len, const TaskapiSecret *keys, int nkeys,
				 TaskapiJwtTimes *times, const char **reason)
{
	const char *payload;
	const char *signature;
	uint8		mac[PG_SHA256_DIGEST_LENGTH];
	uint8		expected[PG_SHA256_DIGEST_LENGTH];
	bool		verified = false;
	TaskapiJsonField *fields;
	int			nfields;
	char	   *text;

	*reason = REASON_MALFORMED;
	if (len > TASKAPI_JWT_MAX_LENGTH)
		return NULL;

	/* header '.' payload '.' signature; a third dot is no base64url, so decoding finds it */
	payload = memchr(token, '.', len);
	if (payload == NULL)
		return NULL;
	payload++;
	signature = memchr(payload, '.', token + len - payload);
	if (signature == NULL)
		return NULL;
	signature++;

	/* one length alone, so that "none" with its empty signature ends here too */
	if (token + len - signature != SIGNATURE_LEN ||
		taskapi_base64url_decode(signature, SIGNATURE_LEN, mac) != PG_SHA256_DIGEST_LENGTH)
		return NULL;

	for (int i = 0; i < nkeys && !verified; i++)
	{
		taskapi_hmac_sha256(keys[i].bytes, keys[i].len, false, token, signature - 1 - token, expected);
		verified = timingsafe_bcmp(mac, expected, PG_SHA256_DIGEST_LENGTH) == 0;
	}
	if (!verified)
	{
		*reason = REASON_SIGNATURE;
		return NULL;
	}

	if (!check_header(token, payload - 1 - token, reason))
		return NULL;

	*reason = REASON_PAYLOAD;
	text = decode_text(payload, signature - 1 - payload);
	if (text == NULL || !unique_fields(text, &fields, &nfields))
		return NULL;
	*reason = REASON_CLAIM_TYPE;
	return check_claims(fields, nfields, times) ? text : NULL;
}

/*
 * RFC 7519, sections 4.1.4 to 4.1.6.  A token that was issued in the future is
 * not valid yet, either.
 */
const char *
taskapi_jwt_check_times(const TaskapiJwtTimes *times, double now, double leeway)
{
	if (now >= times->expires + leeway)
		return REASON_EXPIRED;
	if (now + leeway < times->not_before)
		return REASON_NOT_YET;
	return NULL;
}

char *
taskapi_jwt_seal(const char *payload, const TaskapiSecret *key, const char **reason)
{
	const char *utf8;
	int			utf8_len;
	int			signed_len;
	uint8		mac[PG_SHA256_DIGEST_LENGTH];
	TaskapiJwtTimes times;
	TaskapiJsonField *fields;
	int			nfields;
	char	   *token;

	/* its length first: what is checked of the claims takes a time that grows with the square of their number */
	utf8 = pg_server_to_any(payload, strlen(payload), PG_UTF8);
	utf8_len = strlen(utf8);
	*reason = REASON_TOO_LONG;
	if (utf8_len > TASKAPI_JWT_MAX_LENGTH)
		return NULL;
	signed_len = strlen(OUR_HEADER) + 1 + TASKAPI_BASE64URL_ENCODED_LEN(utf8_len);
	if (signed_len + 1 + SIGNATURE_LEN > TASKAPI_JWT_MAX_LENGTH)
		return NULL;

	*reason = REASON_PAYLOAD;
	if (!unique_fields(payload, &fields, &nfields))
		return NULL;
	/* The times are the signer's business: he may sign in advance */
	*reason = REASON_CLAIM_TYPE;
	if (!check_claims(fields, nfields, &times))
		return NULL;

	token = palloc(signed_len + 1 + SIGNATURE_LEN + 1);
	strcpy(token, OUR_HEADER ".");
	taskapi_base64url_encode((const uint8 *) utf8, utf8_len, token + strlen(OUR_HEADER) + 1);
	taskapi_hmac_sha256(key->bytes, key->len, false, token, signed_len, mac);
	token[signed_len] = '.';
	taskapi_base64url_encode(mac, PG_SHA256_DIGEST_LENGTH, token + signed_len + 1);
	token[signed_len + 1 + SIGNATURE_LEN] = '\0';
	return token;
}

/*
 * alg is pinned (RFC 8725, section 3.1), typ may say JWT or nothing (3.11, and
 * RFC 7515, section 4.1.9, for the spelling), and crit asks for what we do not
 * have (RFC 7515, section 4.1.11).  A key that the header brings along or points to (jwk,
 * jku, x5c, x5u, kid) is never looked at.
 */
static bool
check_header(const char *encoded, int len, const char **reason)
{
	TaskapiJsonField *fields;
	int			nfields;
	bool		has_alg = false;
	char	   *text;

	if (len == strlen(OUR_HEADER) && memcmp(encoded, OUR_HEADER, len) == 0)
		return true;

	*reason = REASON_MALFORMED;
	text = decode_text(encoded, len);
	if (text == NULL || !unique_fields(text, &fields, &nfields))
		return false;

	for (int i = 0; i < nfields; i++)
	{
		const TaskapiJsonField *field = &fields[i];

		if (strcmp(field->name, "alg") == 0)
		{
			*reason = REASON_ALG;
			if (field->type != JSON_TOKEN_STRING || strcmp(field->value, "HS256") != 0)
				return false;
			has_alg = true;
		}
		else if (strcmp(field->name, "typ") == 0)
		{
			*reason = REASON_TYP;
			if (field->type != JSON_TOKEN_STRING ||
				(pg_strcasecmp(field->value, "JWT") != 0 &&
				 pg_strcasecmp(field->value, "application/jwt") != 0))
				return false;
		}
		else if (strcmp(field->name, "crit") == 0)
		{
			*reason = REASON_CRIT;
			return false;
		}
	}
	*reason = REASON_ALG;
	return has_alg;
}

/*
 * Types of the registered claims (RFC 7519, section 4.1).  aud may be an array, which
 * the caller looks into.
 */
static bool
check_claims(const TaskapiJsonField *fields, int nfields, TaskapiJwtTimes *times)
{
	times->expires = INFINITY;
	times->not_before = -INFINITY;

	for (int i = 0; i < nfields; i++)
	{
		const TaskapiJsonField *field = &fields[i];
		bool		exp = strcmp(field->name, "exp") == 0;
		bool		nbf = strcmp(field->name, "nbf") == 0;
		bool		iat = strcmp(field->name, "iat") == 0;
		double		seconds;

		if (exp || nbf || iat)
		{
			if (!numeric_date(field, &seconds))
				return false;
			if (exp)
				times->expires = seconds;
			else
				times->not_before = Max(times->not_before, seconds);
		}
		else if (strcmp(field->name, "sub") == 0 || strcmp(field->name, "iss") == 0 ||
				 strcmp(field->name, "jti") == 0)
		{
			if (field->type != JSON_TOKEN_STRING)
				return false;
		}
		else if (strcmp(field->name, "aud") == 0)
		{
			if (field->type != JSON_TOKEN_STRING && field->type != JSON_TOKEN_ARRAY_START)
				return false;
		}
	}
	return true;
}

/* One part of a token as text in the server encoding; NULL if it is none, or has what that encoding lacks. */
static char *
decode_text(const char *encoded, int len)
{
	char	   *text = palloc(TASKAPI_BASE64URL_DECODED_LEN(len) + 1);
	int			text_len = taskapi_base64url_decode(encoded, len, (uint8 *) text);

	if (text_len < 0)
		return NULL;
	text[text_len] = '\0';
	/* a NUL byte is no valid UTF-8 here, either */
	if (!pg_verify_mbstr(PG_UTF8, text, text_len, true))
		return NULL;
	return taskapi_utf8_to_server(text, text_len);
}

/* The fields of a JSON object; false where it is none, or has a name twice. */
static bool
unique_fields(const char *text, TaskapiJsonField **fields, int *nfields)
{
	if (!taskapi_json_fields(text, strlen(text), false, fields, nfields))
		return false;

	/* a signed token has few claims: our own issuer made it */
	for (int i = 0; i < *nfields; i++)
		for (int j = i + 1; j < *nfields; j++)
			if (strcmp((*fields)[i].name, (*fields)[j].name) == 0)
				return false;
	return true;
}

/* NumericDate: a JSON number of seconds, with or without a fraction. */
static bool
numeric_date(const TaskapiJsonField *field, double *seconds)
{
	if (field->type != JSON_TOKEN_NUMBER)
		return false;
	*seconds = strtod(field->value, NULL);
	return isfinite(*seconds);
}
