-- The digest by which a repeated request is recognized.

CREATE FUNCTION taskapi.fingerprint(jsonb) RETURNS bytea
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_fingerprint';
COMMENT ON FUNCTION taskapi.fingerprint(jsonb) IS
    'SHA-256 of a canonical form of a JSON value: key order, white space and number form (1, 1.0, 1e0) do not count';
