-- The schema, and what every module below uses.

-- CREATE EXTENSION adopts a schema that is there already. One that somebody else owns, or that holds something,
-- could lend its objects to our functions.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_namespace n, pg_catalog.pg_roles r
               WHERE n.nspname = 'taskapi' AND r.rolname = current_user
                 AND n.nspowner <> r.oid AND NOT r.rolsuper)
       OR EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relnamespace = 'taskapi'::pg_catalog.regnamespace)
       OR EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.pronamespace = 'taskapi'::pg_catalog.regnamespace)
       OR EXISTS (SELECT FROM pg_catalog.pg_type t WHERE t.typnamespace = 'taskapi'::pg_catalog.regnamespace)
       OR EXISTS (SELECT FROM pg_catalog.pg_operator o WHERE o.oprnamespace = 'taskapi'::pg_catalog.regnamespace)
    THEN
        RAISE EXCEPTION 'schema "taskapi" exists already and is not empty'
            USING ERRCODE = 'duplicate_schema', HINT = 'Drop or rename it first.';
    END IF;
END
$$;

REVOKE ALL ON SCHEMA taskapi FROM PUBLIC;
GRANT USAGE ON SCHEMA taskapi TO PUBLIC;
COMMENT ON SCHEMA taskapi IS 'Primitives of an HTTP API; never exposed over HTTP itself';

CREATE FUNCTION taskapi.invalidate_cache() RETURNS trigger
    LANGUAGE C AS 'MODULE_PATHNAME', 'taskapi_invalidate_cache';
REVOKE ALL ON FUNCTION taskapi.invalidate_cache() FROM PUBLIC;
COMMENT ON FUNCTION taskapi.invalidate_cache() IS
    'Statement trigger of a configuration table: every backend drops what it has cached of it';
