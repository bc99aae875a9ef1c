-- What API keys and sessions have in common. C: src/auth/credential.c

CREATE FUNCTION taskapi.new_credential(kind text, OUT secret text, OUT prefix text, OUT secret_hash bytea)
    LANGUAGE C VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'taskapi_new_credential';
REVOKE ALL ON FUNCTION taskapi.new_credential(text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.new_credential(text) IS
    'Internal: a fresh secret of kind api_key or session, its readable part, and what is stored of it';

CREATE FUNCTION taskapi.require_subject() RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF taskapi.current_subject() IS NULL THEN
        PERFORM taskapi.raise_problem('unauthenticated', 'The request needs an authenticated caller.');
    END IF;
    RETURN taskapi.current_subject();
END
$$;
COMMENT ON FUNCTION taskapi.require_subject() IS 'current_subject(), or unauthenticated';

CREATE FUNCTION taskapi.lock_subject(subject text, exclusive boolean) RETURNS void
    LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'taskapi_lock_subject';
COMMENT ON FUNCTION taskapi.lock_subject(text, boolean) IS
    'Internal: until the transaction ends, who makes credentials of a subject and who revokes them wait for each other';

-- Ends every API key and session of a subject, those that other transactions are making as well: it waits for them. Under
-- REPEATABLE READ it misses those, since its snapshot is older.
CREATE FUNCTION taskapi.revoke_credentials(subject text) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    keys bigint;
    sessions bigint;
BEGIN
    IF subject IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM taskapi.lock_subject(subject, true);
    UPDATE taskapi.session s SET revoked_at = now()
        WHERE s.subject = taskapi.canonical_subject(revoke_credentials.subject) AND s.revoked_at IS NULL AND s.expires_at > now();
    GET DIAGNOSTICS sessions = ROW_COUNT;
    UPDATE taskapi.api_key k SET revoked_at = now() WHERE k.subject = taskapi.canonical_subject(revoke_credentials.subject)
      AND k.revoked_at IS NULL;
    GET DIAGNOSTICS keys = ROW_COUNT;
    RETURN keys + sessions;
END
$$;
REVOKE ALL ON FUNCTION taskapi.revoke_credentials(text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.revoke_credentials(text) IS
    'Ends every API key and session of a subject at once; returns how many there were';
