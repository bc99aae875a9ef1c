-- The migration guard. C: src/guard/

CREATE TABLE taskapi.migration_guard (
    refuses    boolean NOT NULL,
    size_bytes bigint  NOT NULL CHECK (size_bytes OPERATOR(pg_catalog.>=) 0)
);
CREATE UNIQUE INDEX migration_guard_once ON taskapi.migration_guard ((true));
REVOKE ALL ON TABLE taskapi.migration_guard FROM PUBLIC;
COMMENT ON TABLE taskapi.migration_guard IS 'What guard_migrations() was told; no row is off';
COMMENT ON COLUMN taskapi.migration_guard.refuses IS 'Is a migration refused, or only warned about?';
COMMENT ON COLUMN taskapi.migration_guard.size_bytes IS 'Smaller tables are not guarded';
SELECT pg_catalog.pg_extension_config_dump('taskapi.migration_guard', '');

CREATE TRIGGER invalidate_cache
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON taskapi.migration_guard
    FOR EACH STATEMENT EXECUTE FUNCTION taskapi.invalidate_cache();
ALTER TABLE taskapi.migration_guard ENABLE ALWAYS TRIGGER invalidate_cache;
COMMENT ON TRIGGER invalidate_cache ON taskapi.migration_guard IS 'A change counts in every session at once';

CREATE FUNCTION taskapi.guard_ddl() RETURNS event_trigger LANGUAGE C AS 'MODULE_PATHNAME', 'taskapi_guard_ddl';
REVOKE ALL ON FUNCTION taskapi.guard_ddl() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.guard_ddl() IS 'Internal: what the migration guard says before a statement takes a lock';

CREATE FUNCTION taskapi.guard_rewrite() RETURNS event_trigger LANGUAGE C AS 'MODULE_PATHNAME', 'taskapi_guard_rewrite';
REVOKE ALL ON FUNCTION taskapi.guard_rewrite() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.guard_rewrite() IS 'Internal: what the migration guard says of a table that is to be rewritten';

-- guard_migrations(mode, size): warns of, or refuses, migrations that would stop readers or writers of a table of at least
-- that size (as pg_size_bytes() reads it). mode is warn, refuse or off. Event triggers are a superuser's to make; a role
-- turns the guard off for its own session by taskapi.migration_guard. Errors: invalid_parameter_value.
CREATE FUNCTION taskapi.guard_migrations(mode text, size text DEFAULT '64 MB') RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    bytes     CONSTANT bigint := pg_size_bytes(size);
BEGIN
    IF mode IS NULL OR mode NOT IN ('warn', 'refuse', 'off') THEN
        RAISE EXCEPTION 'mode must be warn, refuse or off' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF bytes IS NULL OR bytes < 0 THEN
        RAISE EXCEPTION 'size must not be negative' USING ERRCODE = 'invalid_parameter_value';
    END IF;

    LOCK TABLE taskapi.migration_guard IN SHARE ROW EXCLUSIVE MODE;
    DELETE FROM taskapi.migration_guard;
    IF mode = 'off' THEN
        DROP EVENT TRIGGER IF EXISTS taskapi_guard_ddl;
        DROP EVENT TRIGGER IF EXISTS taskapi_guard_rewrite;
        RETURN;
    END IF;
    INSERT INTO taskapi.migration_guard VALUES (mode = 'refuse', bytes);
    IF NOT EXISTS (SELECT FROM pg_event_trigger t WHERE t.evtname = 'taskapi_guard_ddl') THEN
        CREATE EVENT TRIGGER taskapi_guard_ddl ON ddl_command_start EXECUTE FUNCTION taskapi.guard_ddl();
    END IF;
    IF NOT EXISTS (SELECT FROM pg_event_trigger t WHERE t.evtname = 'taskapi_guard_rewrite') THEN
        CREATE EVENT TRIGGER taskapi_guard_rewrite ON table_rewrite EXECUTE FUNCTION taskapi.guard_rewrite();
    END IF;
END
$$;
REVOKE ALL ON FUNCTION taskapi.guard_migrations(text, text) FROM PUBLIC;
COMMENT ON FUNCTION taskapi.guard_migrations(text, text) IS
    'Warns of, or refuses, migrations that would stop readers or writers of a table of at least that size: warn, refuse or off';
