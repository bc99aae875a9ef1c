-- API keys. C: src/auth/credential.c, src/auth/key_usage.c

CREATE TABLE taskapi.api_key (
    id           uuid PRIMARY KEY DEFAULT taskapi.uuidv7(),
    subject      text NOT NULL CHECK (subject OPERATOR(pg_catalog.=) taskapi.canonical_subject(subject)),
    name         text CHECK (pg_catalog.length(name) <= 200),
    prefix       text NOT NULL,
    secret_hash  bytea NOT NULL CONSTRAINT api_key_secret_hash_key UNIQUE
                 CHECK (pg_catalog.length(secret_hash) OPERATOR(pg_catalog.=) 32),
    scopes       text[] NOT NULL CHECK (scopes OPERATOR(pg_catalog.<@) '{read,write}'::text[]
                                        AND pg_catalog.array_position(scopes, NULL) IS NULL
                                        AND pg_catalog.cardinality(scopes) OPERATOR(pg_catalog.>=) 1),
    created_at   timestamptz NOT NULL DEFAULT pg_catalog.now(),
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz
);
CREATE INDEX api_key_subject_idx ON taskapi.api_key (subject);
REVOKE ALL ON TABLE taskapi.api_key FROM PUBLIC;
COMMENT ON TABLE taskapi.api_key IS 'API keys: who they speak for, and the hash of their secret';
COMMENT ON COLUMN taskapi.api_key.prefix IS 'How the secret begins, to recognize it by';
COMMENT ON COLUMN taskapi.api_key.secret_hash IS 'SHA-256 of the whole secret, which has 190 random bits';
COMMENT ON COLUMN taskapi.api_key.scopes IS 'read: safe methods; write: all others';
COMMENT ON COLUMN taskapi.api_key.last_used_at IS 'As of the last flush_api_key_usage()';
SELECT pg_catalog.pg_extension_config_dump('taskapi.api_key', '');

-- A new key makes nothing wrong that is cached, nor does the time of its last use.
CREATE TRIGGER invalidate_cache
    AFTER UPDATE OF id, subject, secret_hash, scopes, expires_at, revoked_at OR DELETE OR TRUNCATE ON taskapi.api_key
    FOR EACH STATEMENT EXECUTE FUNCTION taskapi.invalidate_cache();
ALTER TABLE taskapi.api_key ENABLE ALWAYS TRIGGER invalidate_cache;
COMMENT ON TRIGGER invalidate_cache ON taskapi.api_key IS 'A revoked key ends in every backend at once';

CREATE FUNCTION taskapi.insert_api_key(subject text, name text, scopes text[], expires_at timestamptz, OUT id uuid,
                                       OUT secret text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    fresh record;
BEGIN
    IF subject IS NULL OR subject = '' THEN
        RAISE EXCEPTION 'an API key needs a subject' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    subject := taskapi.canonical_subject(subject);
    IF scopes IS NULL OR NOT scopes <@ '{read,write}'::text[] OR cardinality(scopes) = 0
       OR array_position(scopes, NULL) IS NOT NULL THEN
        PERFORM taskapi.raise_problem('invalid_value', 'Scopes are read and write, at least one of them.');
    END IF;
    IF length(name) > 200 THEN
        PERFORM taskapi.raise_problem('invalid_value', 'A name has at most 200 characters.');
    END IF;
    IF expires_at <= now() THEN
        PERFORM taskapi.raise_problem('invalid_value', 'The expiry is in the past.');
    END IF;
    -- exclusive, so that two who make keys do not both find room for the last one
    PERFORM taskapi.lock_subject(subject, true);
    fresh := taskapi.new_credential('api_key');
    INSERT INTO taskapi.api_key AS k (subject, name, prefix, secret_hash, scopes, expires_at)
        VALUES (insert_api_key.subject, insert_api_key.name, fresh.prefix, fresh.secret_hash,
                ARRAY(SELECT DISTINCT s FROM unnest(insert_api_key.scopes) s ORDER BY s), insert_api_key.expires_at)
        RETURNING k.id INTO id;
    secret := fresh.secret;
    PERFORM taskapi.read_after();
END
$$;
REVOKE ALL ON FUNCTION taskapi.insert_api_key(text, text, text[], timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.insert_api_key(text, text, text[], timestamptz) IS
    'What create_api_key() and create_my_api_key() share';

CREATE FUNCTION taskapi.create_api_key(subject text, name text DEFAULT NULL, scopes text[] DEFAULT '{read,write}',
                                       expires_at timestamptz DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT k.secret FROM taskapi.insert_api_key(subject, name, scopes, expires_at) k);
END
$$;
REVOKE ALL ON FUNCTION taskapi.create_api_key(text, text, text[], timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.create_api_key(text, text, text[], timestamptz) IS
    'Makes an API key that speaks for a subject and returns its secret, which is stored nowhere';

-- One's own.

CREATE FUNCTION taskapi.api_key_last_used(id uuid) RETURNS timestamptz
    LANGUAGE C VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_api_key_last_used';
REVOKE ALL ON FUNCTION taskapi.api_key_last_used(uuid) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.api_key_last_used(uuid) IS
    'When an API key was last used, as shared memory has it; NULL if it has nothing';

CREATE FUNCTION taskapi.my_api_keys()
    RETURNS TABLE (id uuid, name text, prefix text, scopes text[], created_at timestamptz, expires_at timestamptz,
                   revoked_at timestamptz, last_used_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 10
    SET search_path = pg_catalog, pg_temp AS $$
    SELECT k.id, k.name, k.prefix, k.scopes, k.created_at, k.expires_at, k.revoked_at,
           greatest(k.last_used_at, taskapi.api_key_last_used(k.id))
    FROM taskapi.api_key k
    WHERE k.subject = taskapi.require_subject()
    ORDER BY k.id
$$;
REVOKE ALL ON FUNCTION taskapi.my_api_keys() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.my_api_keys() IS 'The caller''s API keys, without their secrets';

CREATE FUNCTION taskapi.create_my_api_key(INOUT name text DEFAULT NULL, INOUT scopes text[] DEFAULT '{read,write}',
                                          INOUT expires_at timestamptz DEFAULT NULL,
                                          OUT id uuid, OUT prefix text, OUT created_at timestamptz, OUT secret text)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    subject constant text := taskapi.require_subject();
    ended boolean;
    made record;
    -- enough for every program of one's own, too few to fill a table with
    most CONSTANT int := 100;
BEGIN
    -- else one that leaked would outlive its revocation
    IF taskapi.jwt_claims() ? 'api_key_id' THEN
        PERFORM taskapi.raise_problem('forbidden', 'An API key cannot create another one.');
    END IF;
    -- Nor may one outlive the session that makes it: who ends that, or blocks the caller, waits, or has done so by now. The lock
    -- comes first, as in revoke_credentials().
    PERFORM taskapi.lock_subject(subject, true);
    SELECT s.revoked_at IS NOT NULL INTO ended FROM taskapi.session s
        WHERE s.id::text = taskapi.jwt_claims() ->> 'session_id' AND s.subject = taskapi.current_subject()
        FOR SHARE;
    IF ended OR EXISTS (SELECT FROM taskapi.blocked_subject b WHERE b.subject = taskapi.require_subject()) THEN
        PERFORM taskapi.raise_problem('unauthenticated', 'The session has ended.');
    END IF;
    made := taskapi.insert_api_key(subject, name, scopes, expires_at);
    IF (SELECT count(*) FROM taskapi.api_key k
        WHERE k.subject = taskapi.require_subject() AND k.revoked_at IS NULL AND (k.expires_at > now()) IS NOT FALSE) > most THEN
        PERFORM taskapi.raise_problem('invalid_value', format('A subject can have at most %s live API keys.', most),
            'Revoke unused keys.');
    END IF;
    id := made.id;
    secret := made.secret;
    SELECT k.prefix, k.scopes, k.created_at INTO prefix, scopes, created_at FROM taskapi.api_key k WHERE k.id = made.id;
EXCEPTION WHEN serialization_failure THEN
    PERFORM taskapi.raise_problem('try_again', 'The session changed at the same time.', 'Send the request again.');
END
$$;
REVOKE ALL ON FUNCTION taskapi.create_my_api_key(text, text[], timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.create_my_api_key(text, text[], timestamptz) IS
    'Makes an API key of the caller''s; its secret is shown only once';

CREATE FUNCTION taskapi.revoke_my_api_key(id uuid) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE taskapi.api_key k SET revoked_at = now()
        WHERE k.id = revoke_my_api_key.id AND k.subject = taskapi.require_subject() AND k.revoked_at IS NULL;
    RETURN FOUND;
END
$$;
REVOKE ALL ON FUNCTION taskapi.revoke_my_api_key(uuid) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.revoke_my_api_key(uuid) IS
    'Ends an API key of the caller at once; false if the caller has no such live key';
