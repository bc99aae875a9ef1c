-- UUID version 7 (RFC 9562).

CREATE FUNCTION taskapi.uuidv7() RETURNS uuid
    LANGUAGE C VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_uuidv7';
COMMENT ON FUNCTION taskapi.uuidv7() IS
    'A new UUID version 7: time-ordered, ever growing within a session';

CREATE FUNCTION taskapi.uuidv7_timestamp(id uuid) RETURNS timestamptz
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE LEAKPROOF AS 'MODULE_PATHNAME', 'taskapi_uuidv7_timestamp';
COMMENT ON FUNCTION taskapi.uuidv7_timestamp(uuid) IS
    'When a UUID version 7 was made, to the millisecond; NULL for any other version';
