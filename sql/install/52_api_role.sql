-- The roles that an HTTP layer switches to. C: src/auth/pre_request.c reads them.

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

CREATE FUNCTION taskapi.set_api_roles(anonymous regrole, authenticated regrole) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    own constant text := 'taskapi.my_api_keys(), taskapi.create_my_api_key(text, text[], timestamptz), '
                         'taskapi.revoke_my_api_key(uuid), '
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
