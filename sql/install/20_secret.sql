-- Signing keys: many a purpose, the newest that is not retired signs, all that are not retired verify.

CREATE FUNCTION taskapi.random_secret(length int) RETURNS bytea
    LANGUAGE C VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_random_secret';
REVOKE ALL ON FUNCTION taskapi.random_secret(int) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.random_secret(int) IS 'Cryptographically strong random bytes';

CREATE TABLE taskapi.secret (
    purpose    text NOT NULL CHECK (purpose OPERATOR(pg_catalog.~) '^[a-z][a-z0-9_]{0,62}$'),
    key_id     int NOT NULL CHECK (key_id OPERATOR(pg_catalog.>=) 1),
    secret     bytea NOT NULL CHECK (pg_catalog.length(secret) BETWEEN 32 AND 1024),
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    retired_at timestamptz,
    initial    boolean NOT NULL DEFAULT false,
    PRIMARY KEY (purpose, key_id)
);
REVOKE ALL ON TABLE taskapi.secret FROM PUBLIC;
COMMENT ON TABLE taskapi.secret IS 'Signing keys, readable only by the owner';
COMMENT ON COLUMN taskapi.secret.purpose IS 'What it signs: cursor (cursors and page tokens) or jwt';
COMMENT ON COLUMN taskapi.secret.key_id IS 'Counted from 1 in each purpose; part of a token, so that its key is found';
COMMENT ON COLUMN taskapi.secret.retired_at IS 'Since when it neither signs nor verifies; NULL while it does';
COMMENT ON COLUMN taskapi.secret.initial IS
    'Made by CREATE EXTENSION. When a dump is restored, its initial key takes the place of the one that was just made';
SELECT pg_catalog.pg_extension_config_dump('taskapi.secret', '');

CREATE FUNCTION taskapi.replace_initial_secret() RETURNS trigger
    LANGUAGE C AS 'MODULE_PATHNAME', 'taskapi_replace_initial_secret';
REVOKE ALL ON FUNCTION taskapi.replace_initial_secret() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.replace_initial_secret() IS
    'Row trigger of taskapi.secret: lets the initial key of a restored dump take the place of the one just made';

CREATE TRIGGER replace_initial BEFORE INSERT ON taskapi.secret
    FOR EACH ROW EXECUTE FUNCTION taskapi.replace_initial_secret();
CREATE TRIGGER invalidate_cache AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON taskapi.secret
    FOR EACH STATEMENT EXECUTE FUNCTION taskapi.invalidate_cache();
-- also where session_replication_role says that ordinary triggers rest
ALTER TABLE taskapi.secret ENABLE ALWAYS TRIGGER replace_initial;
ALTER TABLE taskapi.secret ENABLE ALWAYS TRIGGER invalidate_cache;
COMMENT ON TRIGGER replace_initial ON taskapi.secret IS 'A restored initial key takes the place of the one just made';
COMMENT ON TRIGGER invalidate_cache ON taskapi.secret IS 'A changed key counts in every backend at once';

INSERT INTO taskapi.secret (purpose, key_id, secret, initial)
    SELECT purpose, 1, taskapi.random_secret(32), true
    FROM (VALUES ('cursor'), ('jwt')) AS initial (purpose);

CREATE FUNCTION taskapi.add_secret(purpose text, secret bytea) RETURNS int
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    newest taskapi.secret;
BEGIN
    -- of another one nothing would ever be read: a slip in an emergency would look like a rotation
    IF purpose IS NULL OR purpose NOT IN ('cursor', 'jwt') THEN
        RAISE EXCEPTION 'purpose of a secret is not valid'
            USING ERRCODE = 'invalid_parameter_value', DETAIL = 'The purposes are cursor and jwt.';
    END IF;
    -- here and not by the table's constraint, whose message would show the row
    IF secret IS NULL OR length(secret) NOT BETWEEN 32 AND 1024 THEN
        RAISE EXCEPTION 'secret is too short or too long'
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = 'HMAC-SHA-256 needs a key of at least 32 bytes; at most 1024 are kept.';
    END IF;
    -- two sessions must not take the same number
    LOCK TABLE taskapi.secret IN SHARE ROW EXCLUSIVE MODE;
    SELECT * INTO newest FROM taskapi.secret s WHERE s.purpose = add_secret.purpose ORDER BY s.key_id DESC LIMIT 1;
    -- digests, so that the time it takes tells nothing of the key that is there
    IF sha256(newest.secret) = sha256(add_secret.secret) AND newest.retired_at IS NULL THEN
        RETURN newest.key_id;
    END IF;
    INSERT INTO taskapi.secret (purpose, key_id, secret)
        VALUES (add_secret.purpose, coalesce(newest.key_id, 0) + 1, add_secret.secret);
    RETURN coalesce(newest.key_id, 0) + 1;
END
$$;
REVOKE ALL ON FUNCTION taskapi.add_secret(text, bytea) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.add_secret(text, bytea) IS
    'Internal: adds a key and returns its number; what rotate_secret and set_secret share';

CREATE FUNCTION taskapi.rotate_secret(purpose text) RETURNS int
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN taskapi.add_secret(purpose, taskapi.random_secret(32));
END
$$;
REVOKE ALL ON FUNCTION taskapi.rotate_secret(text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.rotate_secret(text) IS
    'Adds a random signing key and returns its number. The new key signs from now on; older ones verify until they are retired';

CREATE FUNCTION taskapi.set_secret(purpose text, secret text) RETURNS int
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- SQL_ASCII knows no characters, so its bytes are the secret's
    RETURN taskapi.add_secret(purpose, convert_to(secret, CASE getdatabaseencoding()
                                                              WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END));
END
$$;
REVOKE ALL ON FUNCTION taskapi.set_secret(text, text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.set_secret(text, text) IS
    'Adds a signing key that another program shares, such as the JWT secret of the HTTP layer, and returns its number';

CREATE FUNCTION taskapi.set_secret(purpose text, secret bytea) RETURNS int
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN taskapi.add_secret(purpose, secret);
END
$$;
REVOKE ALL ON FUNCTION taskapi.set_secret(text, bytea) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.set_secret(text, bytea) IS
    'set_secret() with a key of any bytes, such as one that the other program has as base64: decode(..., ''base64'')';

CREATE FUNCTION taskapi.retire_secret(purpose text, key_id int) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    LOCK TABLE taskapi.secret IN SHARE ROW EXCLUSIVE MODE;
    IF NOT EXISTS (SELECT FROM taskapi.secret s WHERE s.purpose = retire_secret.purpose AND s.key_id = retire_secret.key_id) THEN
        RAISE EXCEPTION 'there is no such signing key'
            USING ERRCODE = 'undefined_object',
                  DETAIL = format('Purpose %L has no key %s.', purpose, coalesce(key_id::text, 'NULL'));
    END IF;
    -- A snapshot of REPEATABLE READ may be older than the lock. Who saw a key that is retired by now fails here.
    PERFORM FROM taskapi.secret s WHERE s.purpose = retire_secret.purpose AND s.retired_at IS NULL FOR UPDATE;
    IF NOT EXISTS (SELECT FROM taskapi.secret s
                   WHERE s.purpose = retire_secret.purpose AND s.key_id <> retire_secret.key_id AND s.retired_at IS NULL) THEN
        RAISE EXCEPTION 'the only signing key of a purpose cannot be retired'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Make a new one first, with taskapi.rotate_secret().';
    END IF;
    UPDATE taskapi.secret s SET retired_at = now()
        WHERE s.purpose = retire_secret.purpose AND s.key_id = retire_secret.key_id AND s.retired_at IS NULL;
END
$$;
REVOKE ALL ON FUNCTION taskapi.retire_secret(text, int) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.retire_secret(text, int) IS
    'From now on the key neither signs nor verifies: tokens that it signed are no longer valid';
