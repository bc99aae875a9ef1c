-- Who calls: pre_request() and what it is made of. C: src/auth/pre_request.c, src/http/client_address.c, src/http/origin.c
--
-- taskapi.verify_bearer: pre_request() verifies the bearer token of a request without request.jwt.claims, as jwt_verify() does.
--
-- What a resource over one's own keys and sessions is built from (SECURITY DEFINER; set_api_roles() grants them to
-- the authenticated role; each acts for current_subject() alone, and is unauthenticated without one):
--   my_api_keys()                                   rows to list
--   create_my_api_key(name, scopes, expires_at)     one row with the secret, shown this once; not for a caller with an API key
--   revoke_my_api_key(id) -> boolean                false: no such live key of the caller
--   my_sessions()                                   the live ones; current = the one that this request came with
--   end_my_session(id) -> boolean                   false: no such live session of the caller; deletes the cookie of this one
-- and for a log-in, for the owner of the accounts (EXECUTE is nobody's):
--   charge_login(account)                           before the password is looked at, per address and account; rate_limited
--   verify_password(password, hash) -> boolean      takes the same time for a hash that is NULL (no such account, no password)
--   create_session(subject) -> text                 the token, and the cookie; ends the session that the request came with
--   revoke_credentials(subject) -> bigint           all keys and sessions of somebody whose password changed or who is gone

CREATE FUNCTION taskapi.client_address() RETURNS inet
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_client_address_sql';
COMMENT ON FUNCTION taskapi.client_address() IS
    'The caller''s address: entry taskapi.trusted_proxy_hops of X-Forwarded-For from the right, IPv6 by its /64; NULL if'
    ' it is not known';

CREATE FUNCTION taskapi.same_origin() RETURNS boolean
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_same_origin';
COMMENT ON FUNCTION taskapi.same_origin() IS
    'Does the request come from a page of the same origin or of a trusted one, by Sec-Fetch-Site or Origin? NULL if it'
    ' does not say';

CREATE FUNCTION taskapi.pre_request() RETURNS void
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'taskapi_pre_request';
COMMENT ON FUNCTION taskapi.pre_request() IS
    'Finds out who calls (bearer token, API key, session cookie), becomes the authenticated role, and enforces the rate'
    ' limits. For db-pre-request';
