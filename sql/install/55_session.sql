-- Sessions of browsers, by cookie. C: src/auth/credential.c

CREATE TABLE taskapi.session (
    id         uuid PRIMARY KEY DEFAULT taskapi.uuidv7(),
    subject    text NOT NULL CHECK (subject OPERATOR(pg_catalog.=) taskapi.canonical_subject(subject)),
    token_hash bytea NOT NULL CONSTRAINT session_token_hash_key UNIQUE
               CHECK (pg_catalog.length(token_hash) OPERATOR(pg_catalog.=) 32),
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    user_agent text,
    address    inet
);
CREATE INDEX session_subject_idx ON taskapi.session (subject);
CREATE INDEX session_expires_at_idx ON taskapi.session (expires_at);
REVOKE ALL ON TABLE taskapi.session FROM PUBLIC;
COMMENT ON TABLE taskapi.session IS 'Sessions of browsers: who is logged in, and the hash of the token in the cookie';
COMMENT ON COLUMN taskapi.session.token_hash IS 'SHA-256 of the token, which has 256 random bits';
COMMENT ON COLUMN taskapi.session.user_agent IS 'The browser that logged in, as it calls itself';
COMMENT ON COLUMN taskapi.session.address IS 'Where it logged in from; NULL without a trusted proxy that says so';
SELECT pg_catalog.pg_extension_config_dump('taskapi.session', '');

CREATE TRIGGER invalidate_cache
    AFTER UPDATE OR DELETE OR TRUNCATE ON taskapi.session
    FOR EACH STATEMENT EXECUTE FUNCTION taskapi.invalidate_cache();
ALTER TABLE taskapi.session ENABLE ALWAYS TRIGGER invalidate_cache;
COMMENT ON TRIGGER invalidate_cache ON taskapi.session IS 'A session that is over ends in every backend at once';

CREATE FUNCTION taskapi.session_cookie(token text, seconds int) RETURNS text
    LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_session_cookie_sql';
COMMENT ON FUNCTION taskapi.session_cookie(text, int) IS 'The value of Set-Cookie for a session; 0 seconds delete it';

CREATE FUNCTION taskapi.create_session(subject text, ttl interval DEFAULT '12 hours') RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    fresh record;
    in_request boolean := coalesce(current_setting('request.method', true), '') <> '';
BEGIN
    IF subject IS NULL OR subject = '' THEN
        RAISE EXCEPTION 'a session needs a subject' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    subject := taskapi.canonical_subject(subject);
    -- browsers keep no cookie for longer
    IF ttl IS NULL OR ttl < '1 second' OR ttl > '400 days' THEN
        RAISE EXCEPTION 'a session lasts between 1 second and 400 days' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- a page elsewhere could log its visitor in as somebody else
    IF in_request AND NOT taskapi.same_origin() THEN
        PERFORM taskapi.raise_problem('forbidden', 'A log-in must come from the same origin.');
    END IF;
    PERFORM taskapi.lock_subject(subject, false);
    fresh := taskapi.new_credential('session');
    INSERT INTO taskapi.session (subject, token_hash, expires_at, user_agent, address)
        VALUES (create_session.subject, fresh.secret_hash, now() + ttl,
                left(taskapi.request_header('user-agent'), 500), taskapi.client_address());
    IF in_request THEN
        -- the browser forgets the token of a session that it had, so that one ends
        UPDATE taskapi.session s SET revoked_at = now()
            WHERE s.id::text = taskapi.jwt_claims() ->> 'session_id' AND s.subject = taskapi.current_subject()
              AND s.revoked_at IS NULL;
        PERFORM taskapi.set_response_header('Set-Cookie', taskapi.session_cookie(fresh.secret, extract(epoch FROM ttl)::int));
        PERFORM taskapi.read_after();
    END IF;
    RETURN fresh.secret;
END
$$;
REVOKE ALL ON FUNCTION taskapi.create_session(text, interval) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.create_session(text, interval) IS
    'Makes a session of a subject and returns its token, which is stored nowhere; inside a request it sets the cookie';

-- One's own.

CREATE FUNCTION taskapi.my_sessions()
    RETURNS TABLE (id uuid, created_at timestamptz, expires_at timestamptz, user_agent text, address inet, current boolean)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 10
    SET search_path = pg_catalog, pg_temp AS $$
    SELECT s.id, s.created_at, s.expires_at, s.user_agent, s.address,
           s.id::text IS NOT DISTINCT FROM taskapi.jwt_claims() ->> 'session_id'
    FROM taskapi.session s
    WHERE s.subject = taskapi.require_subject() AND s.revoked_at IS NULL AND s.expires_at > now()
    ORDER BY s.id
$$;
REVOKE ALL ON FUNCTION taskapi.my_sessions() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.my_sessions() IS 'The caller''s live sessions';

CREATE FUNCTION taskapi.end_my_session(id uuid) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE taskapi.session s SET revoked_at = now()
        WHERE s.id = end_my_session.id AND s.subject = taskapi.require_subject() AND s.revoked_at IS NULL
          AND s.expires_at > now();
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF id::text = taskapi.jwt_claims() ->> 'session_id' AND coalesce(current_setting('request.method', true), '') <> '' THEN
        PERFORM taskapi.set_response_header('Set-Cookie', taskapi.session_cookie('', 0));
    END IF;
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION taskapi.end_my_session(uuid) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.end_my_session(uuid) IS
    'Ends a session of the caller at once, and deletes its cookie if the request came with it; false if the caller has no'
    ' such live session';
