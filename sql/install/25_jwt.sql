-- JSON Web Tokens, HS256.

CREATE FUNCTION taskapi.jwt_sign(claims jsonb, secret text DEFAULT NULL) RETURNS text
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_jwt_sign';
REVOKE ALL ON FUNCTION taskapi.jwt_sign(jsonb, text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.jwt_sign(jsonb, text) IS
    'Signs claims as a JWT (HS256) with the current key of purpose jwt, or with the secret given';

CREATE FUNCTION taskapi.jwt_verify(token text, secret text DEFAULT NULL) RETURNS jsonb
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_jwt_verify';
COMMENT ON FUNCTION taskapi.jwt_verify(text, text) IS
    'The claims of a JWT that is signed (HS256), valid now and meant for this server; anything else is unauthenticated';

-- A secret need not be text: of one that is configured as base64, such as the k of a JWK, these take the bytes.
CREATE FUNCTION taskapi.jwt_sign(claims jsonb, secret bytea) RETURNS text
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_jwt_sign';
REVOKE ALL ON FUNCTION taskapi.jwt_sign(jsonb, bytea) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.jwt_sign(jsonb, bytea) IS 'jwt_sign() with a secret of any bytes (RFC 7515)';

CREATE FUNCTION taskapi.jwt_verify(token text, secret bytea) RETURNS jsonb
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_jwt_verify';
COMMENT ON FUNCTION taskapi.jwt_verify(text, bytea) IS 'jwt_verify() with a secret of any bytes (RFC 7515)';
