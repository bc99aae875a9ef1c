-- Among other roles: acting with the rights of one, and letting none in that was not named. They run as their caller.

-- Runs one command as another role, whose rights the caller must have, in a security-restricted operation: what that role's
-- triggers, defaults and index predicates do is done with its rights, and their settings end with the command. As the role
-- itself, without restriction. The parameters are $1 and so on. Returns the text of the first column of the first row; let it be
-- an OID rather than a name, which that role's search_path would shorten.
-- C: src/base/run_as.c
CREATE FUNCTION taskapi.run_as(role regrole, command text) RETURNS text
    LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'taskapi_run_as';
COMMENT ON FUNCTION taskapi.run_as(regrole, text) IS
    'Runs a command with the rights of a role that the caller is a member of, security-restricted; returns its first value';

CREATE FUNCTION taskapi.run_as(role regrole, command text, VARIADIC parameters "any") RETURNS text
    LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'taskapi_run_as';
COMMENT ON FUNCTION taskapi.run_as(regrole, text, VARIADIC "any") IS
    'Runs a command with parameters with the rights of a role that the caller is a member of, security-restricted';

CREATE FUNCTION taskapi.owner_of(relation regclass) RETURNS regrole
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT c.relowner::regrole FROM pg_class c WHERE c.oid = $1;
    END;
COMMENT ON FUNCTION taskapi.owner_of(regclass) IS 'Internal: the owner of a table or view';

CREATE FUNCTION taskapi.grantee_name(grantee oid) RETURNS text
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT CASE WHEN $1 = 0 THEN 'PUBLIC' ELSE $1::regrole::text END;
    END;
COMMENT ON FUNCTION taskapi.grantee_name(oid) IS 'Internal: a grantee of aclexplode() as GRANT and REVOKE take it';

-- Whatever default privileges let others do with a new schema, relation, function or type (class and oid, as in pg_depend), is
-- taken back, and its owner has all privileges. The caller must have the rights of the owner.
CREATE FUNCTION taskapi.revoke_from_others(class regclass, object oid) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target  record;
    grantee oid;
BEGIN
    IF class = 'pg_namespace'::regclass THEN
        SELECT format('SCHEMA %I', n.nspname) AS name, n.nspacl AS acl, n.nspowner AS owner, 'n'::"char" AS kind
        INTO target FROM pg_namespace n WHERE n.oid = object;
    ELSIF class = 'pg_class'::regclass THEN
        SELECT format(CASE c.relkind WHEN 'S' THEN 'SEQUENCE %s' ELSE 'TABLE %s' END, c.oid::regclass) AS name, c.relacl AS acl,
               c.relowner AS owner, (CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END)::"char" AS kind
        INTO target FROM pg_class c WHERE c.oid = object AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S');
    ELSIF class = 'pg_proc'::regclass THEN
        SELECT format('ROUTINE %s', p.oid::regprocedure) AS name, p.proacl AS acl, p.proowner AS owner, 'f'::"char" AS kind
        INTO target FROM pg_proc p WHERE p.oid = object;
    ELSIF class = 'pg_type'::regclass THEN
        -- not array types, and not the row types of relations, which have no privileges of their own
        SELECT format('TYPE %s', t.oid::regtype) AS name, t.typacl AS acl, t.typowner AS owner, 'T'::"char" AS kind
        INTO target FROM pg_type t
        WHERE t.oid = object AND t.typcategory <> 'A'
          AND (t.typrelid = 0 OR (SELECT c.relkind FROM pg_class c WHERE c.oid = t.typrelid) = 'c');
    ELSE
        RETURN;
    END IF;
    FOR grantee IN
        SELECT DISTINCT a.grantee FROM aclexplode(coalesce(target.acl, acldefault(target.kind, target.owner))) a
        WHERE a.grantee <> target.owner
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s CASCADE', target.name, taskapi.grantee_name(grantee));
    END LOOP;
    IF target.acl IS NOT NULL THEN
        EXECUTE format('GRANT ALL ON %s TO %s', target.name, taskapi.grantee_name(target.owner));
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.revoke_from_others(regclass, oid) IS
    'Internal: revokes from all others than the owner what default privileges granted on a new object';

-- Whether a role could betray what the given owner puts into a schema: all but the owner, the caller and superusers. Schema
-- public belongs to pg_database_owner, which is the owner of the database.
CREATE FUNCTION taskapi.is_stranger(role oid, owner regrole) RETURNS boolean
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        SELECT r.oid IS NULL OR NOT r.rolsuper AND r.oid <> $2 AND r.rolname <> current_user
        FROM (SELECT CASE WHEN pg_get_userbyid($1) = 'pg_database_owner' THEN d.datdba ELSE $1 END AS id
              FROM pg_database d WHERE d.datname = current_database()) role
        LEFT JOIN pg_roles r ON r.oid = role.id;
    END;
COMMENT ON FUNCTION taskapi.is_stranger(oid, regrole) IS
    'Internal: whether a role, or PUBLIC (0), is neither that owner nor the caller nor a superuser';

-- Raises an error unless only the owner of what is to be put into a schema, the caller and superusers can change the schema.
CREATE FUNCTION taskapi.check_schema(schema name, owner regrole) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_schema pg_namespace;
    stranger     oid;
BEGIN
    SELECT n.* INTO STRICT found_schema FROM pg_namespace n WHERE n.nspname = schema;
    IF taskapi.is_stranger(found_schema.nspowner, owner) THEN
        RAISE EXCEPTION 'schema "%" belongs to role %', schema, found_schema.nspowner::regrole
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = 'The owner of a schema can replace the objects in it.',
                  HINT = format('Name another schema, or let a superuser call ALTER SCHEMA %I OWNER TO %s.', schema, owner);
    END IF;
    SELECT a.grantee INTO stranger FROM aclexplode(found_schema.nspacl) a
    WHERE a.privilege_type = 'CREATE' AND a.grantee <> found_schema.nspowner AND taskapi.is_stranger(a.grantee, owner)
    ORDER BY 1 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'role % may create objects in schema "%"', taskapi.grantee_name(stranger), schema
            USING ERRCODE = 'insufficient_privilege',
                  HINT = format('Name another schema, or call REVOKE CREATE ON SCHEMA %I FROM %s.',
                                schema, taskapi.grantee_name(stranger));
    END IF;
END
$$;
COMMENT ON FUNCTION taskapi.check_schema(name, regrole) IS
    'Internal: raises an error if roles other than that owner, the caller and superusers can change a schema';

CREATE FUNCTION taskapi.objects_in(schema name) RETURNS TABLE (class oid, object oid, owner oid)
    LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
    BEGIN ATOMIC
        -- Objects of the bootstrap superuser have no owner there.
        SELECT d.classid, d.objid, s.refobjid
        FROM pg_namespace n
        JOIN pg_depend d ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = n.oid
        LEFT JOIN pg_shdepend s ON s.dbid = (SELECT b.oid FROM pg_database b WHERE b.datname = current_database())
            AND s.classid = d.classid AND s.objid = d.objid AND s.objsubid = 0 AND s.deptype = 'o'
        WHERE n.nspname = $1 AND d.classid <> 'pg_default_acl'::regclass;
    END;
COMMENT ON FUNCTION taskapi.objects_in(name) IS
    'Internal: every object of a schema, of any kind, with its owner; NULL stands for the bootstrap superuser';
