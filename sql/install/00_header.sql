-- The schema, and what every module below uses.

-- CREATE EXTENSION puts the schema taskapi before all that is not pg_catalog's. What stands in there already, such as an
-- operator that fits more exactly than pg_catalog's own, must not be asked whether it may stand there.
SET LOCAL search_path = pg_catalog, pg_temp;

-- CREATE EXTENSION adopts a schema that exists. One that another role owns stays that role's: it could rename the schema and
-- put its own in its place, which functions that run with the rights of our owner would then call. If other roles may create
-- in it, or if it holds anything, it could lend objects to ours. Default privileges IN SCHEMA are no object, and are undone by
-- 90_privileges.sql. A schema of another superuser, as a dump may restore it, is taken over.
DO $$
DECLARE
    schema pg_namespace;
    -- What this transaction made, no other role could enter yet, even if default privileges let it.
    fresh  boolean;
    other  text;
BEGIN
    SELECT n.* INTO STRICT schema FROM pg_namespace n WHERE n.nspname = 'taskapi';
    fresh := (SELECT age(n.xmin) <= 0 FROM pg_namespace n WHERE n.oid = schema.oid);

    SELECT r.rolname INTO other FROM pg_roles r WHERE r.oid = schema.nspowner AND r.rolname <> current_user AND NOT r.rolsuper;
    IF FOUND THEN
        RAISE EXCEPTION 'schema "taskapi" belongs to role "%"', other
            USING ERRCODE = 'insufficient_privilege', HINT = 'Drop or rename the schema first.';
    END IF;
    SELECT coalesce(r.rolname, 'PUBLIC') INTO other
    FROM aclexplode(schema.nspacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
    WHERE a.privilege_type = 'CREATE' AND a.grantee <> schema.nspowner AND r.rolsuper IS NOT TRUE
    LIMIT 1;
    IF FOUND AND NOT fresh THEN
        RAISE EXCEPTION 'role % may create objects in schema "taskapi"', other
            USING ERRCODE = 'insufficient_privilege', HINT = 'Drop or rename the schema first.';
    END IF;
    SELECT pg_describe_object(d.classid, d.objid, d.objsubid) INTO other
    FROM pg_depend d
    WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = schema.oid AND d.classid <> 'pg_default_acl'::regclass
      AND NOT (d.classid = 'pg_extension'::regclass AND d.objid = (SELECT e.oid FROM pg_extension e WHERE e.extname = 'taskapi'))
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'schema "taskapi" exists already and is not empty'
            USING ERRCODE = 'duplicate_schema', DETAIL = format('It holds %s.', other), HINT = 'Drop or rename the schema first.';
    END IF;
    ALTER SCHEMA taskapi OWNER TO CURRENT_USER;
END
$$;
COMMENT ON SCHEMA taskapi IS 'Primitives of an HTTP API; never exposed over HTTP itself';

CREATE FUNCTION taskapi.invalidate_cache() RETURNS trigger
    LANGUAGE C AS 'MODULE_PATHNAME', 'taskapi_invalidate_cache';
COMMENT ON FUNCTION taskapi.invalidate_cache() IS
    'Statement trigger of a configuration table: every backend drops what it has cached of it';
