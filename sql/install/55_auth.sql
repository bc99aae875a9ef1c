-- Authentication: API keys, sessions, pre_request().
--
-- What a resource over one's own keys and sessions is built from (SECURITY DEFINER; set_api_roles() grants them to
-- the authenticated role; each acts for current_subject() alone, and is unauthenticated without one):
--   my_api_keys()                                   rows to list
--   create_my_api_key(name, scopes, expires_at)     one row with the secret, shown this once; not for a caller with an API key
--   revoke_my_api_key(id) -> boolean                false: no such live key of the caller
--   my_sessions()                                   the live ones; current = the one that this request came with
--   end_my_session(id) -> boolean                   false: no such live session of the caller; deletes the cookie of the current one
-- and for a log-in, for the owner of the accounts (EXECUTE is nobody's):
--   charge_login(account)                           before the password is looked at: per address and per account, or rate_limited
--   verify_password(password, hash) -> boolean      takes the same time for a hash that is NULL (no such account, no password)
--   create_session(subject) -> text                 the token, and the cookie; ends the session that the request came with
--   revoke_credentials(subject) -> bigint           all keys and sessions of somebody whose password changed or who is gone

-- The roles that an HTTP layer switches to.

CREATE TABLE taskapi.api_role (
    name text PRIMARY KEY CHECK (name OPERATOR(pg_catalog.=) ANY ('{anonymous,authenticated}')),
    role regrole NOT NULL
);
REVOKE ALL ON TABLE taskapi.api_role FROM PUBLIC;
COMMENT ON TABLE taskapi.api_role IS 'The roles of callers, as set_api_roles() recorded them';
COMMENT ON COLUMN taskapi.api_role.name IS 'anonymous, or authenticated: what principals of an API key or a session become';
SELECT pg_catalog.pg_extension_config_dump('taskapi.api_role', '');
CREATE TRIGGER invalidate_cache AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON taskapi.api_role
    FOR EACH STATEMENT EXECUTE FUNCTION taskapi.invalidate_cache();
ALTER TABLE taskapi.api_role ENABLE ALWAYS TRIGGER invalidate_cache;
COMMENT ON TRIGGER invalidate_cache ON taskapi.api_role IS 'Every backend reads the table again';

-- API keys.

CREATE TABLE taskapi.api_key (
    id           uuid PRIMARY KEY DEFAULT taskapi.uuidv7(),
    subject      text NOT NULL CHECK (subject OPERATOR(pg_catalog.<>) ''),
    name         text CHECK (pg_catalog.length(name) <= 200),
    prefix       text NOT NULL,
    secret_hash  bytea NOT NULL CONSTRAINT api_key_secret_hash_key UNIQUE CHECK (pg_catalog.length(secret_hash) OPERATOR(pg_catalog.=) 32),
    scopes       text[] NOT NULL CHECK (scopes OPERATOR(pg_catalog.<@) '{read,write}'::text[]
                                        AND pg_catalog.array_position(scopes, NULL) IS NULL AND pg_catalog.cardinality(scopes) OPERATOR(pg_catalog.>=) 1),
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

-- Sessions.

CREATE TABLE taskapi.session (
    id         uuid PRIMARY KEY DEFAULT taskapi.uuidv7(),
    subject    text NOT NULL CHECK (subject OPERATOR(pg_catalog.<>) ''),
    token_hash bytea NOT NULL CONSTRAINT session_token_hash_key UNIQUE CHECK (pg_catalog.length(token_hash) OPERATOR(pg_catalog.=) 32),
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

-- The request.

CREATE FUNCTION taskapi.client_address() RETURNS inet
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_client_address_sql';
COMMENT ON FUNCTION taskapi.client_address() IS
    'The caller''s address: entry taskapi.trusted_proxy_hops of X-Forwarded-For from the right, IPv6 by its /64; NULL where none is known';

CREATE FUNCTION taskapi.same_origin() RETURNS boolean
    LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_same_origin';
COMMENT ON FUNCTION taskapi.same_origin() IS
    'Does the request come from a page of our own, by Sec-Fetch-Site or Origin? NULL where it does not say';

CREATE FUNCTION taskapi.session_cookie(token text, seconds int) RETURNS text
    LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_session_cookie_sql';
COMMENT ON FUNCTION taskapi.session_cookie(text, int) IS 'The value of Set-Cookie for a session; 0 seconds delete it';

CREATE FUNCTION taskapi.pre_request() RETURNS void
    LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'taskapi_pre_request';
COMMENT ON FUNCTION taskapi.pre_request() IS
    'Settles who calls (bearer token, API key, session cookie), becomes the authenticated role, and enforces the rate limits. For db-pre-request';

-- Making credentials.

CREATE FUNCTION taskapi.new_credential(kind text, OUT secret text, OUT prefix text, OUT secret_hash bytea)
    LANGUAGE C VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_new_credential';
REVOKE ALL ON FUNCTION taskapi.new_credential(text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.new_credential(text) IS 'A fresh secret of kind api_key or session, its readable part, and what is stored of it';

CREATE FUNCTION taskapi.insert_api_key(subject text, name text, scopes text[], expires_at timestamptz, OUT id uuid, OUT secret text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    fresh record;
BEGIN
    IF subject IS NULL OR subject = '' THEN
        RAISE EXCEPTION 'an API key needs a subject' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF scopes IS NULL OR NOT scopes <@ '{read,write}'::text[] OR cardinality(scopes) = 0 OR array_position(scopes, NULL) IS NOT NULL THEN
        PERFORM taskapi.raise_problem('invalid_value', 'Scopes are read and write, at least one of them.');
    END IF;
    IF length(name) > 200 THEN
        PERFORM taskapi.raise_problem('invalid_value', 'A name has at most 200 characters.');
    END IF;
    IF expires_at <= now() THEN
        PERFORM taskapi.raise_problem('invalid_value', 'The expiry is in the past.');
    END IF;
    fresh := taskapi.new_credential('api_key');
    INSERT INTO taskapi.api_key AS k (subject, name, prefix, secret_hash, scopes, expires_at)
        VALUES (insert_api_key.subject, insert_api_key.name, fresh.prefix, fresh.secret_hash,
                ARRAY(SELECT DISTINCT s FROM unnest(insert_api_key.scopes) s ORDER BY s), insert_api_key.expires_at)
        RETURNING k.id INTO id;
    secret := fresh.secret;
END
$$;
REVOKE ALL ON FUNCTION taskapi.insert_api_key(text, text, text[], timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.insert_api_key(text, text, text[], timestamptz) IS 'What create_api_key() and create_my_api_key() share';

CREATE FUNCTION taskapi.create_api_key(subject text, name text DEFAULT NULL, scopes text[] DEFAULT '{read,write}', expires_at timestamptz DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT k.secret FROM taskapi.insert_api_key(subject, name, scopes, expires_at) k);
END
$$;
REVOKE ALL ON FUNCTION taskapi.create_api_key(text, text, text[], timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.create_api_key(text, text, text[], timestamptz) IS
    'Makes an API key that speaks for a subject and returns its secret, which is stored nowhere';

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
    -- browsers keep no cookie for longer
    IF ttl IS NULL OR ttl < '1 second' OR ttl > '400 days' THEN
        RAISE EXCEPTION 'a session lasts between 1 second and 400 days' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- a page elsewhere could log its visitor in as somebody else
    IF in_request AND NOT taskapi.same_origin() THEN
        PERFORM taskapi.raise_problem('forbidden', 'A log-in must come from the same origin.');
    END IF;
    fresh := taskapi.new_credential('session');
    INSERT INTO taskapi.session (subject, token_hash, expires_at, user_agent, address)
        VALUES (create_session.subject, fresh.secret_hash, now() + ttl,
                left(taskapi.request_header('user-agent'), 500), taskapi.client_address());
    IF in_request THEN
        -- the browser forgets the token of a session that it had, so that one ends
        UPDATE taskapi.session s SET revoked_at = now()
            WHERE s.id::text = taskapi.jwt_claims() ->> 'session_id' AND s.subject = taskapi.current_subject() AND s.revoked_at IS NULL;
        PERFORM taskapi.set_response_header('Set-Cookie', taskapi.session_cookie(fresh.secret, extract(epoch FROM ttl)::int));
    END IF;
    RETURN fresh.secret;
END
$$;
REVOKE ALL ON FUNCTION taskapi.create_session(text, interval) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.create_session(text, interval) IS
    'Makes a session of a subject and returns its token, which is stored nowhere; inside a request it sets the cookie';

CREATE FUNCTION taskapi.revoke_credentials(subject text) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    keys bigint;
    sessions bigint;
BEGIN
    UPDATE taskapi.api_key k SET revoked_at = now() WHERE k.subject = revoke_credentials.subject AND k.revoked_at IS NULL;
    GET DIAGNOSTICS keys = ROW_COUNT;
    UPDATE taskapi.session s SET revoked_at = now()
        WHERE s.subject = revoke_credentials.subject AND s.revoked_at IS NULL AND s.expires_at > now();
    GET DIAGNOSTICS sessions = ROW_COUNT;
    RETURN keys + sessions;
END
$$;
REVOKE ALL ON FUNCTION taskapi.revoke_credentials(text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.revoke_credentials(text) IS 'Ends every API key and session of a subject at once; returns how many there were';

-- One's own.

CREATE FUNCTION taskapi.require_subject() RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF taskapi.current_subject() IS NULL THEN
        PERFORM taskapi.raise_problem('unauthenticated', 'This needs a caller who is known.');
    END IF;
    RETURN taskapi.current_subject();
END
$$;
COMMENT ON FUNCTION taskapi.require_subject() IS 'current_subject(), or unauthenticated';

CREATE FUNCTION taskapi.api_key_last_used(id uuid) RETURNS timestamptz
    LANGUAGE C VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_api_key_last_used';
REVOKE ALL ON FUNCTION taskapi.api_key_last_used(uuid) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.api_key_last_used(uuid) IS 'When an API key was last used, as shared memory has it; NULL where it has nothing';

CREATE FUNCTION taskapi.my_api_keys()
    RETURNS TABLE (id uuid, name text, prefix text, scopes text[], created_at timestamptz, expires_at timestamptz, revoked_at timestamptz, last_used_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 10
    SET search_path = pg_catalog, pg_temp AS $$
    SELECT k.id, k.name, k.prefix, k.scopes, k.created_at, k.expires_at, k.revoked_at, greatest(k.last_used_at, taskapi.api_key_last_used(k.id))
    FROM taskapi.api_key k
    WHERE k.subject = taskapi.require_subject()
    ORDER BY k.id
$$;
REVOKE ALL ON FUNCTION taskapi.my_api_keys() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.my_api_keys() IS 'The caller''s API keys, without their secrets';

CREATE FUNCTION taskapi.create_my_api_key(INOUT name text DEFAULT NULL, INOUT scopes text[] DEFAULT '{read,write}', INOUT expires_at timestamptz DEFAULT NULL,
                                          OUT id uuid, OUT prefix text, OUT created_at timestamptz, OUT secret text)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    subject constant text := taskapi.require_subject();
    made record;
BEGIN
    -- else one that leaked would outlive its revocation
    IF taskapi.jwt_claims() ? 'api_key_id' THEN
        PERFORM taskapi.raise_problem('forbidden', 'An API key cannot make another one.');
    END IF;
    made := taskapi.insert_api_key(subject, name, scopes, expires_at);
    id := made.id;
    secret := made.secret;
    SELECT k.prefix, k.scopes, k.created_at INTO prefix, scopes, created_at FROM taskapi.api_key k WHERE k.id = made.id;
END
$$;
REVOKE ALL ON FUNCTION taskapi.create_my_api_key(text, text[], timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.create_my_api_key(text, text[], timestamptz) IS 'Makes an API key of the caller''s; its secret is shown this once';

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
COMMENT ON FUNCTION taskapi.revoke_my_api_key(uuid) IS 'Ends an API key of the caller''s at once; false where he has no such live one';

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
        WHERE s.id = end_my_session.id AND s.subject = taskapi.require_subject() AND s.revoked_at IS NULL AND s.expires_at > now();
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
    'Ends a session of the caller''s at once, and deletes the cookie of the one that the request came with; false where he has no such live one';

-- Passwords, by pgcrypto's bcrypt wherever that extension is installed.

CREATE FUNCTION taskapi.bcrypt(password text, salt text) RETURNS text
    LANGUAGE plpgsql STRICT
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    pgcrypto name;
    hash text;
BEGIN
    SELECT n.nspname INTO pgcrypto FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pgcrypto';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'passwords need the extension pgcrypto'
            USING ERRCODE = 'feature_not_supported', HINT = 'It comes with PostgreSQL: CREATE EXTENSION pgcrypto;';
    END IF;
    IF salt = '' THEN
        EXECUTE format('SELECT %1$I.crypt($1, %1$I.gen_salt(''bf'', 10))', pgcrypto) INTO hash USING password;
    ELSE
        EXECUTE format('SELECT %1$I.crypt($1, $2)', pgcrypto) INTO hash USING password, salt;
    END IF;
    RETURN hash;
END
$$;
REVOKE ALL ON FUNCTION taskapi.bcrypt(text, text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.bcrypt(text, text) IS 'pgcrypto''s crypt(), with a fresh salt of cost 10 for the empty one; what hash_password and verify_password share';

CREATE FUNCTION taskapi.hash_password(password text) RETURNS text
    LANGUAGE plpgsql VOLATILE STRICT SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- bcrypt would not look at the rest
    IF password = '' OR octet_length(password) > 72 THEN
        PERFORM taskapi.raise_problem('invalid_value', 'A password has 1 to 72 bytes.');
    END IF;
    RETURN taskapi.bcrypt(password, '');
END
$$;
REVOKE ALL ON FUNCTION taskapi.hash_password(text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.hash_password(text) IS 'The bcrypt hash of a password, with a fresh salt';

CREATE FUNCTION taskapi.verify_password(password text, hash text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- of a password that nobody has: 22 characters of salt, 31 of a hash that no input was computed from
    decoy constant text := '$2a$10$0123456789abcdefghijkeAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';
    computed text;
BEGIN
    IF password IS NULL OR password = '' OR octet_length(password) > 72 THEN
        RETURN false;
    END IF;
    computed := taskapi.bcrypt(password, coalesce(hash, decoy));
    -- digests, so that where they differ tells nothing of the hash
    RETURN hash IS NOT NULL AND sha256(convert_to(computed, 'UTF8')) = sha256(convert_to(hash, 'UTF8'));
END
$$;
REVOKE ALL ON FUNCTION taskapi.verify_password(text, text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.verify_password(text, text) IS
    'Is it the password of that hash? Takes as long, and is false, where the hash is NULL';

CREATE FUNCTION taskapi.charge_login(account text) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM taskapi.enforce_rate_limits(s.subjects)
    FROM (SELECT jsonb_object_agg(p.policy, p.subject) AS subjects
          FROM (VALUES ('login_per_address', coalesce(abbrev(taskapi.client_address()),
                                                            CASE WHEN current_setting('taskapi.trusted_proxy_hops', true)::int > 0 THEN 'unknown' END)),
                       ('login_per_account', left(lower(account), 200))) AS p (policy, subject)
          WHERE p.subject <> '' AND EXISTS (SELECT FROM taskapi.rate_limit_policy l WHERE l.name = p.policy)) s
    WHERE s.subjects IS NOT NULL;
END
$$;
REVOKE ALL ON FUNCTION taskapi.charge_login(text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.charge_login(text) IS
    'Charges an attempt to log in to the address and to the account, whether there is one of that name or not; rate_limited where either is used up';

-- Operation.

CREATE FUNCTION taskapi.api_key_usage() RETURNS TABLE (id uuid, used_at timestamptz)
    LANGUAGE C VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_api_key_usage';
REVOKE ALL ON FUNCTION taskapi.api_key_usage() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.api_key_usage() IS 'When API keys of this database were last used, as shared memory has it';

CREATE FUNCTION taskapi.flush_api_key_usage() RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    written bigint;
BEGIN
    UPDATE taskapi.api_key k SET last_used_at = u.used_at
        FROM taskapi.api_key_usage() u
        WHERE k.id = u.id AND (k.last_used_at IS NULL OR k.last_used_at < u.used_at);
    GET DIAGNOSTICS written = ROW_COUNT;
    RETURN written;
END
$$;
REVOKE ALL ON FUNCTION taskapi.flush_api_key_usage() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.flush_api_key_usage() IS 'Writes down when API keys were last used; returns how many changed';

CREATE FUNCTION taskapi.purge_sessions(batch int DEFAULT 10000) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    purged bigint;
BEGIN
    DELETE FROM taskapi.session s
        WHERE s.id IN (SELECT e.id FROM taskapi.session e WHERE e.expires_at <= now()
                       ORDER BY e.expires_at LIMIT batch FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS purged = ROW_COUNT;
    RETURN purged;
END
$$;
REVOKE ALL ON FUNCTION taskapi.purge_sessions(int) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.purge_sessions(int) IS 'Deletes at most that many expired sessions; returns how many';

CREATE FUNCTION taskapi.set_api_roles(anonymous regrole, authenticated regrole) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    own constant text := 'taskapi.my_api_keys(), taskapi.create_my_api_key(text, text[], timestamptz), taskapi.revoke_my_api_key(uuid), '
                         'taskapi.my_sessions(), taskapi.end_my_session(uuid)';
    before regrole;
BEGIN
    IF anonymous IS NULL OR authenticated IS NULL OR anonymous = authenticated THEN
        RAISE EXCEPTION 'two different roles are needed' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF (SELECT count(*) FROM pg_roles p WHERE p.oid IN (anonymous, authenticated)) <> 2 THEN
        RAISE EXCEPTION 'role % or % does not exist', anonymous, authenticated USING ERRCODE = 'undefined_object';
    END IF;
    SELECT r.role INTO before FROM taskapi.api_role r WHERE r.name = 'authenticated' AND r.role <> authenticated
        AND EXISTS (SELECT FROM pg_roles p WHERE p.oid = r.role);
    IF FOUND THEN
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM %s', own, before);
    END IF;
    INSERT INTO taskapi.api_role AS r (name, role)
        VALUES ('anonymous', anonymous), ('authenticated', authenticated)
        ON CONFLICT (name) DO UPDATE SET role = excluded.role WHERE r.role <> excluded.role;
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', own, authenticated);
END
$$;
REVOKE ALL ON FUNCTION taskapi.set_api_roles(regrole, regrole) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.set_api_roles(regrole, regrole) IS
    'Records the roles of anonymous and authenticated callers, and grants the latter what is for one''s own keys and sessions';

-- The policies that pre_request() and charge_login() apply, until somebody changes them. To do without one, set its
-- shadow; a deleted one comes back when a dump is restored.

CREATE FUNCTION taskapi.shipped_rate_limit_policies() RETURNS SETOF taskapi.rate_limit_policy
    LANGUAGE sql IMMUTABLE ROWS 6
    SET search_path = pg_catalog, pg_temp AS $$
    VALUES ('per_key', 6000, '1 minute'::interval, 1000, false, 'requests with one API key'),
           ('per_user', 6000, '1 minute', 1000, false, 'requests of one subject, with whatever credential'),
           ('per_address', 600, '1 minute', 200, false, 'requests of anonymous callers, and with bad credentials, from one address'),
           ('per_address_total', 30000, '1 minute', 5000, false, 'all requests from one address'),
           ('login_per_address', 60, '1 minute', 30, false, 'attempts to log in from one address'),
           ('login_per_account', 10, '10 minutes', 10, false, 'attempts to log in to one account')
$$;
REVOKE ALL ON FUNCTION taskapi.shipped_rate_limit_policies() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.shipped_rate_limit_policies() IS 'The policies that CREATE EXTENSION makes';

CREATE FUNCTION taskapi.replace_shipped_policy() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM taskapi.rate_limit_policy p
        WHERE p.name = NEW.name AND EXISTS (SELECT FROM taskapi.shipped_rate_limit_policies() s WHERE s IS NOT DISTINCT FROM p);
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION taskapi.replace_shipped_policy() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.replace_shipped_policy() IS
    'Row trigger of taskapi.rate_limit_policy: a new row, such as one of a restored dump, takes the place of a shipped one that nobody has changed';

INSERT INTO taskapi.rate_limit_policy SELECT * FROM taskapi.shipped_rate_limit_policies();
CREATE TRIGGER replace_shipped BEFORE INSERT ON taskapi.rate_limit_policy
    FOR EACH ROW EXECUTE FUNCTION taskapi.replace_shipped_policy();
ALTER TABLE taskapi.rate_limit_policy ENABLE ALWAYS TRIGGER replace_shipped;
COMMENT ON TRIGGER replace_shipped ON taskapi.rate_limit_policy IS 'A restored policy takes the place of the shipped one';
