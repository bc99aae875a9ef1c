-- What the HTTP layer put into GUCs, and what it is to answer.

CREATE FUNCTION taskapi.request_header(name text) RETURNS text
    LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_request_header_sql';
COMMENT ON FUNCTION taskapi.request_header(text) IS
    'A header of the request, by name in any case; several of one name are joined by commas; NULL outside a request';

CREATE FUNCTION taskapi.request_cookie(name text) RETURNS text
    LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_request_cookie_sql';
COMMENT ON FUNCTION taskapi.request_cookie(text) IS 'A cookie of the request; NULL outside a request';

CREATE FUNCTION taskapi.jwt_claims() RETURNS jsonb
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_jwt_claims_sql';
COMMENT ON FUNCTION taskapi.jwt_claims() IS
    'The claims of the caller; NULL for an anonymous one. A sub that is a uuid has its standard spelling';

CREATE FUNCTION taskapi.current_subject() RETURNS text
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_current_subject_sql';
COMMENT ON FUNCTION taskapi.current_subject() IS
    'Who the caller is (claim sub, 1 to 1024 bytes, else unauthenticated); a uuid has its standard spelling; NULL for an'
    ' anonymous one';

CREATE FUNCTION taskapi.current_subject_id() RETURNS uuid
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_current_subject_id_sql';
COMMENT ON FUNCTION taskapi.current_subject_id() IS
    'Who the caller is, as a uuid; a subject that is not a uuid is unauthenticated';

CREATE FUNCTION taskapi.canonical_subject(subject text) RETURNS text
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_canonical_subject_sql';
REVOKE ALL ON FUNCTION taskapi.canonical_subject(text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.canonical_subject(text) IS
    'Internal: a subject as credentials are stored for it; a uuid, in any spelling, becomes the standard one, and one that no'
    ' credential can have is an error';

CREATE FUNCTION taskapi.set_response_header(name text, value text) RETURNS void
    LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'taskapi_set_response_header_sql';
COMMENT ON FUNCTION taskapi.set_response_header(text, text) IS
    'Sets a header of the answer, in place of one of that name; Set-Cookie is added';

CREATE FUNCTION taskapi.read_after() RETURNS text
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'taskapi_read_after';
COMMENT ON FUNCTION taskapi.read_after() IS
    'The token by which a standby knows when it has what this transaction writes, NULL if it has written nothing so far; inside a'
    ' request it is the answer''s Read-After, which writes to resources and keyed functions set by themselves';

CREATE FUNCTION taskapi.set_response_status(status int) RETURNS void
    LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'taskapi_set_response_status_sql';
COMMENT ON FUNCTION taskapi.set_response_status(int) IS 'Sets the HTTP status of the answer';
